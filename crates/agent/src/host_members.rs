//! What a model's host put into a reply beside the common members, on its way into the log and back. It is recorded with
//! the reply in the same commit, so that no crash loses it; the engine shows it to nobody.

use crate::{
    calls::DEPTH_MAX,
    model::{ChatReply, HostMembers},
    text::depth_is_within,
};
use quarterdeck_api::{JsonObject, ToolRequest};
use serde_json::Value;

/// Bytes that are kept of one reply. What is more is left out whole: half a signature is none.
const KEPT_MAX_BYTES: usize = 256 << 10;

/// What is recorded of a reply whose calls became `requests`; none when there is nothing, or too much. `replies` came
/// before it.
pub(crate) fn record(reply: &ChatReply, requests: &[ToolRequest], replies: usize) -> Option<JsonObject> {
    let kept = reply.kept.clone().unwrap_or_default();
    let mut record = JsonObject::new();
    let mut message = kept.message;
    // The thoughts are in the log already: it is enough to say by which name they came.
    let is_thoughts =
        |(name, value): (&String, &Value)| (value.as_str() == reply.reasoning.as_deref()).then(|| name.clone());
    if reply.reasoning.is_some()
        && let Some(name) = message.iter().find_map(is_thoughts)
    {
        message.shift_remove(&name);
        record.insert("reasoning".into(), name.into());
    }
    let mut calls = JsonObject::new();
    for (place, call) in reply.calls.iter().enumerate().filter(|(_, call)| !call.extra.is_empty()) {
        let own = format!("call.{replies}.{place}");
        let is_this = |request: &&ToolRequest| {
            request.id.is_some() && (request.id == call.id || request.id.as_ref() == Some(&own))
        };
        if let Some(id) = requests.iter().find(is_this).and_then(|request| request.id.clone()) {
            calls.insert(id, call.extra.clone().into());
        }
    }
    for (name, members) in [("message", message), ("calls", calls)] {
        if !members.is_empty() {
            record.insert(name.into(), members.into());
        }
    }
    if record.is_empty() {
        return None;
    }
    record.insert("origin".into(), kept.origin.into());
    let record = Value::Object(record);
    let text = record.to_string();
    let can_be_stored =
        text.len() <= KEPT_MAX_BYTES && !text.contains("\\u0000") && depth_is_within(&record, DEPTH_MAX);
    if !can_be_stored {
        tracing::debug!(bytes = text.len(), "what the model's host wants back cannot be stored");
    }
    record.as_object().filter(|_| can_be_stored).cloned()
}

/// What was recorded of a reply with these thoughts and calls.
pub(crate) fn read(record: &JsonObject, reasoning: Option<&str>, requests: &[ToolRequest]) -> Option<HostMembers> {
    let object = |name: &str| record.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut message = object("message");
    if let (Some(name), Some(reasoning)) = (record.get("reasoning").and_then(Value::as_str), reasoning) {
        message.insert(name.to_owned(), reasoning.into());
    }
    let of_calls = object("calls");
    let extra = |request: &ToolRequest| of_calls.get(request.id.as_ref()?)?.as_object().cloned();
    let calls = requests.iter().map(|request| extra(request).unwrap_or_default()).collect();
    Some(HostMembers { origin: record.get("origin")?.as_str()?.to_owned(), message, calls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RawCall;
    use serde_json::json;

    #[test]
    fn what_is_recorded_reads_back() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let call = |id: Option<&str>, extra: Value| RawCall {
            id: id.map(str::to_owned),
            extra: object(extra),
            ..RawCall::default()
        };
        let message = object(json!({"reasoning_content": "hm", "signature": "s"}));
        let reply = ChatReply {
            reasoning: Some("hm".into()),
            kept: Some(HostMembers { origin: "h".into(), message: message.clone(), calls: Vec::new() }),
            calls: vec![call(Some("a"), json!({"x": 1})), call(Some("b"), json!({})), call(None, json!({"y": 2}))],
            ..ChatReply::default()
        };
        let request = |id: &str| ToolRequest { tool_name: "t".into(), args: None, id: Some(id.into()) };
        let requests = [request("a"), request("b"), request("call.7.2")];
        let record = record(&reply, &requests, 7).unwrap();
        assert!(!Value::Object(record.clone()).to_string().contains("hm"), "thoughts are stored once");
        let calls = vec![object(json!({"x": 1})), JsonObject::new(), object(json!({"y": 2}))];
        assert_eq!(read(&record, Some("hm"), &requests), Some(HostMembers { origin: "h".into(), message, calls }));
    }

    #[test]
    fn nothing_and_too_much_are_not_recorded() {
        let reply = |value: &str| ChatReply {
            kept: Some(HostMembers {
                message: JsonObject::from_iter([("s".to_owned(), value.into())]),
                ..HostMembers::default()
            }),
            ..ChatReply::default()
        };
        assert_eq!(record(&ChatReply::default(), &[], 0), None);
        assert!(record(&reply("x"), &[], 0).is_some());
        assert_eq!(record(&reply(&"x".repeat(KEPT_MAX_BYTES)), &[], 0), None);
        assert_eq!(record(&reply("\0"), &[], 0), None);
    }
}
