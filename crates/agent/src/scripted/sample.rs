//! A small instance of a JSON Schema, checked before it is given out.
//!
//! Not every schema that can be satisfied is: patterns, for one, are only satisfied by luck.

use crate::schema::{Budget, Schema};
use quarterdeck_api::JsonObject;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How deep schemas are followed; references may go round in circles.
const DEPTH_MAX: usize = 24;

/// Schemas looked at in all; unions of unions multiply.
const LOOKS_MAX: usize = 2_000;

/// Alternatives tried for the whole.
const CANDIDATES_MAX: usize = 16;

/// Items or characters that a lower limit can ask for.
const SIZE_MAX: u64 = 10_000;

/// An instance for the property `answer` of an object with these `parameters`.
pub(super) fn sample(parameters: &JsonObject, budget: &Arc<Budget>) -> Option<Value> {
    let root = Value::Object(parameters.clone());
    let schema = Schema::of(&root, Arc::clone(budget)).ok()?;
    let answer = root.pointer("/properties/answer")?;
    let candidates = Sampler { root: &root, looks: LOOKS_MAX }.candidates(answer, 0);
    let fits = |answer: &Value| schema.is_satisfied_by(&json!({"answer": answer, "outcome": "success"}));
    candidates.into_iter().find(fits)
}

struct Sampler<'a> {
    root: &'a Value,
    looks: usize,
}

impl Sampler<'_> {
    /// Instances that may fit `schema`, likeliest first.
    fn candidates(&mut self, schema: &Value, depth: usize) -> Vec<Value> {
        if depth > DEPTH_MAX || self.looks == 0 {
            return Vec::new();
        }
        self.looks -= 1;
        let Value::Object(schema) = schema else { return vec![json!({})] };
        let mut found = given(schema);
        for alternative in self.alternatives(schema) {
            found.extend(self.candidates(&alternative, depth + 1));
        }
        if found.is_empty() {
            found = types(schema).into_iter().filter_map(|kind| self.of_type(kind, schema, depth)).collect();
        }
        found.truncate(CANDIDATES_MAX);
        found
    }

    fn first(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        self.candidates(schema, depth + 1).into_iter().next()
    }

    /// What a schema with references and combinations may stand for.
    fn alternatives(&self, schema: &JsonObject) -> Vec<Value> {
        let mut base = schema.clone();
        if let Some(Value::String(reference)) = base.shift_remove("$ref") {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map(|target| merged(base, target)).into_iter().collect();
        }
        if let Some(Value::Array(parts)) = base.shift_remove("allOf") {
            let whole = parts.iter().fold(Value::Object(base), |whole, part| match (whole, self.resolved(part)) {
                (Value::Object(whole), part) => merged(whole, part),
                (other, _) => other,
            });
            return vec![whole];
        }
        for combination in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = base.shift_remove(combination) {
                return branches.iter().map(|branch| merged(base.clone(), branch)).collect();
            }
        }
        Vec::new()
    }

    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        reference.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn of_type(&mut self, kind: &str, schema: &JsonObject, depth: usize) -> Option<Value> {
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => string(schema),
            "integer" => Some(number(schema, true)),
            "number" => Some(number(schema, false)),
            "boolean" => Some(false.into()),
            _ => Some(Value::Null),
        }
    }

    /// Only what is required.
    fn object(&mut self, schema: &JsonObject, depth: usize) -> Option<Value> {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for name in required.iter().filter_map(Value::as_str) {
            let known = schema.get("properties").and_then(|properties| properties.get(name));
            let member = known.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Bool(true));
            object.insert(name.to_owned(), self.first(member, depth)?);
        }
        Some(object.into())
    }

    /// Only as many items as are required.
    fn array(&mut self, schema: &JsonObject, depth: usize) -> Option<Value> {
        let least = size(schema, "minItems")?;
        let tuple = schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        let items = (0..least).map(|place| self.first(tuple.get(place).unwrap_or(rest), depth));
        items.collect::<Option<Vec<_>>>().map(Value::from)
    }
}

/// Instances that the schema itself names.
fn given(schema: &JsonObject) -> Vec<Value> {
    let lists = ["enum", "examples"].into_iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    ["const", "default"].into_iter().filter_map(|name| schema.get(name)).chain(lists).cloned().collect()
}

/// The schema that asks for both, near enough: members of `more` win, lists of requirements add up.
fn merged(mut schema: JsonObject, more: &Value) -> Value {
    let Value::Object(more) = more else { return schema.into() };
    for (name, value) in more {
        match (schema.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(new)) if name == "properties" => {
                known.extend(new.clone());
            }
            (Some(Value::Array(known)), Value::Array(new)) if name == "required" => known.extend(new.iter().cloned()),
            _ => {
                schema.insert(name.clone(), value.clone());
            }
        }
    }
    schema.into()
}

/// The types that the schema names, or the one that its other members suggest.
fn types(schema: &JsonObject) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("items") || schema.contains_key("minItems") => vec!["array"],
        _ if schema.contains_key("minimum") || schema.contains_key("maximum") => vec!["number"],
        _ if schema.contains_key("minLength") || schema.contains_key("format") => vec!["string"],
        _ => vec!["object", "string"],
    }
}

fn size(schema: &JsonObject, limit: &str) -> Option<usize> {
    let size = schema.get(limit).and_then(Value::as_u64).unwrap_or(0);
    usize::try_from(size).ok().filter(|_| size <= SIZE_MAX)
}

