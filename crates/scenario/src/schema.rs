//! The JSON Schema of scenario files, for editors.

/// The schema, as it is served and published.
pub const SCHEMA: &str = include_str!("../schema/quarterdeck-scenarios-1.json");

#[cfg(test)]
mod tests {
    use super::SCHEMA;
    use crate::check::{SCENARIO_KEYS, cues, parts};
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_schema_knows_the_words_that_the_reader_knows() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let acts = cues::ACTS.into_iter().chain(cues::MODIFIERS).chain(["else"]);
        check(&schema, "/$defs/step/properties", acts);
        check(&schema, "/$defs/scenario/properties", SCENARIO_KEYS);
        let rule = parts::RULE_KEYS.into_iter().chain(parts::DEEDS).chain(["retry_after"]);
        check(&schema, "/$defs/fault/properties", rule);
    }

    fn check<'a>(schema: &Value, pointer: &str, words: impl IntoIterator<Item = &'a str>) {
        let known = schema.pointer(pointer).and_then(Value::as_object).unwrap();
        let known: BTreeSet<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(known, words.into_iter().collect::<BTreeSet<_>>(), "{pointer}");
    }
}
