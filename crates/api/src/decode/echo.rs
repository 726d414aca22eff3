//! The faulty value, as an error shows it.

use super::json::{Member, Value};
use crate::JsonObject;
use serde_json::Value as Json;

/// Containers deeper than this are not shown.
const DEPTH_MAX: usize = 128;
/// Values are shown up to this size in all; past it, an answer drops every one of them anyway.
const SIZE_MAX: usize = 64 * 1024;
/// What stands in for a value that is not shown.
pub const OMITTED: &str = "(omitted)";

/// What may still be shown, in bytes.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(SIZE_MAX)
    }
}

impl Budget {
    fn take(&mut self, size: usize) -> Option<()> {
        self.0 = self.0.checked_sub(size).or_else(|| {
            self.0 = 0;
            None
        })?;
        Some(())
    }
}

/// Shows `value`, or a stand-in when it is too large.
pub fn echo(value: &Value<'_>, budget: &mut Budget) -> Json {
    show(value, budget, 0).unwrap_or_else(|| OMITTED.into())
}

fn show(value: &Value<'_>, budget: &mut Budget, depth: usize) -> Option<Json> {
    budget.take(size_of(value))?;
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::BigInt(number) => Json::String(number.to_string()),
        Value::Float(number) => show_float(*number),
        Value::Str(text) => Json::String(text.to_string()),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => Json::from("..."),
        Value::Array(items) => {
            items.iter().map(|item| show(item, budget, depth + 1)).collect::<Option<Vec<_>>>()?.into()
        }
        Value::Object(members) => show_object(members, budget, depth)?.into(),
    })
}

fn show_object(members: &[Member<'_>], budget: &mut Budget, depth: usize) -> Option<JsonObject> {
    let show_member = |(key, value): &Member<'_>| {
        budget.take(key.len())?;
        Some((key.to_string(), show(value, budget, depth + 1)?))
    };
    members.iter().map(show_member).collect()
}

fn show_float(number: f64) -> Json {
    serde_json::Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
}

fn size_of(value: &Value<'_>) -> usize {
    match value {
        Value::Str(text) => text.len() + 2,
        Value::BigInt(number) => usize::try_from(number.bits() / 3).unwrap_or(usize::MAX),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Array(_) | Value::Object(_) => 2,
    }
}