fn string(schema: &JsonObject) -> Option<Value> {
    if let Some(example) = schema.get("format").and_then(Value::as_str).and_then(formatted) {
        return Some(example.into());
    }
    let least = size(schema, "minLength")?;
    let most = schema.get("maxLength").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let text: String = "example".chars().chain(std::iter::repeat('x')).take(least.max(7)).collect();
    Some(text.chars().take(most.unwrap_or(usize::MAX)).collect::<String>().into())
}

fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2000-01-01",
        "date-time" => "2000-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "duration" => "PT0S",
        "email" | "idn-email" => "someone@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "iri" | "uri-reference" | "iri-reference" | "url" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "json-pointer" => "/a",
        "regex" => ".*",
        _ => return None,
    })
}

/// Zero, or what comes next to it within the limits.
fn number(schema: &JsonObject, whole: bool) -> Value {
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    let gap = if whole { 1.0 } else { 0.5 };
    let step = limit("multipleOf").filter(|step| *step > 0.0).unwrap_or(if whole { 1.0 } else { 0.0 });
    let least = [limit("minimum"), limit("exclusiveMinimum").map(|limit| limit + gap)];
    let most = [limit("maximum"), limit("exclusiveMaximum").map(|limit| limit - gap)];
    let least = least.into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
    let most = most.into_iter().flatten().fold(f64::INFINITY, f64::min);
    let near = 0_f64.min(most).max(least);
    let on_step = |value: f64| {
        if step == 0.0 {
            value
        } else if value < 0.0 {
            (value / step).floor() * step
        } else {
            (value / step).ceil() * step
        }
    };
    let value = on_step(near);
    let value = if value < least { value + step } else { value };
    as_json(value)
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number of moderate size")]
fn as_json(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { (value as i64).into() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_for_common_schemas() {
        check(json!({"type": "object"}), json!({}));
        check(json!(true), json!({}));
        check(json!({"const": 5}), json!(5));
        check(json!({"enum": ["b", "a"]}), json!("b"));
        check(json!({"type": "integer", "default": 9}), json!(9));
        check(json!({"type": "string", "default": 9}), Value::Null);
        check(json!({"type": "string", "minLength": 9}), json!("examplexx"));
        check(json!({"type": "string", "maxLength": 2}), json!("ex"));
        check(json!({"type": "string", "format": "date"}), json!("2000-01-01"));
        check(json!({"type": ["null", "string"]}), Value::Null);
        check(json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2}), json!([false, false]));
        check(json!({"type": "array", "prefixItems": [{"type": "null"}], "minItems": 1}), json!([null]));
    }

    #[test]
    fn numbers_keep_their_limits() {
        check(json!({"type": "integer"}), json!(0));
        check(json!({"type": "integer", "minimum": 3}), json!(3));
        check(json!({"type": "integer", "exclusiveMinimum": 3}), json!(4));
        check(json!({"type": "integer", "maximum": -2}), json!(-2));
        check(json!({"type": "number", "exclusiveMinimum": 0}), json!(0.5));
        check(json!({"type": "integer", "minimum": 7, "multipleOf": 5}), json!(10));
        check(json!({"type": "integer", "minimum": -7, "maximum": -3, "multipleOf": 5}), json!(-5));
    }

    #[test]
    fn objects_hold_what_is_required() {
        check(
            json!({
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "object", "required": ["c"]}, "d": {}},
                "required": ["a", "b"],
            }),
            json!({"a": "example", "b": {"c": {}}}),
        );
    }

    #[test]
    fn combinations_are_followed() {
        check(json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}), json!(1));
        check(json!({"oneOf": [{"type": "integer"}, {"type": "number"}, {"const": "x"}]}), json!("x"));
        check(
            json!({"allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "null"}}, "required": ["b"]},
            ]}),
            json!({"a": 0, "b": null}),
        );
    }

    #[test]
    fn references_are_followed_and_circles_end() {
        let defs = json!({"P": {"type": "object", "properties": {"n": {"type": "null"}}, "required": ["n"]}});
        let parameters = json!({"properties": {"answer": {"$ref": "#/$defs/P"}}, "$defs": defs});
        assert_eq!(sample_of(&parameters), Some(json!({"n": null})));
        let circle = json!({"properties": {"answer": {
            "type": "object", "properties": {"a": {"$ref": "#/properties/answer"}}, "required": ["a"],
        }}});
        assert_eq!(sample_of(&circle), None);
    }

    #[test]
    fn what_cannot_be_found_is_not_made_up() {
        for schema in [
            json!(false),
            json!({"type": "string", "pattern": "^[A-Z]{3}-\\d+$"}),
            json!({"type": "array", "minItems": 1_000_000_000}),
            json!({"type": "integer", "minimum": 3, "maximum": 2}),
        ] {
            assert_eq!(sample_of(&json!({"properties": {"answer": schema}})), None);
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the table")]
    fn check(schema: Value, expected: Value) {
        let found = sample_of(&json!({"properties": {"answer": schema}}));
        assert_eq!(found.unwrap_or(Value::Null), expected, "{schema}");
    }

    fn sample_of(parameters: &Value) -> Option<Value> {
        sample(parameters.as_object().unwrap(), &Arc::new(Budget::full()))
    }
}
