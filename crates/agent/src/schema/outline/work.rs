//! What the keywords of one schema take for one value, in looks, as far as it grows with the schema or the value. What
//! the keyword `pattern` takes is counted while it works.

use quarterdeck_api::patterns::{name_cost, name_weight};
use serde_json::{Map, Value};

/// Comparisons that take as long as a look.
const COMPARED: u64 = 8;
/// Bytes of a text that are gone through in the time of a look.
const READ: u64 = 64;
/// Units of matching in a look.
const UNITS: u64 = 10;

/// What of a schema takes more than a look.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Values in `enum` and `const`, and all that they hold.
    options: u64,
    /// Names in `required`, `properties` and those that depend on others.
    names: u64,
    /// Whether it reads texts: their length, their format.
    reads: bool,
    unique: bool,
    /// What patterns of names weigh, and how often each is matched.
    patterns: Vec<u64>,
    passes: u64,
}

impl Work {
    pub(super) fn of(schema: &Map<String, Value>) -> Self {
        let has = |keyword: &str| schema.contains_key(keyword);
        let names = ["required", "properties", "dependentRequired", "dependentSchemas", "dependencies"];
        let reads = ["minLength", "maxLength", "format", "contentEncoding", "contentMediaType"];
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let again = ["additionalProperties", "unevaluatedProperties"].into_iter().filter(|keyword| has(keyword));
        Self {
            options: ["enum", "const"].iter().filter_map(|keyword| schema.get(*keyword)).map(size).sum(),
            names: names.iter().filter_map(|keyword| schema.get(*keyword)).map(entries).sum(),
            reads: reads.into_iter().any(has),
            unique: schema.get("uniqueItems") == Some(&Value::Bool(true)),
            patterns: patterns.into_iter().flat_map(Map::keys).map(|pattern| name_weight(pattern)).collect(),
            passes: 1 + again.count() as u64,
        }
    }

    /// Whether there is anything that takes more than a look for a value with nothing inside.
    pub(super) fn takes_more(&self) -> bool {
        self.options > 0 || self.names > 0 || self.reads
    }

    pub(super) fn on(&self, value: &Value) -> u64 {
        let options = self.options / COMPARED;
        let own = match value {
            Value::String(text) if self.reads => text.len() as u64 / READ,
            Value::Array(_) if self.unique => size(value),
            Value::Object(members) => self.names / COMPARED + self.of_names(members),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => 0,
        };
        options.saturating_add(own)
    }

    fn of_names(&self, members: &Map<String, Value>) -> u64 {
        if self.patterns.is_empty() {
            return 0;
        }
        let of_name = |name: &String| self.patterns.iter().map(|weight| name_cost(*weight, name)).sum::<u64>();
        members.keys().map(of_name).fold(0, u64::saturating_add).saturating_mul(self.passes) / UNITS
    }
}

/// Values within a value, itself included, a long text as several.
fn size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() as u64 / READ,
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(members) => 1 + members.values().map(|member| 1 + size(member)).sum::<u64>(),
    }
}

/// Names and lists of names one level down.
fn entries(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => {
            let lists = members.values().filter_map(Value::as_array);
            members.len() as u64 + lists.map(|list| list.len() as u64).sum::<u64>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
