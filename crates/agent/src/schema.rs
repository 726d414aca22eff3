//! JSON Schemas of agents, ready to check values. Whoever wrote one may have meant harm, so what a check would cost is
//! found out first, and what would cost too much is not done. See
//! [decision 26](../../../docs/decisions/0026-budget-of-a-check.md).

mod budget;
mod offered;
mod outline;
mod pattern;

use crate::{
    calls::DEPTH_MAX,
    text::{cut, depth_is_within},
};
pub(crate) use budget::{Budget, off_the_workers};
use jsonschema::{ValidationError, Validator};
pub(crate) use offered::offered;
use outline::Outline;
use pattern::PatternKeyword;
use quarterdeck_api::{check_patterns, patterns::name_patterns};
use serde_json::Value;
use std::sync::Arc;

/// Schemas above this size are refused: compiling one takes time on every step.
const SIZE_MAX_BYTES: usize = 1 << 20;

/// Faults of one value that are told; the rest is likely more of the same.
const FAULTS_MAX: usize = 8;

/// Checks up to which faults are told. The library lists all of them before it gives out the first, a fault for each
/// check at worst.
const CHECKS_TOLD_MAX: u64 = 100_000;

/// A schema that can be used.
pub(crate) struct Schema {
    outline: Outline,
    validator: Validator,
    budget: Arc<Budget>,
}

impl Schema {
    /// Compiles a schema, whose checks share a budget. Takes a moment for a large one. Nothing is fetched: one that
    /// refers elsewhere is a fault.
    ///
    /// # Errors
    /// Words that go on a sentence about the schema.
    pub(crate) fn of(schema: &Value, budget: Arc<Budget>) -> Result<Self, String> {
        if !depth_is_within(schema, DEPTH_MAX) {
            return Err(format!("is nested more than {DEPTH_MAX} levels deep"));
        }
        if schema.to_string().len() > SIZE_MAX_BYTES {
            return Err(format!("is larger than {SIZE_MAX_BYTES} bytes"));
        }
        let unusable = |cause: String| format!("cannot be used: {}", cut(&cause, 500));
        // It may have been stored before this was looked at when it came in.
        check_patterns(schema).map_err(unusable)?;
        let outline = Outline::of(schema).map_err(unusable)?;
        let patterns = PatternKeyword::factory(Arc::clone(&budget));
        let options = jsonschema::options().offline().with_pattern_options(name_patterns());
        let built = options.with_keyword("pattern", patterns).build(schema);
        let validator = built.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { outline, validator, budget })
    }

    /// Whether a value satisfies it; one that cannot be checked does not.
    pub(crate) fn is_satisfied_by(&self, value: &Value) -> bool {
        let satisfied = self.outline.checks(value, &self.budget).is_ok() && self.validator.is_valid(value);
        satisfied && !self.budget.is_spent()
    }

    /// What is wrong with a value; nothing if it satisfies the schema.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
        let faults = match self.outline.checks(value, &self.budget) {
            Err(cause) => vec![cause],
            // This way a schema that comes to the same place again is not asked again.
            Ok(_) if self.validator.is_valid(value) => Vec::new(),
            Ok(checks) if checks > CHECKS_TOLD_MAX => vec!["it does not satisfy the schema".into()],
            Ok(_) => self.validator.iter_errors(value).take(FAULTS_MAX).map(|error| told(&error)).collect(),
        };
        // What was said after the budget had run out means nothing.
        if self.budget.is_spent() { vec![TOO_MUCH.into()] } else { faults }
    }
}

/// What is told when the budget does not suffice.
const TOO_MUCH: &str = "it takes too much work to be checked against the schema";

fn told(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "/" } else { &place };
    format!("at {place}: {}", cut(&error.to_string(), 300))
}

#[cfg(test)]
mod tests;
