//! JSON that has the shape of a call.

use crate::{loose, model::RawCall};
use serde_json::{Map, Value};

const NAMES: [&str; 8] =
    ["name", "tool_name", "function_name", "tool", "function", "recipient_name", "action", "api_name"];
const ARGUMENTS: [&str; 10] = [
    "arguments",
    "parameters",
    "args",
    "input",
    "tool_input",
    "action_input",
    "params",
    "kwargs",
    "tool_args",
    "arguments_json",
];
/// Members that hold whole calls.
const HOLDERS: [&str; 6] = ["tool_calls", "tool_call", "function_call", "tool_uses", "calls", "actions"];
/// What may stand beside name and arguments.
const BESIDES: [&str; 6] = ["id", "type", "tool_call_id", "index", "call_id", "uuid"];

/// The calls in a row of JSON values, with `;`, commas or blanks between; none when anything else is among them.
pub(crate) fn all(text: &str, read: fn(&Value) -> Option<Vec<RawCall>>) -> Vec<RawCall> {
    let mut calls = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((value, length)) = loose::prefix(rest) else { return Vec::new() };
        let Some(more) = read(&value) else { return Vec::new() };
        calls.extend(more);
        rest = rest[length..].trim_start_matches([';', ',', ' ', '\n', '\r', '\t']);
    }
    calls
}

/// Calls of nothing but calls: a name, arguments, and at most an id and a type.
pub(crate) fn strict(value: &Value) -> Option<Vec<RawCall>> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let calls: Option<Vec<Vec<RawCall>>> = items.iter().map(strict).collect();
            calls.map(|calls| calls.into_iter().flatten().collect())
        }
        Value::Object(members) => {
            if let [(holder, held)] = members.iter().collect::<Vec<_>>()[..]
                && HOLDERS.contains(&holder.as_str())
            {
                return strict(held);
            }
            let sound =
                |name: &String| NAMES.contains(&&**name) || ARGUMENTS.contains(&&**name) || BESIDES.contains(&&**name);
            let has_arguments = inner(members).is_some() || ARGUMENTS.iter().any(|name| members.contains_key(*name));
            (has_arguments && members.keys().all(sound)).then(|| one(members).map(|call| vec![call]))?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// Calls, where a mark has said that there are some.
pub(crate) fn lax(value: &Value) -> Vec<RawCall> {
    match value {
        Value::Array(items) => items.iter().flat_map(lax).collect(),
        Value::Object(members) => {
            if let Some(held) = HOLDERS.iter().find_map(|holder| members.get(*holder)) {
                return lax(held);
            }
            one(members).into_iter().collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// `{"type": "function", "function": {"name": .., "arguments": ..}}`.
fn inner(members: &Map<String, Value>) -> Option<&Map<String, Value>> {
    members.get("function").and_then(Value::as_object)
}

fn one(members: &Map<String, Value>) -> Option<RawCall> {
    if let Some(inner) = inner(members) {
        return one(inner);
    }
    let (key, name) = NAMES.iter().find_map(|key| Some((*key, members.get(*key)?.as_str()?)))?;
    let arguments = ARGUMENTS.iter().find_map(|key| members.get(*key));
    let arguments = match arguments {
        Some(Value::String(text)) => text.clone(),
        Some(arguments) => arguments.to_string(),
        // The arguments stand beside the name.
        None => {
            let rest = members.iter().filter(|(name, _)| *name != key && !BESIDES.contains(&name.as_str()));
            Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
        }
    };
    let id = members.get("id").and_then(Value::as_str).map(str::to_owned);
    Some(RawCall { id, name: name.to_owned(), arguments, ..RawCall::default() })
}
