//! Hosts that refuse what others take, and take it otherwise.

use super::{Habit, habit, look, paris, refusal, stream};
use crate::fake_model::{Behaviour, Request};
use serde_json::{Value, json};

pub(super) fn habits() -> Vec<Habit> {
    let mut habits = Vec::new();
    for (place, (source, refuses)) in FORCED.into_iter().enumerate() {
        let mut forced = habit(format!("refuses-choice-{place}"), source).refuses(refuses).then_paris(look()).looks(1);
        forced.max_steps = Some(1);
        habits.push(forced);
    }
    let one_look: [(&str, &str, super::Refuses); 9] = [
        ("user-after-tool", "Mistral", user_after_tool),
        ("schema", "OpenAI", incomplete_schema),
        ("null-schema", "Gemini", null_in_schema),
        ("null-content", "strict gateways", null_content),
        ("tools", "Ollama with models without tools", tools),
        ("system", "Gemma", system),
        ("stream", "Qwen's hosts", no_stream),
        ("unsent-reasoning", "DeepSeek while thinking", unsent_reasoning),
        ("long", "vLLM", too_long),
    ];
    for (name, source, refuses) in one_look {
        let first = match name {
            "unsent-reasoning" => thoughtful(),
            "tools" => Behaviour::text("<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</tool_call>"),
            _ => look(),
        };
        let mut refusing = habit(format!("refuses-{name}"), source).refuses(refuses).then_paris(first).looks(1);
        refusing.max_steps = (name == "user-after-tool").then_some(1);
        if name == "stream" {
            refusing = refusing.plays([stream(&streamed())]).answers("Paris");
        }
        habits.push(refusing);
    }
    habits.push(habit("refuses-signature", "Gemini 3").refuses(unsent_signature).then_paris(signed()).looks(1));
    habits.push(
        habit("refuses-reasoning-back", "DeepSeek R1 of 2025")
            .refuses(sent_reasoning)
            .then_paris(thoughtful())
            .looks(1),
    );
    habits.push(
        habit("refuses-empty-assistant", "Anthropic's gateways")
            .refuses(empty_assistant)
            .plays([Behaviour::text(""), paris()]),
    );
    let own = |words: &str| {
        Behaviour::Status(
            400,
            Vec::new(),
            json!({"error": {"message": words, "code": "tool_use_failed", "failed_generation": "<function=look>"}})
                .to_string(),
        )
    };
    habits.push(habit("own-fault", "Groq").plays([own("Failed to call a function."), paris()]));
    habits.push(
        habit("own-fault-forever", "Groq")
            .plays([own("Failed to call a function.")])
            .fails("Failed to call a function."),
    );
    let generation = json!({"error": {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<function=look{\"at\": 1}</function>"}});
    habits.push(
        habit("own-fault-clear", "Groq")
            .then_paris(Behaviour::Status(400, Vec::new(), generation.to_string()))
            .looks(1),
    );
    habits.push(habit("own-fault-500", "Ollama").plays([refusal(500, "error parsing tool call: raw='{'"), paris()]));
    habits.push(
        habit("refuses-everything", "any")
            .refuses(|_| Some(refusal(400, "no request is good enough")))
            .fails("no request is good enough"),
    );
    habits
}

const FORCED: [(&str, super::Refuses); 4] = [
    ("Qwen while thinking", |request| {
        wants(request, "tool_choice").then(|| {
            refusal(400, "The tool_choice parameter does not support being set to required or object in thinking mode")
        })
    }),
    ("DeepSeek while thinking", |request| {
        wants(request, "tool_choice").then(|| refusal(400, "deepseek-reasoner does not support this tool_choice"))
    }),
    ("hosts with short words", |request| wants(request, "tool_choice").then(|| refusal(400, "Bad Request"))),
    ("vLLM without its switch", |request| {
        wants(request, "tool_choice").then(|| {
            Behaviour::Status(
                400,
                Vec::new(),
                json!({"object": "error", "message": "Invalid tool_choice", "code": 400}).to_string(),
            )
        })
    }),
];

fn wants(request: &Request, name: &str) -> bool {
    request.body.get(name).is_some()
}

fn messages(request: &Request) -> &[Value] {
    request.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn user_after_tool(request: &Request) -> Option<Behaviour> {
    let found = messages(request).windows(2).any(|pair| pair[0]["role"] == "tool" && pair[1]["role"] == "user");
    found.then(|| refusal(400, "Unexpected role 'user' after role 'tool'"))
}

fn incomplete_schema(request: &Request) -> Option<Behaviour> {
    let tools = request.body["tools"].as_array()?;
    let incomplete = tools.iter().any(|tool| !tool["function"]["parameters"]["properties"].is_object());
    incomplete.then(|| refusal(400, "Invalid schema for function 'look': object schema missing properties"))
}

fn null_in_schema(request: &Request) -> Option<Behaviour> {
    let text = request.body["tools"].to_string();
    text.contains(":null").then(|| refusal(400, "Invalid JSON payload received"))
}

fn null_content(request: &Request) -> Option<Behaviour> {
    let found = messages(request).iter().any(|message| message.get("content").is_some_and(Value::is_null));
    found.then(|| refusal(422, "messages.1.content: Input should be a valid string"))
}

fn empty_assistant(request: &Request) -> Option<Behaviour> {
    let is_empty = |message: &&Value| {
        message["role"] == "assistant"
            && message.get("tool_calls").is_none()
            && message["content"].as_str().unwrap_or_default().is_empty()
    };
    messages(request).iter().find(is_empty).map(|_| refusal(400, "all messages must have non-empty content"))
}

fn tools(request: &Request) -> Option<Behaviour> {
    let used = wants(request, "tools") || messages(request).iter().any(|message| message["role"] == "tool");
    used.then(|| refusal(400, "registry.ollama.ai/library/gemma3:4b does not support tools"))
}

fn system(request: &Request) -> Option<Behaviour> {
    let found = messages(request).iter().any(|message| message["role"] == "system");
    found.then(|| refusal(400, "System role not supported"))
}

fn no_stream(request: &Request) -> Option<Behaviour> {
    (request.body["stream"] != true).then(|| refusal(400, "This model only supports stream mode"))
}

fn unsent_reasoning(request: &Request) -> Option<Behaviour> {
    let lacks = |message: &&Value| message.get("tool_calls").is_some() && message["reasoning_content"] != "I think.";
    messages(request)
        .iter()
        .find(lacks)
        .map(|_| refusal(400, "Missing `reasoning_content` field in the assistant message"))
}

fn sent_reasoning(request: &Request) -> Option<Behaviour> {
    let has = messages(request).iter().any(|message| message.get("reasoning_content").is_some());
    has.then(|| refusal(400, "The reasoning_content field must not be sent"))
}

fn unsent_signature(request: &Request) -> Option<Behaviour> {
    let calls = messages(request).iter().filter_map(|message| message.get("tool_calls")?.as_array()).flatten();
    let mut unsigned = calls.filter(|call| call["extra_content"]["google"]["thought_signature"] != "signed");
    unsigned.next().map(|_| refusal(400, "Function call is missing a thought_signature"))
}

fn too_long(request: &Request) -> Option<Behaviour> {
    let long = messages(request).iter().any(|message| message["role"] == "tool" && message.to_string().len() > 4_000);
    long.then(|| refusal(400, "This model's maximum context length is 2048 tokens. However, you requested more."))
}

fn thoughtful() -> Behaviour {
    let call = json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}});
    Behaviour::Message(json!({"content": "", "reasoning_content": "I think.", "tool_calls": [call]}))
}

fn signed() -> Behaviour {
    let call = json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}, "extra_content": {"google": {"thought_signature": "signed"}}});
    Behaviour::Message(json!({"content": null, "tool_calls": [call]}))
}

fn streamed() -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Paris"}, "finish_reason": "stop"}]});
    format!("data: {chunk}\n\ndata: [DONE]\n\n")
}
