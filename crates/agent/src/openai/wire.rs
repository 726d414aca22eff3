//! A request as chat completions spell it.

use crate::model::{ChatCall, ChatMessage, ChatRequest, Part};
use quarterdeck_api::{ReasoningEffort, ToolDefinition};
use serde_json::{Map, Value, json};

/// The body of `POST /chat/completions`. What is not set is left out: not every endpoint knows every field.
pub(super) fn body(request: &ChatRequest, model: &str) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), messages(&request.messages).into());
    body.insert("stream".into(), false.into());
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if request.tool_required {
        body.insert("tool_choice".into(), "required".into());
    }
    if let Some(effort) = request.reasoning_effort {
        body.insert("reasoning_effort".into(), effort_word(effort).into());
    }
    body.into()
}

/// The highest word that all endpoints share is `high`.
fn effort_word(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Disabled => "none",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::Xhigh => "high",
    }
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
    })
}

/// Neighbouring messages of the user's side become one: some models insist that the roles alternate.
fn messages(messages: &[ChatMessage]) -> Vec<Value> {
    let same_turn = |a: &ChatMessage, b: &ChatMessage| user_parts(a).is_some() && user_parts(b).is_some();
    messages.chunk_by(same_turn).map(message).collect()
}

fn user_parts(message: &ChatMessage) -> Option<&[Part]> {
    match message {
        ChatMessage::User(parts) | ChatMessage::Note(parts) => Some(parts),
        ChatMessage::System(_) | ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => None,
    }
}

/// One message, or several of the user's side.
fn message(group: &[ChatMessage]) -> Value {
    match group {
        [ChatMessage::System(text)] => json!({"role": "system", "content": text}),
        [ChatMessage::Assistant { content, calls }] => assistant(content.as_deref(), calls),
        [ChatMessage::Tool { call_id, content }] => {
            json!({"role": "tool", "tool_call_id": call_id, "content": content})
        }
        user => json!({"role": "user", "content": content(user.iter().filter_map(user_parts).flatten())}),
    }
}

fn assistant(content: Option<&str>, calls: &[ChatCall]) -> Value {
    if calls.is_empty() {
        return json!({"role": "assistant", "content": content.unwrap_or_default()});
    }
    json!({"role": "assistant", "content": content, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()})
}

fn call(call: &ChatCall) -> Value {
    let arguments = Value::Object(call.arguments.clone()).to_string();
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

/// Plain text where there is nothing else: every endpoint takes that.
fn content<'a>(parts: impl Iterator<Item = &'a Part> + Clone) -> Value {
    if parts.clone().any(|part| matches!(part, Part::Image(_))) {
        return parts.map(content_part).collect();
    }
    let texts = parts.filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n\n").into()
}

fn content_part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(uri) => json!({"type": "image_url", "image_url": {"url": uri}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_left_out() {
        assert_eq!(body(&ChatRequest::default(), "m"), json!({"model": "m", "messages": [], "stream": false}));
    }

    #[test]
    fn what_is_set_is_sent() {
        let request = ChatRequest {
            tools: vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: Map::new() }],
            reasoning_effort: Some(ReasoningEffort::Xhigh),
            tool_required: true,
            ..ChatRequest::default()
        };
        let body = body(&request, "m");
        assert_eq!(body["tools"][0]["function"]["name"], "t");
        assert_eq!(body["tool_choice"], "required");
        assert_eq!(body["reasoning_effort"], "high");
    }

    #[test]
    fn messages_keep_their_roles() {
        let call = ChatCall { id: "c1".into(), name: "t".into(), arguments: Map::from_iter([("a".into(), 1.into())]) };
        check(
            vec![
                ChatMessage::System("s".into()),
                ChatMessage::User(vec![text("u")]),
                ChatMessage::Assistant { content: None, calls: vec![call] },
                ChatMessage::Tool { call_id: "c1".into(), content: "r".into() },
                ChatMessage::Assistant { content: None, calls: vec![] },
            ],
            json!([
                {"role": "system", "content": "s"},
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{\"a\":1}"}},
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "r"},
                {"role": "assistant", "content": ""},
            ]),
        );
    }

    #[test]
    fn neighbouring_user_messages_become_one() {
        check(
            vec![ChatMessage::User(vec![text("a")]), ChatMessage::Note(vec![text("b")])],
            json!([{"role": "user", "content": "a\n\nb"}]),
        );
        check(
            vec![ChatMessage::User(vec![text("a"), Part::Image("data:x".into())]), ChatMessage::User(vec![text("b")])],
            json!([{"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:x"}},
                {"type": "text", "text": "b"},
            ]}]),
        );
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the table")]
    fn check(given: Vec<ChatMessage>, expected: Value) {
        assert_eq!(Value::from(messages(&given)), expected);
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }
}
