//! What makers of clients rely on.

use super::document;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn whole() -> Value {
    serde_json::to_value(document()).expect("the document is JSON")
}

/// Every object below, itself included.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value.is_object() {
        found.push(value);
    }
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    for value in inner {
        objects(value, found);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = whole();
    let mut found = vec![];
    objects(&document, &mut found);
    let references = found.iter().filter_map(|object| object.get("$ref")?.as_str());
    let mapped = found.iter().filter_map(|object| object.get("mapping")?.as_object()).flat_map(|words| words.values());
    let all: BTreeSet<&str> = references.chain(mapped.filter_map(Value::as_str)).collect();
    assert!(all.len() > 50, "{all:?}");
    for reference in all {
        let pointer = reference.strip_prefix('#').expect("all is in one file");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = whole();
    let mut found = vec![];
    objects(&document["paths"], &mut found);
    let names: Vec<&str> = found.iter().filter_map(|object| object.get("operationId")?.as_str()).collect();
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), different.len(), "{names:?}");
    assert!(names.iter().all(|name| name.contains('_')), "a verb and what it is about: {names:?}");
}

#[test]
fn unions_with_a_tag_say_which_it_is() {
    let document = whole();
    let unions = [
        ("Environment", "kind", "web"),
        ("Event", "type", "AgentEvent"),
        ("AgentEvent", "kind", "policy_event"),
        ("ToolResultItem", "kind", "error_event"),
        ("MessagesBody", "type", "batch"),
    ];
    for (name, tag, word) in unions {
        let discriminator = &document["components"]["schemas"][name]["discriminator"];
        assert_eq!(discriminator["propertyName"], tag, "{name}");
        assert_eq!(discriminator["mapping"][word], format!("#/components/schemas/{name}_{word}"), "{name}");
    }
}

#[test]
fn a_type_is_written_out_once() {
    let schemas = whole()["components"]["schemas"].take();
    for (page, item) in [("Page_Environment", "Environment"), ("Page_Event", "Event"), ("Page_Skill", "Skill")] {
        let items = &schemas[page]["properties"]["items"]["items"];
        assert_eq!(items, &json!({"$ref": format!("#/components/schemas/{item}")}), "{page}");
    }
}

#[test]
fn every_event_has_its_time() {
    let schemas = whole()["components"]["schemas"].take();
    let events = schemas["Event"]["oneOf"].as_array().expect("a union").len();
    let stamped = schemas.as_object().expect("schemas by name").iter().filter(|(name, schema)| {
        name.starts_with("Event_")
            && schema["required"].as_array().is_some_and(|required| required.contains(&json!("timestamp")))
    });
    assert_eq!(stamped.count(), events);
}

#[test]
fn what_is_read_without_a_key_says_so() {
    let paths = whole()["paths"].take();
    let optional = json!([{}, {"key": []}]);
    for path in ["/api/v2/agents", "/api/v2/sessions/{id}", "/api/v2/sessions/{id}/changes", "/api/v2/skills/{name}"] {
        assert_eq!(paths[path]["get"]["security"], optional, "{path}");
    }
    assert!(paths["/api/v2/sessions"]["get"].get("security").is_none(), "as the whole document says");
}

#[test]
fn what_any_route_may_answer_is_said() {
    let paths = whole()["paths"].take();
    for status in ["400", "408", "413", "503"] {
        let answer = &paths["/api/v2/skills/{name}"]["patch"]["responses"][status];
        let schema = &answer["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/ErrorBody", "{status}");
    }
}
