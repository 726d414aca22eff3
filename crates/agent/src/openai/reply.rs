//! A reply as endpoints spell it: the common shape and the usual departures from it.

use super::{ApiKey, read::told};
use crate::model::{ChatReply, ModelError, RawCall, TokenUsage};
use serde_json::Value;

/// Calls of one reply that are kept.
const CALLS_MAX: usize = 128;

/// Why JSON is no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyFault {
    /// It has no message in it.
    NoMessage,
    /// It holds an error, although the status said that all is well: in the host's words, which may hold the key.
    Error(String),
    /// The same, about the key: the words may repeat parts of it.
    OfKey,
}

impl ReplyFault {
    pub(super) fn at(self, host: &str, key: Option<&ApiKey>) -> ModelError {
        ModelError::retryable(match self {
            Self::NoMessage => format!("the model at {host} sent a reply without a message in it"),
            Self::Error(said) => format!("the model at {host} replied with an error: {}", told(&said, key)),
            Self::OfKey => format!("the model at {host} replied with an error: it does not accept the key"),
        })
    }
}

/// Reads a completion. `model` is the name that was asked for.
pub(super) fn read(mut body: Value, model: &str) -> Result<ChatReply, ReplyFault> {
    let usage = body.get("usage").and_then(usage);
    let Some(choice) = body.pointer_mut("/choices/0").map(Value::take) else {
        return Err(error_in(&body).unwrap_or(ReplyFault::NoMessage));
    };
    let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
        return Err(ReplyFault::NoMessage);
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let spoken = words(&message["content"]).or_else(|| words(&message["refusal"]));
    let (thought, content) = split_thought(spoken);
    let reasoning = words(&message["reasoning_content"]).or_else(|| words(&message["reasoning"]));
    Ok(ChatReply {
        model: model.to_owned(),
        model_is_known: false,
        content,
        reasoning: reasoning.or(thought),
        calls: calls.iter().take(CALLS_MAX).map(call).collect(),
        calls_left_out: calls.len().saturating_sub(CALLS_MAX),
        cut_off: choice.get("finish_reason").and_then(Value::as_str) == Some("length"),
        usage,
    })
}

fn error_in(body: &Value) -> Option<ReplyFault> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    if is_of_key(error) {
        return Some(ReplyFault::OfKey);
    }
    let said = error.get("message").unwrap_or(error);
    Some(ReplyFault::Error(said.as_str().map_or_else(|| said.to_string(), str::to_owned)))
}

fn is_of_key(error: &Value) -> bool {
    let is = |place: &str, known: &[Value]| error.get(place).is_some_and(|said| known.contains(said));
    let codes = [401.into(), 403.into(), "401".into(), "403".into(), "invalid_api_key".into()];
    is("code", &codes) || is("type", &["authentication_error".into()])
}

