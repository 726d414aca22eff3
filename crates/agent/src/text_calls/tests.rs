use super::*;
use serde_json::{Value, json};

/// One call of `look` with `{"at": 1}`, as models write it.
#[test]
fn calls_are_found_in_every_known_form() {
    for text in [
        // Hermes, Qwen: one closed, one cut off before its mark, with the arguments as text, as Python.
        "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n</tool_call>",
        "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}",
        "<tool_call>{\"name\": \"look\", \"arguments\": \"{\\\"at\\\": 1}\"}</tool_call>",
        "<tool_call>{'name': 'look', 'arguments': {'at': 1}}</tool_call>",
        "<tools>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tools>",
        "```xml\n<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tool_call>\n```",
        "<function_call> {\"name\": \"look\", \"arguments\": {\"at\": 1}}",
        "<functioncall> {\"name\": \"look\", \"arguments\": '{\"at\": 1}'}",
        // Llama.
        "{\"name\": \"look\", \"parameters\": {\"at\": 1}}",
        "{\"type\": \"function\", \"name\": \"look\", \"parameters\": {\"at\": 1}}",
        "{\"type\": \"function\", \"function\": {\"name\": \"look\", \"arguments\": {\"at\": 1}}}",
        "<|python_tag|>{\"name\": \"look\", \"parameters\": {\"at\": 1}}",
        "<|python_tag|>look.call(at=1)",
        "<|python_start|>[look(at=1)]<|python_end|>",
        "[look(at=1)]",
        "<function=look>{\"at\": 1}</function>",
        "<function=look{\"at\": 1}</function>",
        "<function=look,{\"at\": 1}</function>",
        // Mistral.
        "[TOOL_CALLS][{\"name\": \"look\", \"arguments\": {\"at\": 1}}]",
        "[TOOL_CALLS] look{\"at\": 1}",
        "[TOOL_CALLS]look[ARGS]{\"at\": 1}",
        "[TOOL_CALLS]look[CALL_ID]abc123def[ARGS]{\"at\": 1}",
        "[TOOL_REQUEST]{\"name\": \"look\", \"arguments\": {\"at\": 1}}[END_TOOL_REQUEST]",
        // Qwen-Coder.
        "<tool_call>\n<function=look>\n<parameter=at>\n1\n</parameter>\n</function>\n</tool_call>",
        "<function=look>\n<parameter=at>1</parameter>\n</function>",
        // GLM.
        "<tool_call>look\n<arg_key>at</arg_key>\n<arg_value>1</arg_value>\n</tool_call>",
        // Harmony.
        "<|channel|>commentary to=functions.look <|constrain|>json<|message|>{\"at\": 1}<|call|>",
        "<|start|>assistant to=functions.look<|channel|>commentary json<|message|>{\"at\": 1}",
        "assistantcommentary to=functions.look json{\"at\": 1}",
        // MiniMax, Anthropic, Seed, DeepSeek, Step.
        "<minimax:tool_call>\n<invoke name=\"look\">\n<parameter name=\"at\">1</parameter>\n</invoke>\n</minimax:tool_call>",
        "<tool_calls>\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n</tool_calls>",
        "<function_calls><invoke name=\"look\"><parameter name=\"at\">1</parameter></invoke></function_calls>",
        "<seed:tool_call><function=look><parameter=at>1</parameter></function></seed:tool_call>",
        "<｜DSML｜function_calls><｜DSML｜invoke name=\"look\"><｜DSML｜parameter name=\"at\" string=\"false\">1</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n{\"at\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>look<｜tool▁sep｜>{\"at\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<steptml:invoke name=\"look\"><steptml:parameter name=\"at\">1</steptml:parameter></steptml:invoke>",
        // Kimi, Phi, Granite, Nemotron, Command, InternLM, LongCat, LFM.
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>{\"at\": 1}<|tool_call_end|><|tool_calls_section_end|>",
        "<|tool_call|>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]<|/tool_call|>",
        "<tool_call>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]",
        "<TOOLCALL>[{\"name\": \"look\", \"arguments\": {\"at\": 1}}]</TOOLCALL>",
        "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"look\", \"parameters\": {\"at\": 1}}]<|END_ACTION|>",
        "Action: ```json\n[{\"tool_name\": \"look\", \"parameters\": {\"at\": 1}}]\n```",
        "<|action_start|><|plugin|>{\"name\": \"look\", \"parameters\": {\"at\": 1}}<|action_end|>",
        "<longcat_tool_call>look\n{\"at\": 1}</longcat_tool_call>",
        "<|tool_call_start|>[look(at=1)]<|tool_call_end|>",
        "<start_function_call>call:look{at:1}<end_function_call>",
        // Fences, words before, functions of Gemma, thought and action, holders.
        "```json\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n```",
        "```tool_call\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n```",
        "```tool_code\nlook(at=1)\n```",
        "```tool_code\nprint(default_api.look(at=1))\n```",
        "<tool_code>print(look(at=1))</tool_code>",
        "I'll look.\n\n```json\n{\"tool\": \"look\", \"args\": {\"at\": 1}}\n```",
        "I'll look.\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}",
        "Thought: I must look.\nAction: look\nAction Input: {\"at\": 1}\nObservation:",
        "{\"tool_calls\": [{\"function\": {\"name\": \"look\", \"arguments\": \"{\\\"at\\\": 1}\"}}]}",
        "{\"action\": \"look\", \"action_input\": {\"at\": 1}}",
    ] {
        let Found::Calls { calls, .. } = find(text, &tools()) else { panic!("no call in {text}") };
        let [call] = &calls[..] else { panic!("{calls:?} in {text}") };
        assert_eq!(offers(&tools(), &call.name).map(|tool| tool.name.as_str()), Some("look"), "{text}");
        assert_eq!(loose::value(&call.arguments), Some(json!({"at": 1})), "{text}");
    }
}

#[test]
fn several_calls_and_the_words_before_them_are_kept_apart() {
    for text in [
        "First.\n<tool_call>{\"name\": \"look\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": \"find\", \"arguments\": {}}</tool_call>",
        "First.\n<function_calls><invoke name=\"look\"></invoke><invoke name=\"find\"></invoke></function_calls>",
        "First.\n[TOOL_CALLS]look[ARGS]{}[TOOL_CALLS]find[ARGS]{}",
        "First.\n```json\n{\"name\": \"look\", \"arguments\": {}}\n```\n```json\n{\"name\": \"find\", \"arguments\": {}}\n```",
        "First.\n{\"name\": \"look\", \"parameters\": {}}; {\"name\": \"find\", \"parameters\": {}}",
        "First.\n<|python_start|>[look(), find()]",
        "First.\n<tool_call>look</tool_call><tool_call>find</tool_call>",
    ] {
        let Found::Calls { calls, words, .. } = find(text, &tools()) else { panic!("no call in {text}") };
        let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!((names, words.as_deref()), (vec!["look", "find"], Some("First.")), "{text}");
    }
}

#[test]
fn values_have_the_type_that_the_tool_asks_for() {
    let text = "<function=find><parameter=what>\n12\n</parameter><parameter=deep>true</parameter></function>";
    let Found::Calls { calls, .. } = find(text, &tools()) else { panic!("no call") };
    assert_eq!(loose::value(&calls[0].arguments), Some(json!({"what": "12", "deep": true})));
    let text = "<invoke name=\"find\"><parameter name=\"what\"><b>x</b>\n</p></parameter></invoke>";
    let Found::Calls { calls, .. } = find(text, &tools()) else { panic!("no call") };
    assert_eq!(loose::value(&calls[0].arguments), Some(json!({"what": "<b>x</b>\n</p>"})));
}

#[test]
fn what_is_meant_as_a_call_and_cannot_be_read_is_no_answer() {
    for text in [
        "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\":",
        "[TOOL_CALLS]",
        "<|python_tag|>import os",
        "<function=look>\n<parameter=at>",
        "{\"name\": \"gone\", \"arguments\": {}}",
        "<tool_call>\n</tool_call>",
    ] {
        assert_eq!(find(text, &tools()), Found::Unclear, "{text}");
    }
}

#[test]
fn an_answer_that_speaks_of_calls_is_an_answer() {
    for text in [
        "Paris",
        "It begins with `<tool_call>` and ends with `</tool_call>`.",
        "Models write:\n```\n<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>\n```\nThat is all.",
        "{\"city\": \"Paris\"}",
        "[1, 2]",
        "{\"name\": \"Ada\", \"age\": 36}",
        "```python\nprint(1)\n```",
        "f(x) = 2",
        "The function is called (twice).",
        "```json\n{\"name\": \"weather\", \"arguments\": {}}\n```",
        "Action: none is needed.",
        "a > b >>> c",
    ] {
        assert_eq!(find(text, &tools()), Found::Words, "{text}");
    }
}

#[test]
fn names_are_recognized_when_there_is_no_doubt() {
    let tools = tools();
    let meant = |name| offers(&tools, name).map(|tool| tool.name.as_str());
    for name in [
        "look",
        "functions.look",
        "functions.look:0",
        "Look",
        "look<|channel|>commentary",
        "default_api.look",
        " look ",
    ] {
        assert_eq!(meant(name), Some("look"), "{name}");
    }
    for name in ["", "lookup", "loo", "functions.", ":0", "look.find"] {
        assert_eq!(meant(name), None, "{name}");
    }
}

#[test]
fn a_long_text_of_marks_is_read_in_a_moment() {
    let started = std::time::Instant::now();
    for text in
        ["<tool_call>", "[{", "```", "</think>", "\n{", "parameter=", "<function=look>", "Action:", "look(", "<｜"]
    {
        let _ = find(&text.repeat((1 << 20) / text.len()), &tools());
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

fn tools() -> Vec<ToolDefinition> {
    let tool = |name: &str, parameters: Value| ToolDefinition {
        name: name.into(),
        description: "Does.".into(),
        input_schema: parameters.as_object().unwrap().clone(),
    };
    let find = json!({"type": "object", "properties": {"what": {"type": "string"}, "deep": {"type": "boolean"}}});
    vec![tool("look", json!({})), tool("find", find), tool("answer", json!({}))]
}
