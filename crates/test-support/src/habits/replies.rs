//! Odd shapes of replies whose meaning is clear.

use super::{Habit, body, completion, habit, look, paris, stream};
use crate::fake_model::Behaviour;
use serde_json::{Value, json};

pub(super) fn habits() -> Vec<Habit> {
    let mut habits = Vec::new();
    habits.extend(arguments());
    habits.extend(contents());
    habits.extend(shapes());
    habits.extend(formats());
    habits.extend(streams());
    habits
}

/// Names of a tool as models write them.
const NAMES: [(&str, &str); 7] = [
    ("Kimi", "functions.look:0"),
    ("gpt-oss on vLLM", "look<|channel|>commentary"),
    ("OpenAI models now and then", "functions.look"),
    ("Gemini", "default_api.look"),
    ("small models", "Look"),
    ("small models", " look "),
    ("small models", "LOOK"),
];

/// Arguments that are one object and written otherwise.
fn arguments() -> Vec<Habit> {
    const WRITTEN: [(&str, &str); 12] = [
        ("DeepSeek on vLLM", "\"{\\\"at\\\": 1}\""),
        ("Llama on Groq", "```json\n{\"at\": 1}\n```"),
        ("Mistral on Ollama", "[{\"at\": 1}]"),
        ("Llama on Together", "{'at': 1}"),
        ("Qwen on SGLang", "{\"at\": 1,}"),
        ("gateways to Anthropic", "{}{\"at\": 1}"),
        ("streams put together twice", "{\"at\": 1}{\"at\": 1}"),
        ("Hermes on llama.cpp", "{\"at\": 1}</tool_call>"),
        ("Qwen on LM Studio", "{\"at\": 1}<|im_end|>"),
        ("Gemma", "{at: 1}"),
        ("blanks around", " \n{\"at\": 1}\n "),
        ("a fence without a label", "```{\"at\": 1}```"),
    ];
    let written = WRITTEN.into_iter().enumerate().map(|(place, (source, text))| {
        let call = Behaviour::Calls(vec![("look".into(), text.into())]);
        habit(format!("arguments-{place}"), source).then_paris(call).looks(1)
    });
    let named = NAMES.into_iter().enumerate().map(|(place, (source, name))| {
        let call = Behaviour::Calls(vec![(name.into(), "{\"at\": 1}".into())]);
        habit(format!("name-{place}"), source).then_paris(call).looks(1)
    });
    let uses = json!({"tool_uses": [{"recipient_name": "functions.look", "parameters": {"at": 1}}]}).to_string();
    let wrapped = Behaviour::Calls(vec![("multi_tool_use.parallel".into(), uses)]);
    let wrapped = habit("name-parallel", "OpenAI models now and then").then_paris(wrapped).looks(1);
    let nothing = ["null", "", "\"\"", "[]", "\"null\""].into_iter().enumerate().map(|(place, text)| {
        let empty = Behaviour::Calls(vec![("answer".into(), text.into())]);
        // Without arguments there is no answer in it; it is told back.
        habit(format!("arguments-none-{place}"), "Mistral, Qwen on vLLM").then_paris(empty)
    });
    let doubtful = ["{\"at\": 1}{\"at\": 2}", "[1]", "true", "{\"at\""].into_iter().enumerate().map(|(place, text)| {
        let call = Behaviour::Calls(vec![("look".into(), text.into())]);
        habit(format!("arguments-doubtful-{place}"), "small models").then_paris(call)
    });
    written.chain(named).chain([wrapped]).chain(nothing).chain(doubtful).collect()
}

