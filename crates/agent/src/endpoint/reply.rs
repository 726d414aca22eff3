//! A reply as endpoints spell it: the common shape and the usual departures from it.

use super::said::{ErrorInside, error_in};
use crate::{
    model::{ChatReply, Finish, HostMembers, RawCall, TokenUsage},
    thinking,
};
use quarterdeck_api::JsonObject;
use serde_json::Value;

/// Calls of one reply that are kept.
pub(super) const CALLS_MAX: usize = 128;

/// Why JSON is no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyFault {
    /// It has no message in it.
    NoMessage,
    /// It holds an error.
    Error(ErrorInside),
    /// The host broke off and says so in a word.
    BrokenOff(String),
}

/// Reads a completion. `model` is the name that was asked for.
pub(super) fn read(mut body: Value, model: &str) -> Result<ChatReply, ReplyFault> {
    if let Some(error) = error_in(&body) {
        return Err(ReplyFault::Error(error));
    }
    let usage = body.get("usage").and_then(usage);
    let choices = choices(&mut body);
    if let Some(error) = choices.iter().find_map(error_in_choice) {
        return Err(ReplyFault::Error(error));
    }
    let messages: Vec<_> = choices.iter().filter_map(message).collect();
    let first = choices.iter().find(|choice| message(choice).is_some()).ok_or(ReplyFault::NoMessage)?;
    let spoken = messages.iter().find_map(|message| words(&message["content"]));
    let spoken = spoken.or_else(|| messages.iter().find_map(|message| words(&message["refusal"])));
    let spoken = spoken.or_else(|| first.get("text").and_then(words));
    let split = spoken.as_deref().map(thinking::split).unwrap_or_default();
    let calls: Vec<_> = messages.iter().flat_map(|message| calls_of(message)).collect();
    let finish = finish(&choices)?;
    Ok(ChatReply {
        model: model.to_owned(),
        model_is_known: false,
        content: split.words,
        reasoning: messages.iter().find_map(|message| reasoning(message)).or(split.thoughts),
        calls_left_out: calls.len().saturating_sub(CALLS_MAX),
        calls: calls.into_iter().take(CALLS_MAX).map(call).collect(),
        finish,
        usage,
        cost: None,
        kept: kept(&messages),
    })
}

