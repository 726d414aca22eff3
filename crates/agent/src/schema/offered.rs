//! A schema as it is offered to a model, below another root. Models' servers follow references of one kind only, a path
//! from the root, so all others are rewritten to that kind; what names places or drafts is left out.

use super::outline::references;
use quarterdeck_api::JsonObject;
use serde_json::Value;
use std::{borrow::Cow, collections::HashMap, fmt::Write as _};

/// What names a schema or its draft, and means nothing once references are paths.
const NAMES: [&str; 6] = ["$schema", "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// What stays where it is under the other root, so that paths to it stay short.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Bytes of all references that are rewritten. A few long names can make many long paths.
const PATHS_MAX_BYTES: usize = 4 << 20;

/// Moves a schema to the path `place` below `root`, its definitions to the root itself. One whose references would
/// become far longer than they are is left as it is.
pub(crate) fn offered(schema: &JsonObject, place: &str, root: &mut JsonObject) -> Value {
    let source = Value::Object(schema.clone());
    let Ok(schemas) = references(&source) else { return source };
    let mut paths = Paths { uses: HashMap::new(), found: HashMap::new(), room: PATHS_MAX_BYTES };
    for target in schemas.values().flatten() {
        *paths.uses.entry(*target).or_default() += 1;
    }
    if paths.find(&source, &mut Vec::new()).is_none() {
        return source;
    }
    let moved = Moved { schemas, paths: paths.found, place };
    let Value::Object(mut offered) = moved.copy(&source) else { return source };
    for definitions in DEFINITIONS {
        if let Some(definitions_of_root) = offered.shift_remove(definitions) {
            root.insert(definitions.into(), definitions_of_root);
        }
    }
    Value::Object(offered)
}

/// Where the schemas are that references lead to.
struct Paths {
    /// How many references lead to each.
    uses: HashMap<*const Value, usize>,
    found: HashMap<*const Value, String>,
    room: usize,
}

impl Paths {
    /// None when there is not enough room for them.
    fn find<'v>(&mut self, value: &'v Value, steps: &mut Vec<Cow<'v, str>>) -> Option<()> {
        if let Some(uses) = self.uses.get(&std::ptr::from_ref(value)) {
            let length: usize = steps.iter().map(|step| 1 + step.len()).sum();
            self.room = self.room.checked_sub(length.saturating_mul(*uses))?;
            let path = steps.iter().flat_map(|step| ["/".into(), escaped(step)]).collect();
            self.found.insert(std::ptr::from_ref(value), path);
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    steps.push(name.into());
                    self.find(member, steps)?;
                    steps.pop();
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    steps.push(place.to_string().into());
                    self.find(item, steps)?;
                    steps.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(())
    }
}

/// A name as a step of a path within a URI.
fn escaped(name: &str) -> String {
    let mut step = String::new();
    for byte in name.bytes() {
        match byte {
            b'~' => step.push_str("~0"),
            b'/' => step.push_str("~1"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'$' | b'@' | b':' | b'!' => {
                step.push(char::from(byte));
            }
            _ => {
                let _ = write!(step, "%{byte:02X}");
            }
        }
    }
    step
}

struct Moved<'a> {
    schemas: HashMap<*const Value, Option<*const Value>>,
    paths: HashMap<*const Value, String>,
    place: &'a str,
}

impl Moved<'_> {
    fn copy(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => match self.schemas.get(&std::ptr::from_ref(value)) {
                Some(target) => self.copy_schema(members, *target).into(),
                None => members
                    .iter()
                    .map(|(name, member)| (name.clone(), self.copy(member)))
                    .collect::<JsonObject>()
                    .into(),
            },
            Value::Array(items) => items.iter().map(|item| self.copy(item)).collect::<Vec<_>>().into(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn copy_schema(&self, members: &JsonObject, target: Option<*const Value>) -> JsonObject {
        let path = target.and_then(|target| self.paths.get(&target)).map(|path| self.moved(path));
        let mut schema = JsonObject::new();
        for (name, member) in members {
            let is_reference = REFERENCES.contains(&name.as_str()) && member.is_string();
            if NAMES.contains(&name.as_str()) || (name == "id" && member.is_string()) {
                continue;
            }
            match &path {
                Some(path) if is_reference => schema.insert("$ref".into(), path.clone().into()),
                Some(_) | None => schema.insert(name.clone(), self.copy(member)),
            };
        }
        schema
    }

    fn moved(&self, path: &str) -> String {
        let stays = DEFINITIONS.iter().any(|name| path.strip_prefix('/').is_some_and(|path| is_below(path, name)));
        if stays { format!("#{path}") } else { format!("#{}{path}", self.place) }
    }
}

fn is_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
    fn placed(schema: Value) -> Value {
        let mut root = JsonObject::new();
        let offered = offered(schema.as_object().unwrap(), "/properties/answer", &mut root);
        root.insert("properties".into(), json!({"answer": offered}));
        let root = Value::Object(root);
        assert!(jsonschema::options().offline().build(&root).is_ok(), "{root}");
        root
    }

    #[test]
    fn references_lead_to_the_same_schema_below_the_new_root() {
        let inner =
            json!({"$id": "inner", "$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
        let root = placed(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/root",
            "$defs": {"inner": inner, "t": {"$anchor": "text", "type": "string"}},
            "properties": {
                "by_id": {"$ref": "inner"}, "by_anchor": {"$ref": "#text"}, "self": {"$ref": "#"},
                "whole": {"$ref": "https://example.com/root#/$defs/t"}, "a b/c": {"$ref": "#/properties/by_id"},
                "odd": {"$ref": "#/properties/a%20b~1c"},
            },
        }));
        let at = |name: &str| root["properties"]["answer"]["properties"][name]["$ref"].clone();
        assert_eq!(at("by_id"), "#/$defs/inner");
        assert_eq!(at("by_anchor"), "#/$defs/t");
        assert_eq!(at("self"), "#/properties/answer");
        assert_eq!(at("whole"), "#/$defs/t");
        assert_eq!(at("odd"), "#/properties/answer/properties/a%20b~1c");
        assert_eq!(root["$defs"]["inner"]["properties"]["a"]["$ref"], "#/$defs/inner/$defs/n");
        assert!(!root.to_string().contains("$id") && !root.to_string().contains("$anchor"), "{root}");
    }

    #[test]
    fn data_that_looks_like_a_reference_is_left_alone() {
        let root = placed(json!({
            "properties": {
                "$ref": {"type": "string"}, "$id": {"type": "integer"},
                "a": {"enum": [{"$ref": "#/x"}], "default": {"$ref": "#/y", "$id": "z"}},
            },
        }));
        let properties = &root["properties"]["answer"]["properties"];
        assert_eq!(properties["a"], json!({"enum": [{"$ref": "#/x"}], "default": {"$ref": "#/y", "$id": "z"}}));
        assert_eq!(properties["$ref"], json!({"type": "string"}));
        assert_eq!(properties["$id"], json!({"type": "integer"}));
    }
}