/// Words among thoughts and tokens.
fn contents() -> Vec<Habit> {
    let said: [(&str, &str, Value); 17] = [
        ("think", "DeepSeek R1 without a parser", json!({"content": "<think>hm</think>Paris"})),
        ("think-open-in-prompt", "Qwen3, QwQ on vLLM", json!({"content": "hm</think>Paris"})),
        ("think-empty", "Qwen3 without thinking", json!({"content": "<think>\n\n</think>\n\nParis"})),
        ("think-magistral", "Magistral", json!({"content": "[THINK]hm[/THINK]Paris"})),
        ("think-kimi", "Kimi-VL", json!({"content": "◁think▷hm◁/think▷Paris"})),
        ("think-seed", "Seed-OSS", json!({"content": "<seed:think>hm</seed:think>Paris"})),
        ("think-twice", "Qwen3", json!({"content": "<think>a</think>\n<think>b</think>Paris"})),
        (
            "harmony",
            "gpt-oss without a parser",
            json!({"content": "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>"}),
        ),
        ("harmony-bare", "gpt-oss with its tokens taken out", json!({"content": "analysisHm.assistantfinalParis"})),
        ("token-im-end", "Qwen on llama.cpp", json!({"content": "Paris<|im_end|>"})),
        ("token-eot", "Llama on llama.cpp", json!({"content": "Paris<|eot_id|>"})),
        ("token-eos", "Mistral on text-generation-webui", json!({"content": "Paris</s>"})),
        ("token-box", "GLM-4.1V", json!({"content": "<|begin_of_box|>Paris<|end_of_box|>"})),
        ("parts", "Mistral", json!({"content": [{"type": "text", "text": "Paris"}]})),
        (
            "parts-thinking",
            "Magistral's own host",
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Paris"}]}),
        ),
        (
            "reasoning",
            "OpenRouter",
            json!({"content": "Paris", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        ),
        ("nul", "any", json!({"content": "Paris\n"})),
    ];
    said.into_iter()
        .map(|(name, source, message)| habit(format!("content-{name}"), source).plays([Behaviour::Message(message)]))
        .collect()
}

fn shapes() -> Vec<Habit> {
    let call = json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}});
    let choice = |message: Value, finish: &str| json!({"index": 0, "message": message, "finish_reason": finish});
    let split = json!({"choices": [choice(json!({"content": "Let me look."}), "stop"), choice(json!({"tool_calls": [call]}), "tool_calls")]});
    let calls = [
        ("choices", "GitHub Copilot with Claude", split),
        ("stop-with-calls", "Ollama, Gemini", completion(&json!({"content": "", "tool_calls": [call]}), "stop")),
        (
            "object-arguments",
            "Ollama's older versions",
            completion(&json!({"tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}]}), "stop"),
        ),
        (
            "function-call",
            "hosts of 2023",
            completion(&json!({"function_call": {"name": "look", "arguments": "{\"at\": 1}"}}), "function_call"),
        ),
        ("one-call-no-list", "gateways", completion(&json!({"tool_calls": call}), "tool_calls")),
        (
            "flat-call",
            "Cohere's compatibility API",
            completion(&json!({"tool_calls": [{"id": "a", "name": "look", "parameters": {"at": 1}}]}), "tool_calls"),
        ),
        (
            "null-list",
            "vLLM",
            completion(
                &json!({"content": "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tool_call>", "tool_calls": null}),
                "stop",
            ),
        ),
        (
            "empty-list",
            "SGLang",
            completion(&json!({"content": "[TOOL_CALLS]look{\"at\": 1}", "tool_calls": []}), "stop"),
        ),
        (
            "signature",
            "Gemini",
            completion(
                &json!({"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{\"at\": 1}"}, "extra_content": {"google": {"thought_signature": "s"}}}]}),
                "tool_calls",
            ),
        ),
    ];
    let calls = calls
        .into_iter()
        .map(|(name, source, reply)| habit(format!("call-{name}"), source).then_paris(body(&reply)).looks(1));
    let usual = completion(&json!({"content": "Paris"}), "stop").to_string();
    let bodies = [
        ("comments", "OpenRouter", format!("\n\n: OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n{usual}")),
        ("mark", "IIS", format!("\u{feff}{usual}")),
        ("nan", "Python hosts", usual.replace("\"finish_reason\"", "\"logprobs\":NaN,\"finish_reason\"")),
        ("line-break", "hand-made hosts", usual.replace("Paris", "Paris\n\n")),
        ("no-finish", "LM Studio", json!({"choices": [{"message": {"content": "Paris"}}]}).to_string()),
        ("upper-stop", "Gemini", completion(&json!({"content": "Paris"}), "STOP").to_string()),
        ("null-error", "Together", json!({"choices": [{"message": {"content": "Paris"}, "finish_reason": "eos"}], "error": null}).to_string()),
        ("base-resp", "MiniMax", json!({"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}], "base_resp": {"status_code": 0, "status_msg": ""}}).to_string()),
        ("own-shape", "Ollama's own API", json!({"message": {"role": "assistant", "content": "Paris"}, "done": true, "done_reason": "stop"}).to_string()),
        ("float-usage", "gateways", json!({"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3.0}}).to_string()),
    ];
    let bodies = bodies
        .into_iter()
        .map(|(name, source, text)| habit(format!("body-{name}"), source).plays([Behaviour::Body(text.into_bytes())]));
    let surrogate = habit("body-surrogate", "llama.cpp, vLLM in streams")
        .plays([Behaviour::Body(usual.replace("Paris", "Paris \\ud83d").into_bytes())])
        .answers("Paris \u{fffd}");
    calls.chain(bodies).chain([surrogate]).collect()
}

/// An `answer_format`, and the JSON for it where models put it.
fn formats() -> Vec<Habit> {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let answer = json!({"type": "object", "properties": {"answer": {"type": "string"}, "sources": {"type": "array"}}, "required": ["answer", "sources"]});
    let found = json!({"city": "Paris"});
    let texts = [
        ("bare", "{\"city\": \"Paris\"}"),
        ("fence", "```json\n{\"city\": \"Paris\"}\n```"),
        ("second-fence", "```json\n{\"town\": 1}\n```\nBetter:\n```json\n{\"city\": \"Paris\"}\n```"),
        ("prose", "The answer is {\"city\": \"Paris\"}, as asked."),
        ("think", "hm {\"city\": 3}</think>{\"city\": \"Paris\"}"),
        ("python", "{'city': 'Paris'}"),
    ];
    let texts = texts.map(|(name, text)| {
        habit(format!("format-{name}"), "models without structured output")
            .plays([Behaviour::text(text)])
            .format(city.clone())
            .answers(found.clone())
    });
    let calls = [
        ("spread", json!({"city": "Paris", "outcome": "success"})),
        ("text", json!({"answer": "{\"city\": \"Paris\"}", "outcome": "success"})),
        ("text-fence", json!({"answer": "```json\n{\"city\": \"Paris\"}\n```"})),
        ("other-name", json!({"result": "{\"city\": \"Paris\"}"})),
    ];
    let calls = calls.map(|(name, args)| {
        habit(format!("format-call-{name}"), "Qwen, Llama")
            .plays([Behaviour::call("answer", args)])
            .format(city.clone())
            .answers(found.clone())
    });
    let spread = habit("format-field-answer", "models that spread a field called answer")
        .plays([Behaviour::call("answer", json!({"answer": "Paris", "sources": ["a"]}))])
        .format(answer)
        .answers(json!({"answer": "Paris", "sources": ["a"]}));
    let never = habit("format-never", "small models")
        .plays([Behaviour::text("Paris")])
        .format(city)
        .fails("does not satisfy answer_format: ");
    let bare = habit("answer-other-name", "small models").plays([Behaviour::call("answer", json!({"text": "Paris"}))]);
    texts.into_iter().chain(calls).chain([spread, never, bare]).collect()
}

/// Streams, although none was asked for.
fn streams() -> Vec<Habit> {
    let chunk = |delta: Value, finish: Value| {
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    };
    let said = [chunk(json!({"content": "Pa"}), Value::Null), chunk(json!({"content": "ris"}), json!("stop"))].concat();
    let call = |index: Value, id: &str, name: &str, arguments: &str| {
        chunk(
            json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}),
            Value::Null,
        )
    };
    let end = chunk(json!({}), json!("tool_calls"));
    let whole = [
        ("usual", format!("{said}data: [DONE]\n\n")),
        ("no-done", said.clone()),
        ("comments", format!(": PROCESSING\n\n{said}: PROCESSING\n\ndata: [DONE]\n\n")),
        ("carriage", format!("{said}data: [DONE]\n\n").replace('\n', "\r\n")),
        ("no-blank", said.replace("\n\n", "\n")),
        (
            "usage-last",
            format!("{said}data: {{\"choices\": [], \"usage\": {{\"prompt_tokens\": 1}}}}\n\ndata: [DONE]\n\n"),
        ),
        ("keep-alive", format!("data: {{\"choices\": []}}\n\n{said}data: [DONE]\n\n")),
    ];
    let whole = whole
        .map(|(name, events)| habit(format!("stream-{name}"), "hosts that always stream").plays([stream(&events)]));
    let calls = [
        ("call", [call(json!(0), "a", "look", "{\"at\""), call(json!(0), "", "", ": 1}"), end.clone()].concat()),
        (
            "call-name-again",
            [call(json!(0), "a", "look", "{\"at\""), call(json!(0), "a", "look", ": 1}"), end.clone()].concat(),
        ),
        (
            "call-no-index",
            [call(Value::Null, "a", "look", "{\"at\""), call(Value::Null, "", "", ": 1}"), end.clone()].concat(),
        ),
    ];
    let calls = calls.map(|(name, events)| {
        habit(format!("stream-{name}"), "Gemini, vLLM, gateways").then_paris(stream(&events)).looks(1)
    });
    let half = chunk(json!({"content": "The capital is"}), Value::Null);
    let cut = habit("stream-cut", "any").plays([stream(&half), paris()]);
    let cut_forever =
        habit("stream-cut-forever", "any").plays([stream(&half)]).fails("ended before the reply was whole");
    let failed = stream(&format!("{half}data: {{\"error\": {{\"message\": \"CUDA out of memory\"}}}}\n\n"));
    let failed = habit("stream-error", "vLLM, OpenRouter").plays([failed]).fails("CUDA out of memory");
    let typed = stream(&format!("{half}event: error\ndata: {{\"message\": \"Overloaded now\"}}\n\n"));
    let typed = habit("stream-error-event", "gateways to Anthropic").plays([typed]).fails("Overloaded now");
    let looks = habit("plain-call", "everybody").then_paris(look()).looks(1);
    let looks_twice = habit("plain-calls", "everybody").plays([look(), look(), paris()]).looks(2);
    whole.into_iter().chain(calls).chain([cut, cut_forever, failed, typed, looks, looks_twice]).collect()
}
