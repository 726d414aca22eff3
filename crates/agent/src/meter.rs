//! What model calls cost, for metrics.

use crate::model::{ChatReply, ModelError};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Names of models that are told apart; hosts list what they like.
const NAMES_MAX: usize = 50;
/// Characters of such a name.
const NAME_MAX: usize = 80;
/// What all other models are called.
const OTHER: &str = "other";

/// A call under way. When it is dropped, the session was paused or cancelled, or its time was up.
pub(crate) struct Call {
    begun: Instant,
    outcome: &'static str,
}

impl Call {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), outcome: "dropped" }
    }

    pub(crate) fn end(mut self, result: &Result<ChatReply, ModelError>) {
        self.outcome = match result {
            Ok(reply) => {
                count_tokens(reply);
                "replied"
            }
            Err(ModelError::Away { .. }) => "away",
            Err(ModelError::Retryable { .. }) => "retryable",
            Err(ModelError::Fatal { .. }) => "fatal",
        };
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let elapsed: Duration = self.begun.elapsed();
        metrics::histogram!("quarterdeck_model_call_seconds", "outcome" => self.outcome).record(elapsed);
    }
}

fn count_tokens(reply: &ChatReply) {
    let Some(usage) = &reply.usage else { return };
    let model = NAMES.label(reply);
    for (kind, tokens) in
        [("input", usage.input), ("cached", usage.cached), ("output", usage.output), ("reasoning", usage.reasoning)]
    {
        metrics::counter!("quarterdeck_model_tokens_total", "model" => model.clone(), "kind" => kind)
            .increment(u64::try_from(tokens).unwrap_or(0));
    }
}

static NAMES: Names = Names(Mutex::new(None));

/// The models seen so far.
struct Names(Mutex<Option<HashSet<String>>>);

impl Names {
    /// What agents call a model is their callers' word: it is not for everybody who may read metrics.
    fn label(&self, reply: &ChatReply) -> String {
        if reply.model_is_known { self.told_apart(&reply.model) } else { OTHER.to_owned() }
    }

    fn told_apart(&self, name: &str) -> String {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names.get_or_insert_default();
        let fits = names.contains(name) || (names.len() < NAMES_MAX && name.chars().count() <= NAME_MAX);
        if !fits {
            return OTHER.to_owned();
        }
        names.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME_MAX, NAMES_MAX, Names};
    use crate::model::ChatReply;
    use std::sync::Mutex;

    #[test]
    fn a_name_that_only_an_agent_says_is_not_told() {
        let names = Names(Mutex::new(None));
        let reply = |model_is_known| ChatReply { model: "m".into(), model_is_known, ..ChatReply::default() };
        assert_eq!((names.label(&reply(true)), names.label(&reply(false))), ("m".into(), "other".into()));
    }

    #[test]
    fn a_host_cannot_make_up_names_without_end() {
        let names = Names(Mutex::new(None));
        assert_eq!(names.told_apart(&"x".repeat(NAME_MAX + 1)), "other");
        for number in 0..NAMES_MAX {
            let name = format!("model {number}");
            assert_eq!(names.told_apart(&name), name);
        }
        assert_eq!(names.told_apart("one more"), "other");
        assert_eq!(names.told_apart("model 7"), "model 7");
    }
}
