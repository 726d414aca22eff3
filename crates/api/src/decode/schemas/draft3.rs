//! Draft 3 of JSON Schema, which no library checks any more, in the words of draft 4.

use crate::JsonObject;
use serde_json::{Value, json};
use std::borrow::Cow;

const DRAFT_3: &str = "http://json-schema.org/draft-03/schema";
const DRAFT_4: &str = "http://json-schema.org/draft-04/schema#";

/// The schema itself, or in draft 4 when it says that it is of draft 3.
pub fn in_a_known_draft(schema: &JsonObject) -> Cow<'_, JsonObject> {
    let named = schema.get("$schema").and_then(Value::as_str).map(|name| name.trim_end_matches('#'));
    if named != Some(DRAFT_3) {
        return Cow::Borrowed(schema);
    }
    let mut changed = converted(schema);
    changed.insert("$schema".into(), DRAFT_4.into());
    Cow::Owned(changed)
}

fn converted(schema: &JsonObject) -> JsonObject {
    let mut changed = JsonObject::new();
    let mut all = Vec::new();
    for (keyword, value) in schema {
        match keyword.as_str() {
            // It is said of a property there, and of the object here.
            "required" if value.is_boolean() => {}
            "divisibleBy" => put(&mut changed, "multipleOf", value.clone()),
            "disallow" => put(&mut changed, "not", type_of(value)),
            "extends" => all.extend(each(value)),
            "type" => all.extend(type_of(value).as_object().and_then(|kind| into_type(kind, &mut changed))),
            "properties" => {
                put(&mut changed, "properties", named(value));
                let required = required(value);
                if !required.is_empty() {
                    put(&mut changed, "required", required.into());
                }
            }
            "patternProperties" | "definitions" | "$defs" => put(&mut changed, keyword, named(value)),
            "dependencies" => put(&mut changed, keyword, dependencies(value)),
            "items" if value.is_array() => put(&mut changed, keyword, each(value).into()),
            "items" | "additionalItems" | "additionalProperties" => put(&mut changed, keyword, subschema(value)),
            _ => put(&mut changed, keyword, value.clone()),
        }
    }
    if !all.is_empty() {
        changed.insert("allOf".into(), all.into());
    }
    changed
}

fn put(schema: &mut JsonObject, keyword: &str, value: Value) {
    schema.insert(keyword.to_owned(), value);
}

fn subschema(value: &Value) -> Value {
    value.as_object().map_or_else(|| value.clone(), |schema| converted(schema).into())
}

fn each(value: &Value) -> Vec<Value> {
    value.as_array().map_or_else(|| vec![subschema(value)], |schemas| schemas.iter().map(subschema).collect())
}

fn named(value: &Value) -> Value {
    let Value::Object(schemas) = value else { return value.clone() };
    schemas.iter().map(|(name, schema)| (name.clone(), subschema(schema))).collect::<JsonObject>().into()
}

/// The names of the properties that say of themselves that they are required.
fn required(properties: &Value) -> Vec<Value> {
    let properties = properties.as_object().into_iter().flatten();
    properties.filter(|(_, schema)| schema["required"] == true).map(|(name, _)| name.as_str().into()).collect()
}

fn dependencies(value: &Value) -> Value {
    let Value::Object(dependencies) = value else { return value.clone() };
    let changed = dependencies.iter().map(|(name, dependency)| {
        let dependency = if dependency.is_string() { json!([dependency]) } else { subschema(dependency) };
        (name.clone(), dependency)
    });
    changed.collect::<JsonObject>().into()
}

/// A schema for types by their names or by schemas. `any` is every one of them.
fn type_of(value: &Value) -> Value {
    let kinds = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    if kinds.iter().any(|kind| kind == "any") {
        return json!({});
    }
    if kinds.iter().all(Value::is_string) {
        return json!({ "type": value });
    }
    let each = kinds.iter().map(|kind| if kind.is_string() { json!({ "type": kind }) } else { subschema(kind) });
    json!({ "anyOf": each.collect::<Vec<_>>() })
}

/// Puts a plain type where it belongs; hands back what is more than that.
fn into_type(kind: &JsonObject, schema: &mut JsonObject) -> Option<Value> {
    if let Some(name) = kind.get("type") {
        put(schema, "type", name.clone());
        return None;
    }
    (!kind.is_empty()).then(|| kind.clone().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_3_is_said_in_the_words_of_draft_4() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-03/schema#",
            "type": ["object", {"type": "null"}],
            "properties": {"a": {"type": "integer", "required": true, "divisibleBy": 2}, "b": {"type": "any"}},
            "dependencies": {"a": "b"},
            "extends": {"disallow": "string"},
        });
        let changed = Value::Object(in_a_known_draft(schema.as_object().unwrap()).into_owned());
        let expected = json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"type": "integer", "multipleOf": 2}, "b": {}},
            "required": ["a"],
            "dependencies": {"a": ["b"]},
            "allOf": [{"anyOf": [{"type": "object"}, {"type": "null"}]}, {"not": {"type": "string"}}],
        });
        assert_eq!(changed, expected);
    }

    #[test]
    fn other_drafts_stay_as_they_are() {
        let schema = json!({"properties": {"a": {"required": true}}});
        assert!(matches!(in_a_known_draft(schema.as_object().unwrap()), Cow::Borrowed(_)));
    }
}