/// What stands in messages beside the common members, and content that is more than words. The client says whose it is.
fn kept(messages: &[&Value]) -> Option<HostMembers> {
    const COMMON: [&str; 8] =
        ["role", "tool_calls", "function_call", "refusal", "annotations", "audio", "parsed", "content"];
    let mut members = JsonObject::new();
    for (name, value) in messages.iter().filter_map(|message| message.as_object()).flatten() {
        let is_thought =
            |part: &Value| part["type"].as_str().is_some_and(|kind| kind != "text" && kind != "output_text");
        let is_content = name == "content" && value.as_array().is_some_and(|parts| parts.iter().any(is_thought));
        if is_content || !COMMON.contains(&name.as_str()) && !is_nothing(value) {
            members.insert(name.clone(), value.clone());
        }
    }
    (!members.is_empty()).then(|| HostMembers { message: members, ..HostMembers::default() })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What stands in a call beside the common members.
fn extra(call: &Value, function: &Value) -> JsonObject {
    let beside = |object: &Value, common: &[&str]| {
        let members = object.as_object().into_iter().flatten();
        let kept = members.filter(|(name, value)| !common.contains(&name.as_str()) && !is_nothing(value));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect::<JsonObject>()
    };
    if std::ptr::eq(call, function) {
        return JsonObject::new();
    }
    let mut extra = beside(call, &["id", "type", "index", "function"]);
    let inside = beside(function, &["name", "arguments", "parameters", "input", "description"]);
    if !inside.is_empty() {
        extra.insert("function".into(), inside.into());
    }
    extra
}

/// The choices, or what some hosts send in place of them: a message on its own.
fn choices(body: &mut Value) -> Vec<Value> {
    match body.get_mut("choices").map(Value::take) {
        Some(Value::Array(choices)) => choices,
        Some(choice @ Value::Object(_)) => vec![choice],
        _ if body.get("message").is_some_and(Value::is_object) => vec![body.take()],
        _ => Vec::new(),
    }
}

fn error_in_choice(choice: &Value) -> Option<ErrorInside> {
    let within = |holder: &Value| error_in(&serde_json::json!({"choices": [], "error": holder.get("error")?}));
    within(choice).or_else(|| within(choice.get("message")?))
}

fn message(choice: &Value) -> Option<&Value> {
    let message = ["message", "delta"].iter().find_map(|name| choice.get(*name).filter(|message| message.is_object()));
    message.or_else(|| choice.get("text").filter(|text| text.is_string()))
}

/// The calls of a message; one of them may stand there without a list, in the manner of before there were several.
fn calls_of(message: &Value) -> Vec<&Value> {
    match message.get("tool_calls") {
        Some(Value::Array(calls)) if !calls.is_empty() => calls.iter().filter(|call| call.is_object()).collect(),
        Some(call @ Value::Object(_)) => vec![call],
        _ => message.get("function_call").filter(|call| call.is_object()).into_iter().collect(),
    }
}

/// How the choices ended; what is worst counts.
fn finish(choices: &[Value]) -> Result<Finish, ReplyFault> {
    let mut finish = Finish::Done;
    for choice in choices {
        let reason = ["finish_reason", "done_reason", "finishReason"].iter().find_map(|name| choice.get(*name));
        let reason = reason.and_then(|reason| reason.as_str().or_else(|| reason.get("type")?.as_str()));
        let Some(reason) = reason else { continue };
        match read_finish(reason)? {
            Finish::Calls if finish == Finish::Done => finish = Finish::Calls,
            Finish::CutOff if !matches!(finish, Finish::Stopped(_)) => finish = Finish::CutOff,
            stopped @ Finish::Stopped(_) => finish = stopped,
            Finish::Done | Finish::Calls | Finish::CutOff => {}
        }
    }
    Ok(finish)
}

/// Words that are not known are no good end: the model stops by itself, at its limit, or for a reason to be told.
pub(super) fn read_finish(reason: &str) -> Result<Finish, ReplyFault> {
    let word = reason.trim().to_ascii_lowercase();
    let word = word.strip_prefix("finish_reason_").unwrap_or(&word);
    Ok(match word {
        "" | "stop" | "stopped" | "end_turn" | "stop_sequence" | "eos" | "eos_token" | "end" | "complete"
        | "completed" | "finished" | "done" | "normal" | "null" | "none" | "unspecified" => Finish::Done,
        "tool_calls" | "tool_call" | "function_call" | "tool_use" => Finish::Calls,
        "length"
        | "max_tokens"
        | "max_length"
        | "model_length"
        | "max_output_tokens"
        | "max_completion_tokens"
        | "model_context_window_exceeded"
        | "token_limit"
        | "truncated"
        | "incomplete" => Finish::CutOff,
        "error"
        | "network_error"
        | "insufficient_system_resource"
        | "abort"
        | "aborted"
        | "cancelled"
        | "canceled"
        | "timeout"
        | "overloaded"
        | "server_error"
        | "internal_error"
        | "engine_overloaded"
        | "unavailable" => {
            return Err(ReplyFault::BrokenOff(reason.to_owned()));
        }
        _ => Finish::Stopped(reason.to_owned()),
    })
}

/// A text, or a list of parts of which some are texts.
fn words(content: &Value) -> Option<String> {
    let is_thought =
        |part: &Value| matches!(part["type"].as_str(), Some("thinking" | "reasoning" | "redacted_thinking"));
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let spoken = parts.iter().filter(|part| !is_thought(part));
            let texts = spoken.filter_map(|part| part.as_str().or_else(|| text_of(part)));
            Some(texts.collect::<String>())
        }
        Value::Object(_) => text_of(content).map(str::to_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
    .filter(|text| !text.is_empty())
}

fn text_of(part: &Value) -> Option<&str> {
    ["text", "refusal", "content"].iter().find_map(|name| part.get(*name)?.as_str())
}

/// What was thought, by the names it comes by.
fn reasoning(message: &Value) -> Option<String> {
    const NAMES: [&str; 6] = ["reasoning_content", "reasoning", "thinking", "reasoning_text", "thoughts", "thought"];
    let named = NAMES.iter().find_map(|name| words(message.get(*name)?));
    let listed = || {
        let details = message.get("reasoning_details")?.as_array()?;
        let texts = details.iter().filter_map(|detail| detail.get("text").or_else(|| detail.get("summary"))?.as_str());
        Some(texts.collect::<String>())
    };
    let in_parts = || {
        let parts = message.get("content")?.as_array()?.iter();
        let thoughts = parts.filter_map(|part| words(part.get("thinking").or_else(|| part.get("reasoning"))?));
        Some(thoughts.collect::<String>())
    };
    named.or_else(listed).or_else(in_parts).filter(|thoughts| !thoughts.trim().is_empty())
}

fn call(call: &Value) -> RawCall {
    let function = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let arguments = ["arguments", "parameters", "input"].iter().find_map(|name| function.get(*name));
    let arguments = match arguments {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    RawCall {
        id: call.get("id").and_then(Value::as_str).map(str::to_owned),
        name: function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        arguments,
        extra: extra(call, function),
    }
}

/// A number of tokens, however it is written; 0 when there is none.
pub(super) fn counted(usage: &Value, place: &str) -> i64 {
    number(usage, place).unwrap_or(0).max(0)
}

fn number(usage: &Value, place: &str) -> Option<i64> {
    usage.pointer(place).and_then(|value| value.as_i64().or_else(|| rounded(value.as_f64()?)))
}

fn usage(usage: &Value) -> Option<TokenUsage> {
    let tokens = |places: [&str; 2]| places.iter().find_map(|place| number(usage, place)).unwrap_or(0).max(0);
    usage.is_object().then(|| TokenUsage {
        input: tokens(["/prompt_tokens", "/input_tokens"]),
        cached: tokens(["/prompt_tokens_details/cached_tokens", "/prompt_cache_hit_tokens"]),
        output: tokens(["/completion_tokens", "/output_tokens"]),
        reasoning: tokens(["/completion_tokens_details/reasoning_tokens", "/reasoning_tokens"]),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a cast to an integer saturates")]
fn rounded(number: f64) -> Option<i64> {
    number.is_finite().then_some(number as i64)
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
        check_words(&json!({"content": "<think>r"}), None, Some("r"));
        check_words(&json!({"content": "r</think>a"}), Some("a"), Some("r"));
        let parts =
            json!([{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}, {"type": "text", "text": "a"}]);
        check_words(&json!({"content": parts}), Some("a"), Some("r"));
        check_words(&json!({"content": "a", "reasoning_details": [{"text": "r"}]}), Some("a"), Some("r"));
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
    }

    #[test]
    fn an_error_beside_half_a_reply_counts() {
        for error in [
            json!({"choices": [{"message": {"content": "half"}, "error": {"message": "no"}, "finish_reason": "error"}]}),
            json!({"choices": [{"message": {"content": "half", "error": {"message": "no"}}}]}),
            json!({"choices": [{"message": {"content": "half"}}], "error": {"message": "no"}}),
        ] {
            assert!(matches!(read(error, "m"), Err(ReplyFault::Error(error)) if error.words == "no"));
        }
    }

    #[test]
    fn the_end_of_a_reply_is_read_by_its_hosts_word() {
        let ended = |reason: Value| {
            read(json!({"choices": [{"message": {"content": "a"}, "finish_reason": reason}]}), "m").map(|r| r.finish)
        };
        for done in [json!("stop"), Value::Null, json!("STOP"), json!(""), json!("end_turn"), json!("eos")] {
            assert_eq!(ended(done), Ok(Finish::Done));
        }
        assert_eq!(ended(json!("tool_calls")), Ok(Finish::Calls));
        for cut in ["length", "MAX_TOKENS", "model_length", "max_output_tokens"] {
            assert_eq!(ended(json!(cut)), Ok(Finish::CutOff));
        }
        for stopped in ["content_filter", "SAFETY", "sensitive", "MALFORMED_FUNCTION_CALL", "what is this"] {
            assert_eq!(ended(json!(stopped)), Ok(Finish::Stopped(stopped.into())));
        }
        for broken in ["error", "network_error", "insufficient_system_resource", "abort"] {
            assert_eq!(ended(json!(broken)), Err(ReplyFault::BrokenOff(broken.into())));
        }
    }

    #[test]
    fn calls_of_all_choices_count() {
        let call = |name: &str| json!({"tool_calls": [{"id": name, "function": {"name": name, "arguments": "{}"}}]});
        let said = json!({"content": "Let me look."});
        let choices =
            [said, call("a"), call("b")].map(|message| json!({"message": message, "finish_reason": "tool_calls"}));
        let reply = read(json!({"choices": choices}), "m").unwrap();
        let names: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!((names, reply.content.as_deref()), (vec!["a", "b"], Some("Let me look.")));
    }

    #[test]
    fn older_and_other_shapes_are_read() {
        let old = json!({"choices": [{"message": {"function_call": {"name": "f", "arguments": "{}"}}}]});
        assert_eq!(read(old, "m").unwrap().calls[0].name, "f");
        let own = json!({"message": {"role": "assistant", "content": "a"}, "done_reason": "stop", "done": true});
        assert_eq!(read(own, "m").unwrap().content.as_deref(), Some("a"));
        let text = json!({"choices": [{"text": "a", "finish_reason": "stop"}]});
        assert_eq!(read(text, "m").unwrap().content.as_deref(), Some("a"));
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
