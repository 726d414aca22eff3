//! JSON Schemas that clients send.

mod draft3;

use super::json::{self, Value};
use super::place::{Fault, Place};
use super::rules::regexes;
use crate::{
    JsonObject,
    patterns::{self, PATTERNS_WEIGHT_MAX, Pattern},
};
pub use draft3::in_a_known_draft;
use jsonschema::{Draft, ValidationError, Validator, error::ValidationErrorKind};
use std::{collections::HashSet, sync::LazyLock};

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
    let schema = json::schema_object(value, at)?;
    match check(&schema) {
        Ok(()) => Some(schema),
        Err(reason) => at.refuse(Fault::rule(reason), value),
    }
}

fn check(schema: &JsonObject) -> Result<(), String> {
    let schema = in_a_known_draft(schema);
    let named = schema.get("$schema").and_then(|name| name.as_str()).map(|name| name.trim_end_matches('#'));
    let known = META_VALIDATORS.iter().find(|(name, _)| Some(*name) == named);
    let Some((_, validator)) = known.or_else(|| META_VALIDATORS.first()) else {
        return Err("no meta-schema is known to check it with".into());
    };
    let schema = serde_json::Value::Object(schema.into_owned());
    match validator.iter_errors(&schema).next() {
        Some(error) => Err(invalid(error.instance_path().as_str(), reason(&error).as_deref())),
        None => check_patterns(&schema),
    }
}

fn invalid(path: &str, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(String::new, |reason| format!(", which {reason}"));
    format!("must be a valid JSON Schema; the fault is at `{}`{reason}", shortened(path))
}

/// What is known of the fault of a pattern.
fn reason(error: &ValidationError<'_>) -> Option<String> {
    if let ValidationErrorKind::PropertyNames { error } = error.kind() {
        return reason(error);
    }
    if let ValidationErrorKind::Format { format } = error.kind()
        && format == "regex"
    {
        return regexes::check(error.instance().as_str()?).err();
    }
    None
}

/// What the meta-schemas cannot say of patterns: whether the engine can match them, and what they weigh together.
///
/// # Errors
/// A sentence about the schema.
pub fn check_patterns(schema: &serde_json::Value) -> Result<(), String> {
    Patterns::default().look_into(schema)
}

#[derive(Default)]
struct Patterns<'s> {
    known: HashSet<&'s str>,
    weight: u64,
    path: Vec<&'s str>,
}

impl<'s> Patterns<'s> {
    /// Data that looks like a schema counts as one.
    fn look_into(&mut self, value: &'s serde_json::Value) -> Result<(), String> {
        if let Some(items) = value.as_array() {
            return items.iter().try_for_each(|item| self.look_into(item));
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            self.path.push(name);
            match (name.as_str(), member) {
                ("pattern", serde_json::Value::String(pattern)) => {
                    self.add(pattern, |pattern| Pattern::compile(pattern).map(drop))?;
                }
                ("patternProperties", serde_json::Value::Object(names)) => {
                    names.keys().try_for_each(|pattern| self.add(pattern, patterns::check_name_pattern))?;
                }
                _ => {}
            }
            self.look_into(member)?;
            self.path.pop();
        }
        Ok(())
    }

    fn add(&mut self, pattern: &'s str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
        // What is no pattern has been refused, or is data.
        let Ok(translated) = regexes::translated(pattern) else { return Ok(()) };
        if !self.known.insert(pattern) {
            return Ok(());
        }
        self.weight = self.weight.saturating_add(translated.weight);
        let light = if self.weight > PATTERNS_WEIGHT_MAX { Err(patterns::too_heavy()) } else { Ok(()) };
        let checked = light.and_then(|()| check(pattern));
        checked.map_err(|reason| invalid(&format!("/{}", self.path.join("/")), Some(&reason)))
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
