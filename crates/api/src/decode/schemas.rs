//! JSON Schemas that clients send.

use super::json::{self, Value};
use super::place::{Fault, Place};
use super::rules::regexes;
use crate::JsonObject;
use jsonschema::{Draft, Validator};
use std::sync::LazyLock;

/// The drafts that are known, the one for all other schemas first.
const META_SCHEMAS: [(Draft, &str); 5] = [
    (Draft::Draft202012, "https://json-schema.org/draft/2020-12/schema"),
    (Draft::Draft201909, "https://json-schema.org/draft/2019-09/schema"),
    (Draft::Draft7, "http://json-schema.org/draft-07/schema"),
    (Draft::Draft6, "http://json-schema.org/draft-06/schema"),
    (Draft::Draft4, "http://json-schema.org/draft-04/schema"),
];

static META_VALIDATORS: LazyLock<Vec<(&'static str, Validator)>> = LazyLock::new(|| {
    META_SCHEMAS.iter().filter_map(|(draft, name)| Some((*name, meta_validator(*draft, name)?))).collect()
});

fn meta_validator(draft: Draft, name: &str) -> Option<Validator> {
    jsonschema::options()
        .with_draft(draft)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_format("regex", |text: &str| regexes::check(text).is_ok())
        .with_format("uri", |_: &str| true)
        .with_format("uri-reference", |_: &str| true)
        .build(&serde_json::json!({ "$ref": name }))
        .ok()
}

/// A JSON Schema that is valid in the draft it names, 2020-12 when it names none that is known.
/// Its references are not followed.
pub fn schema(value: &Value<'_>, at: &Place<'_>) -> Option<JsonObject> {
    let schema = json::free_object(value, at)?;
    match check(&schema) {
        Ok(()) => Some(schema),
        Err(reason) => at.refuse(Fault::rule(reason), value),
    }
}

fn check(schema: &JsonObject) -> Result<(), String> {
    let named = schema.get("$schema").and_then(|name| name.as_str()).map(|name| name.trim_end_matches('#'));
    let known = META_VALIDATORS.iter().find(|(name, _)| Some(*name) == named);
    let Some((_, validator)) = known.or_else(|| META_VALIDATORS.first()) else {
        return Err("no meta-schema is known to check it with".into());
    };
    match validator.iter_errors(&serde_json::Value::Object(schema.clone())).next() {
        Some(error) => {
            Err(format!("must be a valid JSON Schema; the fault is at `{}`", shortened(error.instance_path().as_str())))
        }
        None => Ok(()),
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::{META_SCHEMAS, META_VALIDATORS};

    #[test]
    fn every_draft_has_a_validator() {
        assert_eq!(META_VALIDATORS.len(), META_SCHEMAS.len());
    }
}
