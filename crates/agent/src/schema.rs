//! JSON Schemas of agents, ready to check values. Whoever wrote one may have meant harm, so what a check would cost is
//! found out first, and what would cost too much is not done.

mod outline;

use crate::{
    calls::DEPTH_MAX,
    text::{cut, depth_is_within},
};
use jsonschema::{ValidationError, Validator};
use outline::Outline;
use serde_json::Value;
use tokio::task::JoinError;

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
}

impl Schema {
    /// Compiles a schema. Takes a moment for a large one. Nothing is fetched: one that refers elsewhere is a fault.
    ///
    /// # Errors
    /// Words that go on a sentence about the schema.
    pub(crate) fn of(schema: &Value) -> Result<Self, String> {
        if !depth_is_within(schema, DEPTH_MAX) {
            return Err(format!("is nested more than {DEPTH_MAX} levels deep"));
        }
        if schema.to_string().len() > SIZE_MAX_BYTES {
            return Err(format!("is larger than {SIZE_MAX_BYTES} bytes"));
        }
        let unusable = |cause: String| format!("cannot be used: {}", cut(&cause, 500));
        let outline = Outline::of(schema).map_err(unusable)?;
        let validator = jsonschema::options().offline().build(schema).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { outline, validator })
    }

    /// Whether a value satisfies it; one that cannot be checked does not.
    pub(crate) fn is_satisfied_by(&self, value: &Value) -> bool {
        self.outline.checks(value).is_ok() && self.validator.is_valid(value)
    }

    /// What is wrong with a value; nothing if it satisfies the schema.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
        match self.outline.checks(value) {
            Err(cause) => vec![cause],
            // This way a schema that comes to the same place again is not asked again.
            Ok(_) if self.validator.is_valid(value) => Vec::new(),
            Ok(checks) if checks > CHECKS_TOLD_MAX => vec!["it does not satisfy the schema".into()],
            Ok(_) => self.validator.iter_errors(value).take(FAULTS_MAX).map(|error| told(&error)).collect(),
        }
    }
}

fn told(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "/" } else { &place };
    format!("at {place}: {}", cut(&error.to_string(), 300))
}

/// Runs what takes long and cannot be stopped on a thread of its own, so that whoever waits can be dropped meanwhile.
pub(crate) async fn off_the_workers<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is stopping, and drops whoever waits.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
