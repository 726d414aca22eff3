//! A host's own words about what went wrong, wherever it puts them.

use super::ApiKey;
use crate::text::cut;
use serde_json::Value;

/// How much of a host's explanation is passed on, in characters.
const SAID_MAX: usize = 500;
/// Faults of one list that are told.
const LISTED_MAX: usize = 5;
/// How deep words may be wrapped in each other.
const LEVELS_MAX: usize = 8;

/// An error in place of a reply, or in the middle of one, although the status said that all is well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorInside {
    /// The status that it stands for, if it names one.
    pub(super) status: Option<u16>,
    /// In the host's words, which may hold the key.
    pub(super) words: String,
}

/// The words in a body: JSON of many shapes, a page, or plain text.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim().trim_start_matches("data:").trim();
    match serde_json::from_str::<Value>(text) {
        Ok(json) => in_json(&json, LEVELS_MAX),
        Err(_) if text.starts_with('<') => in_page(text),
        Err(_) => filled(text),
    }
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn in_page(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower.get(start..)?.find("</title>")?;
    filled(page.get(start..end)?)
}

fn in_json(json: &Value, levels: usize) -> Option<String> {
    let levels = levels.checked_sub(1)?;
    match json {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => in_json(&inner, levels).or_else(|| filled(text)),
            _ => filled(text),
        },
        Value::Array(items) => {
            let told: Vec<_> = items.iter().filter_map(|item| in_json(item, levels)).take(LISTED_MAX).collect();
            (!told.is_empty()).then(|| told.join("; "))
        }
        Value::Object(_) => in_object(json, levels),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn in_object(json: &Value, levels: usize) -> Option<String> {
    const PLACES: [&str; 14] = [
        "error",
        "message",
        "msg",
        "detail",
        "errors",
        "error_description",
        "error_message",
        "errorMessage",
        "status_msg",
        "base_resp",
        "reason",
        "title",
        "description",
        "details",
    ];
    let words = PLACES.iter().find_map(|place| in_json(json.get(*place)?, levels));
    let words = words.map(|words| match place_of(json) {
        Some(place) => format!("{place}: {words}"),
        None => words,
    });
    // What a gateway passes on of the host behind it says more than its own words.
    let raw = json.pointer("/metadata/raw").and_then(|raw| in_json(raw, levels));
    let provider = json.pointer("/metadata/provider_name").and_then(Value::as_str);
    let raw = raw.map(|raw| provider.map_or_else(|| raw.clone(), |provider| format!("{provider}: {raw}")));
    match (words, raw) {
        (Some(words), Some(raw)) if !words.contains(&raw) => Some(format!("{words}: {raw}")),
        (words, raw) => words.or(raw).or_else(|| bare(json)),
    }
}

/// Where in the request a fault is, as some frameworks say beside it.
fn place_of(json: &Value) -> Option<String> {
    let loc = json.get("loc")?.as_array()?;
    let parts = loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
    Some(parts.collect::<Vec<_>>().join("."))
}

/// An error that says nothing in words is told as it stands; its code alone says something.
fn bare(json: &Value) -> Option<String> {
    ["code", "type", "status"].iter().find_map(|place| filled(json.get(*place)?.as_str()?))
}

/// The error that a body of status 200 holds, if it is one.
pub(super) fn error_in(body: &Value) -> Option<ErrorInside> {
    let error = match body {
        Value::Array(items) => return items.first().and_then(error_in),
        Value::Object(_) => {
            let holder = body.get("error").filter(|error| is_something(error));
            let failed = body.pointer("/base_resp/status_code").and_then(Value::as_i64).is_some_and(|code| code != 0);
            let is_error = failed
                || body.get("object").and_then(Value::as_str) == Some("error")
                || body.get("type").and_then(Value::as_str) == Some("error")
                || body.get("success") == Some(&Value::Bool(false))
                || ["detail", "errors", "error_msg", "error_message"]
                    .iter()
                    .any(|name| body.get(*name).is_some_and(is_something))
                || body.get("choices").is_none()
                    && (body.get("message").is_some_and(Value::is_string) || body.get("msg").is_some());
            holder.or(is_error.then_some(body))?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let words = in_json(error, LEVELS_MAX).or_else(|| in_json(body, LEVELS_MAX)).unwrap_or_else(|| error.to_string());
    Some(ErrorInside { status: status_of(error).or_else(|| status_of(body)), words })
}

fn is_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(members) => members.values().any(|value| is_something(value) && value.as_i64() != Some(0)),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The status that an error names as its code.
fn status_of(error: &Value) -> Option<u16> {
    const OF_KEY: [&str; 4] = ["invalid_api_key", "authentication_error", "unauthorized", "UNAUTHENTICATED"];
    let number = |name: &&str| match error.get(*name)? {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
        Value::String(text) if OF_KEY.contains(&text.as_str()) => Some(401),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let names = ["code", "status", "status_code", "statusCode", "type", "http_code"];
    names.iter().find_map(number).filter(|status| (400..600).contains(status))
}

/// A host's words, fit for a log and for the session's owner: one line, without whatever may be the key.
pub(super) fn told(words: &str, key: Option<&ApiKey>) -> String {
    let words = key.map_or_else(|| words.to_owned(), |key| key.cut_out_of(words));
    let line = words.split_whitespace().map(|word| masked(word, key)).collect::<Vec<_>>().join(" ");
    cut(&line.replace(char::is_control, " "), SAID_MAX)
}

/// Hosts repeat parts of a key that they refuse, with dots or stars for the rest.
fn masked(word: &str, key: Option<&ApiKey>) -> String {
    let is_part = |char: char| char.is_alphanumeric() || "_-.*…/+".contains(char);
    let mut told = String::new();
    let mut rest = word;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|char| !is_part(char)).map_or(rest.len(), |end| start + end);
        let part = &rest[start..end];
        let core = part.trim_end_matches(['.', '…']);
        told.push_str(&rest[..start]);
        told.push_str(if is_key(core, key) { "***" } else { core });
        told.push_str(&part[core.len()..]);
        rest = &rest[end..];
    }
    told + rest
}

fn is_key(word: &str, key: Option<&ApiKey>) -> bool {
    const PREFIXES: [&str; 11] = ["sk-", "sk_", "gsk_", "AIza", "xai-", "hf_", "r8_", "fw_", "nvapi-", "pplx-", "tgp_"];
    PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len() + 2)
        || (word.contains("***") && word.chars().any(char::is_alphanumeric))
        || key.is_some_and(|key| shares_an_end(word, key.expose()))
}

/// Whether a word begins or ends as the key does.
fn shares_an_end(word: &str, key: &str) -> bool {
    const SHARED_MIN: usize = 6;
    let alike = |a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| {
        a.zip(b).take_while(|(a, b)| a == b).count() >= SHARED_MIN
    };
    alike(&mut word.chars(), &mut key.chars()) || alike(&mut word.chars().rev(), &mut key.chars().rev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_are_found_wherever_hosts_put_them() {
        for (body, expected) in [
            (json!({"error": {"message": "no"}}), "no"),
            (json!({"error": "no"}), "no"),
            (json!({"message": "no", "status": 400}), "no"),
            (json!([{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]), "no"),
            (json!({"detail": "no"}), "no"),
            (json!({"detail": [{"loc": ["body", "tools", 0], "msg": "no", "type": "x"}]}), "body.tools.0: no"),
            (json!({"errors": [{"message": "no"}, {"message": "never"}]}), "no; never"),
            (json!({"errors": ["no"]}), "no"),
            (json!({"base_resp": {"status_code": 1004, "status_msg": "no"}}), "no"),
            (json!({"object": "error", "message": "no", "code": 40001}), "no"),
            (json!({"title": "Bad Request", "detail": "no"}), "no"),
            (json!({"error": {"code": "model_not_found"}}), "model_not_found"),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"message\":\"no\"}}", "provider_name": "P"}}}),
                "Provider returned error: P: no",
            ),
            (json!("no"), "no"),
        ] {
            assert_eq!(words(body.to_string().as_bytes()).as_deref(), Some(expected), "{body}");
        }
        assert_eq!(words(b"upstream connect error").as_deref(), Some("upstream connect error"));
        assert_eq!(
            words(b"<html><head><title>502 Bad Gateway</title></head></html>").as_deref(),
            Some("502 Bad Gateway")
        );
        assert_eq!(words(b"data: {\"error\": {\"message\": \"no\"}}").as_deref(), Some("no"));
        for nothing in ["", " ", "{}", "[]", "null", "<p>", "7"] {
            assert_eq!(words(nothing.as_bytes()).filter(|words| words != "7"), None, "{nothing}");
        }
    }

    #[test]
    fn an_error_inside_a_good_status_is_seen() {
        for (body, status) in [
            (json!({"error": {"message": "no", "code": 429}}), Some(429)),
            (json!({"error": "no"}), None),
            (json!({"base_resp": {"status_code": 1004, "status_msg": "no"}}), None),
            (json!({"object": "error", "message": "no", "code": 404}), Some(404)),
            (json!({"detail": "no"}), None),
            (json!([{"error": {"code": 400, "message": "no"}}]), Some(400)),
            (json!({"choices": [], "error": {"message": "no", "code": "invalid_api_key"}}), Some(401)),
        ] {
            assert_eq!(error_in(&body), Some(ErrorInside { status, words: "no".into() }), "{body}");
        }
        for fine in [
            json!({"choices": [], "error": null}),
            json!({"choices": [], "error": {"code": 0, "message": ""}}),
            json!({"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}}),
            json!({"choices": []}),
            json!("no"),
        ] {
            assert_eq!(error_in(&fine), None, "{fine}");
        }
    }

    #[test]
    fn keys_are_masked_and_the_words_around_them_stay() {
        let key = ApiKey::new("CANARY-KEY-12345");
        for (said, expected) in [
            ("bad CANARY-KEY-12345 here", "bad *** here"),
            ("Incorrect API key provided: sk-ab****cd.", "Incorrect API key provided: ***."),
            ("key CANARY-K… is wrong", "key ***… is wrong"),
            ("key (…KEY-12345) is wrong", "key (***) is wrong"),
            ("got Authorization Q0FOQVJZLUtFWS0xMjM0NQ== instead", "got Authorization ***== instead"),
            ("got Basic OkNBTkFSWS1LRVktMTIzNDU= instead", "got Basic ***= instead"),
            ("got Bearer QmVhcmVyIENBTkFSWS1LRVktMTIzNDU", "got Bearer ***"),
            ("no key\n  was sent", "no key was sent"),
            ("the word canary is fine", "the word canary is fine"),
        ] {
            assert_eq!(told(said, Some(&key)), expected);
        }
    }
}
