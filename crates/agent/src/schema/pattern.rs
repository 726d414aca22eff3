//! The keyword `pattern`, within a budget and in the dialect that callers are told of. The library's own would go back
//! in a text as often as it likes.

use super::budget::Budget;
use jsonschema::{Keyword, ValidationError};
use quarterdeck_api::patterns::Pattern;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

type Factory = Box<
    dyn for<'a> Fn(
            &'a Map<String, Value>,
            &'a Value,
            jsonschema::paths::Location,
        ) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>>
        + Send
        + Sync,
>;

/// A pattern that texts must match.
pub(super) struct PatternKeyword {
    pattern: Arc<Pattern>,
    budget: Arc<Budget>,
}

impl PatternKeyword {
    /// Makes the keywords of one schema. What is written twice is compiled once.
    pub(super) fn factory(budget: Arc<Budget>) -> Factory {
        let known: Mutex<HashMap<String, Arc<Pattern>>> = Mutex::default();
        Box::new(move |_, schema, _| {
            let source = schema.as_str().unwrap_or_default();
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let pattern = match known.get(source) {
                Some(pattern) => Arc::clone(pattern),
                None => Arc::new(Pattern::compile(source).map_err(ValidationError::custom)?),
            };
            known.insert(source.to_owned(), Arc::clone(&pattern));
            Ok(Box::new(Self { pattern, budget: Arc::clone(&budget) }))
        })
    }
}

impl<'i> Keyword<'i> for PatternKeyword {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!("{instance} does not match {:?}", self.pattern.source())))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        instance.as_str().is_none_or(|text| self.pattern.is_found_in(text, &*self.budget).unwrap_or(false))
    }
}
