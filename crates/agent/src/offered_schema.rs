//! Schemas of tools in the form in which all hosts take them: one that a host refuses costs the whole request.

use quarterdeck_api::JsonObject;
use serde_json::{Value, json};

/// Nesting that is looked into.
const LEVELS_MAX: usize = 100;
/// What holds values, not schemas.
const VALUES: [&str; 5] = ["enum", "const", "default", "example", "examples"];
const UNIONS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Completes and cleans the schema of a tool's arguments.
pub(crate) fn cleaned(schema: &JsonObject) -> JsonObject {
    let mut root = schema.clone();
    clean(&mut root, LEVELS_MAX);
    for name in ["$schema", "$id", "id"] {
        if root.get(name).is_some_and(Value::is_string) {
            root.shift_remove(name);
        }
    }
    flatten(&mut root);
    root.insert("type".into(), "object".into());
    if !root.get("properties").is_some_and(Value::is_object) {
        root.insert("properties".into(), json!({}));
    }
    only_known_are_required(&mut root);
    root
}

/// Takes out nulls, and says of what lists are.
fn clean(schema: &mut JsonObject, levels: usize) {
    schema.retain(|name, value| !value.is_null() || VALUES.contains(&name.as_str()));
    let is_list = schema.get("type").is_some_and(|kind| kind == "array");
    if is_list && !["items", "prefixItems"].iter().any(|name| schema.contains_key(*name)) {
        schema.insert("items".into(), json!({}));
    }
    let Some(levels) = levels.checked_sub(1) else { return };
    for (name, value) in schema.iter_mut().filter(|(name, _)| !VALUES.contains(&name.as_str())) {
        match value {
            Value::Object(members)
                if ["properties", "$defs", "definitions", "patternProperties"].contains(&name.as_str()) =>
            {
                members.retain(|_, schema| !schema.is_null());
                members.values_mut().for_each(|schema| clean_any(schema, levels));
            }
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                clean_any(value, levels);
            }
        }
    }
}

fn clean_any(schema: &mut Value, levels: usize) {
    match schema {
        Value::Object(members) => clean(members, levels),
        Value::Array(items) => items.iter_mut().for_each(|item| clean_any(item, levels)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Hosts take no union at the top: its members are offered side by side, and none of them is required.
fn flatten(root: &mut JsonObject) {
    for union in UNIONS {
        let Some(Value::Array(members)) = root.shift_remove(union) else { continue };
        let properties = members.iter().filter_map(|member| member.get("properties")?.as_object());
        let properties: Vec<_> = properties.flatten().map(|(name, schema)| (name.clone(), schema.clone())).collect();
        if let Some(known) = root.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
            for (name, schema) in properties {
                known.entry(name).or_insert(schema);
            }
        }
    }
}

fn only_known_are_required(root: &mut JsonObject) {
    let known: Vec<String> =
        root.get("properties").and_then(Value::as_object).into_iter().flat_map(JsonObject::keys).cloned().collect();
    match root.get_mut("required") {
        Some(Value::Array(names)) => {
            names.retain(|name| name.as_str().is_some_and(|name| known.iter().any(|known| known == name)));
        }
        Some(_) => drop(root.shift_remove("required")),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_completed_and_cleaned() {
        for (given, expected) in [
            (json!({}), json!({"type": "object", "properties": {}})),
            (json!({"type": "object"}), json!({"type": "object", "properties": {}})),
            (
                json!({"type": "object", "properties": null, "required": null}),
                json!({"type": "object", "properties": {}}),
            ),
            (
                json!({"$schema": "x", "type": "object", "properties": {"a": {"type": "array"}, "b": null, "c": {"enum": [null, 1], "title": null}}}),
                json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}, "c": {"enum": [null, 1]}}}),
            ),
            (
                json!({"type": "object", "properties": {"a": {}}, "required": ["a", "gone"]}),
                json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}),
            ),
            (
                json!({"type": "object", "anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}),
                json!({"type": "object", "properties": {"a": {}, "b": {}}}),
            ),
            (
                json!({"type": "object", "properties": {"title": {"type": "string"}, "id": {"type": "integer"}}}),
                json!({"type": "object", "properties": {"title": {"type": "string"}, "id": {"type": "integer"}}}),
            ),
        ] {
            assert_eq!(Value::Object(cleaned(given.as_object().unwrap())), expected, "{given}");
        }
    }
}
