//! Calls in a text, because the server has no parser for what its model writes, or the parser missed it.

use super::{Habit, completion, habit, paris};
use crate::fake_model::Behaviour;
use serde_json::json;

/// Each text is one call of `look` with `{"at": 1}`.
const CALLS: [(&str, &str); 57] = [
    ("Hermes, Qwen", "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n</tool_call>"),
    ("Hermes, Qwen", "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}"),
    ("Hermes, Qwen", "<tool_call>{\"name\": \"look\", \"arguments\": \"{\\\"at\\\": 1}\"}</tool_call>"),
    ("Hermes, Qwen", "<tool_call>{'name': 'look', 'arguments': {'at': 1}}</tool_call>"),
    ("Hermes, Qwen", "<tools>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tools>"),
    ("Hermes, Qwen", "```xml\n<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tool_call>\n```"),
    ("Hermes, Qwen", "<function_call> {\"name\": \"look\", \"arguments\": {\"at\": 1}}"),
    ("Hermes, Qwen", "<functioncall> {\"name\": \"look\", \"arguments\": '{\"at\": 1}'}"),
    ("Llama", "{\"name\": \"look\", \"parameters\": {\"at\": 1}}"),
    ("Llama", "{\"type\": \"function\", \"name\": \"look\", \"parameters\": {\"at\": 1}}"),
    ("Llama", "{\"type\": \"function\", \"function\": {\"name\": \"look\", \"arguments\": {\"at\": 1}}}"),
    ("Llama", "<|python_tag|>{\"name\": \"look\", \"parameters\": {\"at\": 1}}"),
    ("Llama", "<|python_tag|>look.call(at=1)"),
    ("Llama", "<|python_start|>[look(at=1)]<|python_end|>"),
    ("Llama", "[look(at=1)]"),
    ("Llama", "<function=look>{\"at\": 1}</function>"),
    ("Llama", "<function=look{\"at\": 1}</function>"),
    ("Llama", "<function=look,{\"at\": 1}</function>"),
    ("Mistral", "[TOOL_CALLS][{\"name\": \"look\", \"arguments\": {\"at\": 1}}]"),
    ("Mistral", "[TOOL_CALLS] look{\"at\": 1}"),
    ("Mistral", "[TOOL_CALLS]look[ARGS]{\"at\": 1}"),
    ("Mistral", "[TOOL_CALLS]look[CALL_ID]abc123def[ARGS]{\"at\": 1}"),
    ("Mistral", "[TOOL_REQUEST]{\"name\": \"look\", \"arguments\": {\"at\": 1}}[END_TOOL_REQUEST]"),
    ("Qwen-Coder", "<tool_call>\n<function=look>\n<parameter=at>\n1\n</parameter>\n</function>\n</tool_call>"),
    ("Qwen-Coder", "<function=look>\n<parameter=at>1</parameter>\n</function>"),
    ("GLM", "<tool_call>look\n<arg_key>at</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"),
    ("Harmony", "<|channel|>commentary to=functions.look <|constrain|>json<|message|>{\"at\": 1}<|call|>"),
    ("Harmony", "<|start|>assistant to=functions.look<|channel|>commentary json<|message|>{\"at\": 1}"),
    ("Harmony", "assistantcommentary to=functions.look json{\"at\": 1}"),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<minimax:tool_call>\n<invoke name=\"look\">\n<parameter name=\"at\">1</parameter>\n</invoke>\n</minimax:tool_call>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<tool_calls>\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n</tool_calls>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<function_calls><invoke name=\"look\"><parameter name=\"at\">1</parameter></invoke></function_calls>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<seed:tool_call><function=look><parameter=at>1</parameter></function></seed:tool_call>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<｜DSML｜function_calls><｜DSML｜invoke name=\"look\"><｜DSML｜parameter name=\"at\" string=\"false\">1</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n{\"at\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>look<｜tool▁sep｜>{\"at\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    (
        "MiniMax, Anthropic, Seed, DeepSeek, Step",
        "<steptml:invoke name=\"look\"><steptml:parameter name=\"at\">1</steptml:parameter></steptml:invoke>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>{\"at\": 1}<|tool_call_end|><|tool_calls_section_end|>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<|tool_call|>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]<|/tool_call|>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<tool_call>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<TOOLCALL>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]</TOOLCALL>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"look\", \"parameters\": {\"at\": 1}}]<|END_ACTION|>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "Action: ```json\n[{\"tool_name\": \"look\", \"parameters\": {\"at\": 1}}]\n```",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<|action_start|><|plugin|>{\"name\": \"look\", \"parameters\": {\"at\": 1}}<|action_end|>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<longcat_tool_call>look\n{\"at\": 1}</longcat_tool_call>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<|tool_call_start|>[look(at=1)]<|tool_call_end|>",
    ),
    (
        "Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM",
        "<start_function_call>call:look{at:1}<end_function_call>",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "```json\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n```",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "```tool_call\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n```",
    ),
    ("Fences, words before, functions of Gemma, thought and action, holders", "```tool_code\nlook(at=1)\n```"),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "```tool_code\nprint(default_api.look(at=1))\n```",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "<tool_code>print(look(at=1))</tool_code>",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "I'll look.\n\n```json\n{\"tool\": \"look\", \"args\": {\"at\": 1}}\n```",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "I'll look.\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "Thought: I must look.\nAction: look\nAction Input: {\"at\": 1}\nObservation:",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "{\"tool_calls\": [{\"function\": {\"name\": \"look\", \"arguments\": \"{\\\"at\\\": 1}\"}}]}",
    ),
    (
        "Fences, words before, functions of Gemma, thought and action, holders",
        "{\"action\": \"look\", \"action_input\": {\"at\": 1}}",
    ),
];

