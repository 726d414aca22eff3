//! The same replies by another interface: Anthropic's Messages, `OpenAI`'s Responses. What makes no sense there is not
//! played.

use super::{completion, stream};
use crate::fake_model::{Behaviour, calling};
use serde_json::{Value, json};

/// An interface of model endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Chat completions.
    Chat,
    /// Anthropic's.
    Messages,
    /// `OpenAI`'s newer one.
    Responses,
}

/// What a reply is by this interface; none when it cannot be said there. With `streamed`, as server-sent events.
pub(super) fn translated(reply: &Behaviour, interface: Interface, streamed: bool) -> Option<Behaviour> {
    let whole = match reply {
        Behaviour::Text(text) => completion(&json!({"content": text}), "stop"),
        Behaviour::Message(message) => completion(message, finish_of(message)),
        Behaviour::Calls(calls) => completion(&calling(calls), "tool_calls"),
        Behaviour::Body(body) => serde_json::from_slice(body).ok()?,
        Behaviour::Status(status, ..) if *status != 200 => return Some(reply.clone()),
        Behaviour::HangUp => return Some(reply.clone()),
        Behaviour::Status(..)
        | Behaviour::Decide(_)
        | Behaviour::After(..)
        | Behaviour::Bytes(_)
        | Behaviour::CutOff
        | Behaviour::Silence
        | Behaviour::Drip(_) => return None,
    };
    let [choice] = whole.get("choices")?.as_array()?.as_slice() else { return None };
    let message = Said::of(choice.get("message")?)?;
    let finish = choice.get("finish_reason").and_then(Value::as_str)?;
    if whole.get("error").is_some() || choice.get("error").is_some() {
        return None;
    }
    let (body, events) = match interface {
        Interface::Chat => return None,
        Interface::Messages => message.as_message(finish),
        Interface::Responses => message.as_response(finish)?,
    };
    if !streamed {
        return Some(Behaviour::Body(body.to_string().into_bytes()));
    }
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    Some(stream(&events.iter().map(event).collect::<String>()))
}

fn finish_of(message: &Value) -> &'static str {
    if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" }
}

/// What a message of the usual shape says.
struct Said {
    words: String,
    thoughts: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, String)>,
}

impl Said {
    /// None when it has another shape, or members of its own.
    fn of(message: &Value) -> Option<Self> {
        let members = message.as_object()?;
        let known = ["role", "content", "reasoning_content", "tool_calls"];
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            return None;
        }
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Some(String::new()),
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => None,
        };
        let calls = match members.get("tool_calls") {
            None => Vec::new(),
            Some(calls) => calls.as_array()?.iter().map(call).collect::<Option<_>>()?,
        };
        Some(Self { words: text("content")?, thoughts: text("reasoning_content")?, calls })
    }

    /// A message and the events of its stream.
    fn as_message(&self, finish: &str) -> (Value, Vec<Value>) {
        let mut blocks = Vec::new();
        let mut events = vec![json!({"type": "message_start", "message": {"type": "message", "role": "assistant",
            "content": [], "stop_reason": null, "usage": {"input_tokens": 11, "output_tokens": 1}}})];
        let mut add = |block: Value, empty: Value, deltas: Vec<Value>| {
            let index = blocks.len();
            blocks.push(block);
            events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
            let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
            events.extend(deltas.into_iter().map(delta));
            events.push(json!({"type": "content_block_stop", "index": index}));
        };
        if !self.thoughts.is_empty() {
            add(
                json!({"type": "thinking", "thinking": self.thoughts, "signature": "SEAL"}),
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    json!({"type": "thinking_delta", "thinking": self.thoughts}),
                    json!({"type": "signature_delta", "signature": "SEAL"}),
                ],
            );
        }
        if !self.words.is_empty() {
            let half = self.words.ceil_char_boundary(self.words.len() / 2);
            let delta = |text: &str| json!({"type": "text_delta", "text": text});
            add(
                json!({"type": "text", "text": self.words}),
                json!({"type": "text", "text": ""}),
                vec![delta(&self.words[..half]), delta(&self.words[half..])],
            );
        }
        for (id, name, arguments) in &self.calls {
            let input = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
            add(
                json!({"type": "tool_use", "id": id, "name": name, "input": input.unwrap_or_else(|| json!(arguments))}),
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                vec![json!({"type": "input_json_delta", "partial_json": arguments})],
            );
        }
        let reason = match finish {
            "stop" => "end_turn",
            "tool_calls" => "tool_use",
            "length" => "max_tokens",
            other => other,
        };
        let usage = json!({"input_tokens": 11, "output_tokens": 7});
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}}));
        events.push(json!({"type": "message_stop"}));
        let message =
            json!({"type": "message", "role": "assistant", "content": blocks, "stop_reason": reason, "usage": usage});
        (message, events)
    }

    /// A response and the events of its stream. It has no word for how it ended but that it is complete or not.
    fn as_response(&self, finish: &str) -> Option<(Value, Vec<Value>)> {
        let (status, reason) = match finish {
            "stop" => ("completed", Value::Null),
            "tool_calls" if !self.calls.is_empty() => ("completed", Value::Null),
            "length" => ("incomplete", json!({"reason": "max_output_tokens"})),
            "content_filter" => ("incomplete", json!({"reason": "content_filter"})),
            _ => return None,
        };
        let mut items = Vec::new();
        if !self.thoughts.is_empty() {
            let summary = json!([{"type": "summary_text", "text": self.thoughts}]);
            items.push(json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "SEAL"}));
        }
        if !self.words.is_empty() {
            let content = json!([{"type": "output_text", "text": self.words, "annotations": []}]);
            items.push(json!({"type": "message", "id": "msg_1", "role": "assistant", "content": content}));
        }
        for (id, name, arguments) in &self.calls {
            items.push(
                json!({"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments}),
            );
        }
        let usage = json!({"input_tokens": 11, "output_tokens": 7});
        let done = |(place, item): (usize, &Value)| json!({"type": "response.output_item.done", "output_index": place, "item": item});
        let mut events =
            vec![json!({"type": "response.created", "response": {"object": "response", "status": "in_progress"}})];
        events.extend(items.iter().enumerate().map(done));
        let response = json!({"object": "response", "status": status, "error": null, "incomplete_details": reason,
            "output": items, "usage": usage});
        events.push(json!({"type": format!("response.{status}"), "response": response}));
        Some((response, events))
    }
}

fn call(call: &Value) -> Option<(String, String, String)> {
    let members = call.as_object()?;
    let function = call.get("function")?.as_object()?;
    let is_usual = members.keys().all(|name| ["id", "type", "function", "index"].contains(&name.as_str()))
        && function.keys().all(|name| ["name", "arguments"].contains(&name.as_str()));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let id = text(call.get("id"))?;
    is_usual.then_some((id, text(function.get("name"))?, text(function.get("arguments"))?))
}
