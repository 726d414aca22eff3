//! JSON as it arrives: parsed, not yet understood.

use super::place::{Fault, Kept, Place};
use crate::JsonObject;
use jiter::{JsonErrorType, JsonValue};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::sync::Arc;

/// A parsed value. Unlike `serde_json`'s it keeps integers of any size, infinities and repeated keys.
pub type Value<'a> = JsonValue<'a>;

/// A key and its value.
pub type Member<'a> = (Cow<'a, str>, Value<'a>);

/// What is kept is read back by `serde_json`, which stops at 128 levels.
pub const DEPTH_MAX: usize = 100;

/// Why bytes are not JSON.
#[derive(Debug, PartialEq, Eq)]
pub enum ParseError {
    /// They break the grammar at this character.
    Syntax {
        /// How many characters precede the fault.
        offset: usize,
        /// What is wrong, in words.
        reason: String,
    },
    /// They cannot be decoded at all: not UTF-8, nested absurdly deep, a number with thousands of digits.
    Undecodable(&'static str),
}

/// Parses a whole document.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Undecodable("the body is not valid UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    JsonValue::parse(text.as_bytes(), true).map_err(|error| {
        if error.error_type == JsonErrorType::RecursionLimitExceeded {
            return ParseError::Undecodable("the body is nested too deeply");
        }
        if error.error_type == JsonErrorType::NumberOutOfRange {
            return ParseError::Undecodable("a number in the body is too long");
        }
        ParseError::Syntax { offset: characters_before(text, error.index), reason: error.error_type.to_string() }
    })
}

fn characters_before(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(index, _)| *index < byte).count()
}

/// Any JSON object, kept as it is.
pub fn free_object(value: &Value<'_>, at: &Place<'_>) -> Option<JsonObject> {
    kept_object(value, at, Kept::Data)
}

/// The same for a schema, which a session holds several times over for as long as it works.
pub fn schema_object(value: &Value<'_>, at: &Place<'_>) -> Option<JsonObject> {
    kept_object(value, at, Kept::Schema)
}

fn kept_object(value: &Value<'_>, at: &Place<'_>, kept: Kept) -> Option<JsonObject> {
    let Value::Object(members) = value else {
        return at.refuse(Fault::new("dict_type", "must be an object"), value);
    };
    let object = at.keep(kept, count(value)).and_then(|()| object_to_json(members, at.depth()));
    object.map_or_else(|fault| at.refuse(fault, value), Some)
}

/// Any JSON, kept as it is. What our own answers could not hold (infinities, absurd depth) is refused.
pub fn free(value: &Value<'_>, at: &Place<'_>) -> Option<Json> {
    let json = at.keep(Kept::Data, count(value)).and_then(|()| to_json(value, at.depth()));
    json.map_or_else(|fault| at.refuse(fault, value), Some)
}

/// How many values it is made of, itself included.
fn count(value: &Value<'_>) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.iter().map(|(_, item)| count(item)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) | Value::Str(_) => 1,
    }
}

fn to_json(value: &Value<'_>, depth: usize) -> Result<Json, Fault> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::BigInt(number) => Json::Number(finite(number.to_string().parse().unwrap_or(f64::INFINITY))?),
        Value::Float(number) => Json::Number(finite(*number)?),
        Value::Str(text) => Json::String(text.to_string()),
        Value::Array(items) => items.iter().map(|item| to_json(item, depth + 1)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(members) => object_to_json(members, depth)?.into(),
    })
}

fn object_to_json(members: &[Member<'_>], depth: usize) -> Result<JsonObject, Fault> {
    members.iter().map(|(key, item)| Ok((key.to_string(), to_json(item, depth + 1)?))).collect()
}

/// The fault of a value below the deepest level that is kept.
pub fn too_deep() -> Fault {
    Fault::rule("the value is nested too deeply")
}

fn finite(number: f64) -> Result<serde_json::Number, Fault> {
    serde_json::Number::from_f64(number).ok_or_else(not_finite)
}

/// The fault of an infinity or of "not a number".
pub fn not_finite() -> Fault {
    Fault::new("finite_number", "must be a finite number")
}

/// The way back, for values that were kept and are decoded once more.
pub fn from_json(json: &Json) -> Value<'_> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => from_number(number),
        Json::String(text) => Value::Str(Cow::Borrowed(text)),
        Json::Array(items) => Value::Array(Arc::new(items.iter().map(from_json).collect())),
        Json::Object(object) => Value::Object(Arc::new(
            object.iter().map(|(key, item)| (Cow::Borrowed(key.as_str()), from_json(item))).collect(),
        )),
    }
}

fn from_number(number: &serde_json::Number) -> Value<'static> {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => Value::Int(whole),
        (None, Some(large)) => Value::BigInt(large.into()),
        (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}