/// Texts that are meant as calls and cannot be read as one.
const UNCLEAR: [(&str, &str); 7] = [
    ("Hermes, cut off", "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\":"),
    ("Mistral, without a call", "[TOOL_CALLS]"),
    ("Llama, code", "<|python_tag|>import os"),
    ("Qwen-Coder, cut off", "<function=look>\n<parameter=at>"),
    ("Hermes, another tool", "<tool_call>{\"name\": \"gone\", \"arguments\": {}}</tool_call>"),
    ("Llama, another tool", "{\"name\": \"gone\", \"parameters\": {}}"),
    ("Hermes, empty", "<tool_call>\n</tool_call>"),
];

/// Texts that are an answer, whatever they speak of.
const ANSWERS: [(&str, &str); 6] = [
    ("a mark in code", "It begins with `<tool_call>`."),
    (
        "an example in a fence",
        "So:\n```\n<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>\n```\nThat is all.",
    ),
    ("JSON", "{\"city\": \"Paris\"}"),
    ("JSON with a name", "{\"name\": \"Ada\", \"age\": 36}"),
    ("code", "```python\nprint(1)\n```"),
    ("a tag in quotes", "The tag \"</think>\" ends it."),
];

pub(super) fn habits() -> Vec<Habit> {
    let mut habits = Vec::new();
    for (place, (source, text)) in CALLS.into_iter().enumerate() {
        habits.push(habit(format!("text-call-{place}"), source).then_paris(Behaviour::text(text)).looks(1));
    }
    for (place, (source, text)) in UNCLEAR.into_iter().enumerate() {
        habits.push(habit(format!("text-unclear-{place}"), source).then_paris(Behaviour::text(text)));
        let forever = habit(format!("text-unclear-forever-{place}"), source).plays([Behaviour::text(text)]);
        habits.push(forever.fails("The agent ended without an answer: "));
    }
    for (place, (source, text)) in ANSWERS.into_iter().enumerate() {
        habits.push(habit(format!("text-answer-{place}"), source).plays([Behaviour::text(text)]).answers(text));
    }
    let in_thoughts = json!({"content": null, "reasoning_content": "I look. <tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tool_call>"});
    habits.push(
        habit("text-call-in-thoughts", "vLLM's reasoning parser with Qwen3")
            .then_paris(Behaviour::Message(in_thoughts))
            .looks(1),
    );
    let answered = "<tool_call>{\"name\": \"answer\", \"arguments\": {\"answer\": \"Paris\"}}</tool_call>";
    habits.push(habit("text-call-of-answer", "Hermes without a parser").plays([Behaviour::text(answered)]));
    let cut = completion(&json!({"content": "<tool_call>{\"name\": \"look\""}), "length");
    habits.push(habit("text-call-cut-off", "vLLM at max_tokens").plays([super::body(&cut), paris()]));
    habits
}