/// A text, or a list of parts of which some are texts.
fn words(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
            Some(texts.collect::<String>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
    .filter(|text| !text.is_empty())
}

/// Servers without a parser for it leave the thinking in front of the words.
fn split_thought(content: Option<String>) -> (Option<String>, Option<String>) {
    let Some(text) = content else { return (None, None) };
    let inner = text.trim_start().strip_prefix("<think>").and_then(|rest| rest.split_once("</think>"));
    match inner {
        Some((thought, words)) => (filled(thought), filled(words)),
        None => (None, Some(text)),
    }
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn call(call: &Value) -> RawCall {
    let function = call.get("function").unwrap_or(call);
    let arguments = match function.get("arguments") {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    RawCall {
        id: call.get("id").and_then(Value::as_str).map(str::to_owned),
        name: function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        arguments,
    }
}

fn usage(usage: &Value) -> Option<TokenUsage> {
    let tokens = |place| usage.pointer(place).and_then(Value::as_i64).unwrap_or(0).max(0);
    usage.is_object().then(|| TokenUsage {
        input: tokens("/prompt_tokens"),
        cached: tokens("/prompt_tokens_details/cached_tokens"),
        output: tokens("/completion_tokens"),
        reasoning: tokens("/completion_tokens_details/reasoning_tokens"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_may_be_text_parts_or_nothing() {
        check_words(&json!({"content": "a"}), Some("a"), None);
        check_words(&json!({"content": null}), None, None);
        check_words(&json!({"content": ""}), None, None);
        check_words(&json!({}), None, None);
        check_words(&json!({"content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}), Some("ab"), None);
        check_words(&json!({"content": null, "refusal": "no"}), Some("no"), None);
        check_words(&json!({"content": 7}), None, None);
    }

    #[test]
    fn reasoning_has_several_names() {
        check_words(&json!({"content": "a", "reasoning_content": "r"}), Some("a"), Some("r"));
        check_words(&json!({"content": "a", "reasoning": "r"}), Some("a"), Some("r"));
        check_words(&json!({"content": "<think>\nr\n</think>\n\na"}), Some("a"), Some("r"));
        check_words(&json!({"content": "<think>r"}), Some("<think>r"), None);
    }

    #[test]
    fn calls_are_taken_down_as_they_came() {
        check_call(&json!({"id": "1", "function": {"name": "f", "arguments": "{\"a\""}}), "f", "{\"a\"");
        check_call(&json!({"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}), "f", "{\"a\":1}");
        check_call(&json!({"id": "1", "function": {"name": "f", "arguments": ""}}), "f", "{}");
        check_call(&json!({"id": "1", "function": {"name": "f"}}), "f", "{}");
        check_call(&json!({"id": "1"}), "", "{}");
    }

    #[test]
    fn ten_thousand_calls_are_capped_and_counted() {
        let calls = vec![json!({"id": "1", "function": {"name": "f"}}); 10_000];
        let reply = read_message(&json!({"tool_calls": calls}));
        assert_eq!((reply.calls.len(), reply.calls_left_out), (128, 9_872));
    }

    #[test]
    fn usage_is_read_as_far_as_it_is_there() {
        let body = |usage: Value| json!({"choices": [{"message": {"content": "a"}}], "usage": usage});
        let full = json!({
            "prompt_tokens": 10, "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 2},
        });
        let read = |usage| read(body(usage), "m").unwrap().usage;
        assert_eq!(read(full), Some(TokenUsage { input: 10, cached: 6, output: 4, reasoning: 2 }));
        assert_eq!(read(json!({"prompt_tokens": -1})), Some(TokenUsage::default()));
        assert_eq!(read(Value::Null), None);
    }

    #[test]
    fn json_that_is_no_reply_is_a_fault() {
        for body in [json!({}), json!([]), json!("a"), json!({"choices": []}), json!({"choices": [{}]}), Value::Null] {
            assert_eq!(read(body, "m"), Err(ReplyFault::NoMessage));
        }
        let error = json!({"error": {"message": "overloaded\ntrace"}});
        let ModelError::Retryable { message, .. } = read(error, "m").unwrap_err().at("h", None) else {
            panic!("retryable")
        };
        assert_eq!(message, "the model at h replied with an error: overloaded");
        for of_key in [json!({"code": 401}), json!({"code": "403"}), json!({"type": "authentication_error"})] {
            assert_eq!(read(json!({"error": of_key}), "m"), Err(ReplyFault::OfKey));
        }
    }

    fn check_words(message: &Value, content: Option<&str>, reasoning: Option<&str>) {
        let reply = read_message(message);
        assert_eq!((reply.content.as_deref(), reply.reasoning.as_deref()), (content, reasoning), "{message}");
    }

    fn check_call(given: &Value, name: &str, arguments: &str) {
        let reply = read_message(&json!({"tool_calls": [given]}));
        assert_eq!((reply.calls[0].name.as_str(), reply.calls[0].arguments.as_str()), (name, arguments));
    }

    fn read_message(message: &Value) -> ChatReply {
        read(json!({"choices": [{"message": message}]}), "m").unwrap()
    }
}
