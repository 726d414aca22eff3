//! Messages of JSON-RPC, as servers send them and as we do.

use super::{error::Refusal, json};
use quarterdeck_api::JsonObject;
use serde_json::{Value, json, value::RawValue};

/// Messages of one batch that are read.
const BATCH_MAX: usize = 1_000;
/// The longest name that a server may give to a request: we must keep it to answer.
const REQUEST_ID_MAX_BYTES: usize = 256;
/// Where the number of a broken reply is looked for, from its beginning on.
const SALVAGE_MAX_BYTES: usize = 4_096;
/// Versions that are read of those that a server says it speaks.
const VERSIONS_MAX: usize = 16;

/// A message of a server.
#[derive(Debug)]
pub(super) enum Message<'a> {
    /// It wants an answer. The id as it was written; none if it is too long to be kept.
    Request { id: Option<&'a str>, method: String },
    /// It tells something.
    Notification { method: String },
    /// It answers. The number of the request, if it is one that we could have given.
    Reply { id: Option<u64>, outcome: Result<&'a RawValue, Refusal> },
    /// It is no message. The number of a request of ours, if it names one.
    Odd { id: Option<u64> },
}

/// Reads what was sent: one message or a batch of them. The text is JSON.
pub(super) fn read(text: &str) -> Vec<Message<'_>> {
    match json::items(text, BATCH_MAX) {
        Some((batch, _)) => batch.into_iter().map(|message| one(message.get())).collect(),
        None => vec![one(text)],
    }
}

fn one(text: &str) -> Message<'_> {
    let Some([id, method, result, error]) = json::members(text, ["id", "method", "result", "error"]) else {
        return Message::Odd { id: None };
    };
    let number = id.and_then(|id| json::whole_number(id.get()));
    match (json::string(method), result, error) {
        (_, Some(result), _) => Message::Reply { id: number, outcome: Ok(result) },
        (_, None, Some(error)) => Message::Reply { id: number, outcome: Err(refusal(error.get())) },
        (Some(method), None, None) => match id.map(RawValue::get) {
            Some(id) => Message::Request { id: Some(id).filter(|id| id.len() <= REQUEST_ID_MAX_BYTES), method },
            None => Message::Notification { method },
        },
        (None, None, None) => Message::Odd { id: number },
    }
}

/// Reads an error however it is written.
fn refusal(error: &str) -> Refusal {
    let [code, message, data] = json::members(error, ["code", "message", "data"]).unwrap_or_default();
    let code = code.and_then(|code| code.get().trim_matches('"').parse().ok()).unwrap_or_default();
    let said = json::string(message).filter(|message| !message.trim().is_empty());
    let message = said.or_else(|| serde_json::from_str(error).ok());
    let message = message.unwrap_or_else(|| format!("an error without words (code {code})"));
    let versions = data.and_then(|data| json::members(data.get(), ["supported", "supportedVersions"]));
    let listed = versions.and_then(|[supported, versions]| supported.or(versions));
    let listed = listed.and_then(|list| json::items(list.get(), VERSIONS_MAX)).unwrap_or_default().0;
    Refusal { code, message, versions: listed.into_iter().filter_map(|version| json::string(Some(version))).collect() }
}

/// The number of the request that a broken reply belongs to, as far as its beginning tells.
pub(super) fn salvaged_id(bytes: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(SALVAGE_MAX_BYTES)]);
    let after = head.split_once("\"id\"")?.1.trim_start().strip_prefix(':')?.trim_start();
    let after = after.strip_prefix('"').unwrap_or(after);
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

/// A message of ours.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) text: String,
    /// The number of a request that wants a reply.
    pub(super) id: Option<u64>,
    /// What is asked; none for an answer of ours.
    pub(super) method: Option<&'static str>,
    /// The tool that is called.
    pub(super) tool: Option<String>,
}

impl Outgoing {
    pub(super) fn request(id: u64, method: &'static str, params: &JsonObject) -> Self {
        let text = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let tool = params.get("name").and_then(Value::as_str).filter(|_| method == "tools/call").map(str::to_owned);
        Self { text, id: Some(id), method: Some(method), tool }
    }

    pub(super) fn notification(method: &'static str, params: &Value) -> Self {
        let text = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        Self { text, id: None, method: Some(method), tool: None }
    }

    /// The answer to a request of the server: a ping is returned, wishes (to ask our model, our user, for our
    /// folders) are refused.
    pub(super) fn answer(id: &str, method: &str) -> Self {
        let answer = match method {
            "ping" => json!({"result": {}}),
            _ => json!({"error": {"code": -32_601, "message": "this client does not do that"}}),
        };
        let answer = answer.to_string();
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{}", &answer[1..]);
        Self { text, id: None, method: None, tool: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let kinds = |text: &str| -> Vec<String> {
            let name = |message: &Message<'_>| match message {
                Message::Request { id, method } => format!("request {} {method}", id.unwrap_or("-")),
                Message::Notification { method } => format!("notification {method}"),
                Message::Reply { id, outcome: Ok(result) } => format!("result {id:?} {result}"),
                Message::Reply { id, outcome: Err(refusal) } => format!("error {id:?} {} {refusal}", refusal.code),
                Message::Odd { id } => format!("odd {id:?}"),
            };
            read(text).iter().map(name).collect()
        };
        for (text, expected) in [
            (r#"{"id": "a", "method": "ping"}"#, "request \"a\" ping"),
            (r#"{"id": null, "method": "notifications/progress"}"#, "notification notifications/progress"),
            (r#"{"id": "7", "result": {}}"#, "result Some(7) {}"),
            (r#"{"id": 7, "result": [1], "error": null, "more": 1}"#, "result Some(7) [1]"),
            (r#"{"id": 7.0, "error": {"code": "-1", "message": "no"}}"#, "error Some(7) -1 no"),
            (r#"{"id": null, "error": {"code": 5}}"#, "error None 5 an error without words (code 5)"),
            (r#"{"id": 1, "error": "no"}"#, "error Some(1) 0 no"),
            (r#"{"id": 1, "result": null}"#, "odd Some(1)"),
            ("{}", "odd None"),
        ] {
            assert_eq!(kinds(text), [expected], "{text}");
        }
        assert_eq!(
            kinds(r#"[{"id": 1, "result": {}}, 5, {"method": "x"}]"#),
            ["result Some(1) {}", "odd None", "notification x"]
        );
        let long = format!(r#"{{"id": "{}", "method": "ping"}}"#, "x".repeat(REQUEST_ID_MAX_BYTES));
        assert_eq!(kinds(&long), ["request - ping"]);
    }

    #[test]
    fn versions_are_found_in_an_error() {
        let text = r#"{"id": 1, "error": {"code": -32602, "message": "m", "data": {"supported": ["2025-06-18", 5]}}}"#;
        let Message::Reply { outcome: Err(refusal), .. } = &read(text)[0] else { panic!("no error") };
        assert_eq!(refusal.versions, ["2025-06-18"]);
        assert!(refusal.is_about_version());
    }

    #[test]
    fn the_number_of_a_broken_reply_is_found() {
        assert_eq!(salvaged_id(b"{\"jsonrpc\":\"2.0\",\"id\": \"12\",\"result\":{\"a"), Some(12));
        assert_eq!(salvaged_id(b"{\"jsonrpc\":\"2.0\""), None);
    }

    #[test]
    fn an_answer_repeats_the_id_as_it_came() {
        assert_eq!(Outgoing::answer("\"a\"", "ping").text, r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
        assert!(Outgoing::answer("1", "sampling/createMessage").text.contains("\"error\""));
    }
}
