//! The arguments of a call, read as long as there is no doubt what is meant.

use crate::{loose, model::RawCall};
use quarterdeck_api::JsonObject;
use serde_json::Value;

/// How often JSON may be wrapped into a text of JSON.
const WRAPPINGS_MAX: usize = 3;

/// Reads arguments. Nothing, `null` and an empty list are no arguments; JSON may be wrapped in text, in a fence or in a
/// list of one, and may be followed by itself or by tokens of a template.
///
/// # Errors
/// What is wrong, in words for the model.
pub(crate) fn read(text: &str) -> Result<JsonObject, String> {
    let text = unfenced(text.trim());
    if matches!(text, "" | "undefined" | "None") {
        return Ok(JsonObject::new());
    }
    let whole = loose::value(text).or_else(|| repeated(text));
    whole.and_then(|value| object(value, WRAPPINGS_MAX)).ok_or_else(|| match serde_json::from_str::<JsonObject>(text) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    })
}

fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) else { return text };
    inside.find(['{', '[', '"', '\n']).map_or(inside, |at| inside[at..].trim())
}

fn object(value: Value, wrappings: usize) -> Option<JsonObject> {
    match value {
        Value::Object(arguments) => Some(arguments),
        Value::Null => Some(JsonObject::new()),
        Value::String(text) if text.trim().is_empty() => Some(JsonObject::new()),
        Value::String(text) => object(loose::value(&text)?, wrappings.checked_sub(1)?),
        Value::Array(mut items) => match items.pop() {
            None => Some(JsonObject::new()),
            Some(Value::Object(arguments)) if items.is_empty() => Some(arguments),
            Some(_) => None,
        },
        Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Hosts that put streams together badly write an object twice, or an empty one before the real one.
fn repeated(text: &str) -> Option<Value> {
    let (first, length) = loose::prefix(text)?;
    let rest = text[length..].trim();
    if rest.starts_with('<') && rest.ends_with('>') || rest == "```" {
        return Some(first);
    }
    let (second, more) = loose::prefix(rest)?;
    let is_all = rest[more..].trim().is_empty();
    let is_empty = |value: &Value| value.as_object().is_some_and(JsonObject::is_empty);
    match (first, second) {
        (first, second) if is_all && (first == second || is_empty(&first)) => Some(second),
        (first, second) if is_all && is_empty(&second) => Some(first),
        _ => None,
    }
}

/// `multi_tool_use.parallel` is no tool: some models wrap several calls into one of it.
pub(crate) fn unwrapped(calls: &[RawCall]) -> Vec<RawCall> {
    let mut all = Vec::new();
    for call in calls {
        match inner_calls(call) {
            Some(inner) => all.extend(inner),
            None => all.push(call.clone()),
        }
    }
    all
}

fn inner_calls(call: &RawCall) -> Option<Vec<RawCall>> {
    if !matches!(call.name.as_str(), "multi_tool_use.parallel" | "multi_tool_use" | "parallel") {
        return None;
    }
    let arguments = read(&call.arguments).ok()?;
    let uses = arguments.get("tool_uses")?.as_array()?;
    let inner = uses.iter().map(|one| {
        let name = one.get("recipient_name").or_else(|| one.get("name"))?.as_str()?.to_owned();
        let arguments = one.get("parameters").or_else(|| one.get("arguments")).unwrap_or(&Value::Null).to_string();
        Some(RawCall { name, arguments, ..RawCall::default() })
    });
    inner.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_taken_when_there_is_no_doubt() {
        for text in ["", " ", "null", "\"\"", "\"null\"", "[]", "{}", "undefined", "None", "\"{}\"", "[{}]", "{}{}"] {
            assert_eq!(read(text), Ok(JsonObject::new()), "{text}");
        }
        for text in [
            "{\"at\": 1}",
            "\"{\\\"at\\\": 1}\"",
            "\"\\\"{\\\\\\\"at\\\\\\\": 1}\\\"\"",
            "```json\n{\"at\": 1}\n```",
            "```{\"at\": 1}```",
            "[{\"at\": 1}]",
            "{'at': 1}",
            "{\"at\": 1,}",
            "{at: 1}",
            "{}{\"at\": 1}",
            "{\"at\": 1}{\"at\": 1}",
            "{\"at\": 1}{}",
            "{\"at\": 1}</tool_call>",
            "{\"at\": 1}<|im_end|>",
        ] {
            assert_eq!(read(text).map(Value::Object), Ok(json!({"at": 1})), "{text}");
        }
    }

    #[test]
    fn arguments_are_refused_when_there_is_doubt() {
        for text in
            ["{\"at\"", "[1]", "7", "true", "\"look\"", "{\"at\": 1}{\"at\": 2}", "[{}, {}]", "{\"at\": 1} or so"]
        {
            assert!(read(text).is_err_and(|fault| !fault.is_empty()), "{text}");
        }
    }

    #[test]
    fn calls_that_are_wrapped_into_one_are_several() {
        let uses = json!({"tool_uses": [
            {"recipient_name": "functions.look", "parameters": {"at": 1}}, {"recipient_name": "functions.find"},
        ]});
        let wrapped =
            RawCall { name: "multi_tool_use.parallel".into(), arguments: uses.to_string(), ..RawCall::default() };
        let calls = unwrapped(&[wrapped.clone(), RawCall { name: "look".into(), ..RawCall::default() }]);
        let names: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
        assert_eq!(names, [("functions.look", "{\"at\":1}"), ("functions.find", "null"), ("look", "")]);
        let broken = RawCall { arguments: "{".into(), ..wrapped };
        assert_eq!(unwrapped(std::slice::from_ref(&broken)), [broken]);
    }
}
