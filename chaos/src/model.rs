//! The model: its replies follow from the conversation, and its mood from the plan.

use crate::plan::Mood;
use anyhow::Result;
use quarterdeck_test_support::fake_model::{Behaviour, FakeModel, Request};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The only tool of the sessions here.
pub(crate) const TOOL: &str = "lookup";
/// Failures in a row that a session meets at most: at six the server gives it up, and rightly.
const FAILURES_MAX: u32 = 3;

/// A task, as it stands in a message: the model reads it, whoever reads the log finds the tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// A word that no other message holds.
    pub(crate) tag: String,
    /// Tools that the model calls before it answers.
    pub(crate) tools: usize,
    /// How long each reply takes.
    pub(crate) wait: Duration,
}

impl Task {
    pub(crate) fn text(&self) -> String {
        format!("chaos {} {} {}", self.tag, self.tools, self.wait.as_millis())
    }

    /// The last task of a conversation, with how many results came after it.
    fn last(messages: &[Value]) -> Option<(Self, usize)> {
        let place = messages.iter().rposition(|message| Self::within(message).is_some())?;
        let results = messages[place..].iter().filter(|message| message["role"] == "tool").count();
        Some((Self::within(&messages[place])?, results))
    }

    fn within(message: &Value) -> Option<Self> {
        if message["role"] != "user" {
            return None;
        }
        message["content"].as_str()?.lines().rev().find_map(Self::read)
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("chaos ")?.split(' ');
        let tag = words.next()?.to_owned();
        let tools = words.next()?.parse().ok()?;
        let wait = Duration::from_millis(words.next()?.parse().ok()?);
        Some(Self { tag, tools, wait })
    }
}

/// The endpoint, with a mood.
pub(crate) struct Model {
    endpoint: FakeModel,
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Model {
    pub(crate) async fn start() -> Result<Self> {
        let model = Self { endpoint: FakeModel::start().await?, failures: Arc::default() };
        model.set(Mood::Good);
        Ok(model)
    }

    pub(crate) fn base_url(&self) -> String {
        self.endpoint.base_url()
    }

    pub(crate) fn served(&self) -> u64 {
        self.endpoint.served()
    }

    /// From now on it is like this.
    pub(crate) fn set(&self, mood: Mood) {
        let failures = Arc::clone(&self.failures);
        self.endpoint.otherwise(Behaviour::decide(move |request| behave(request, mood, &failures)));
    }
}

fn behave(request: &Request, mood: Mood, failures: &Mutex<HashMap<String, u32>>) -> Behaviour {
    let Some((task, results)) = request.body["messages"].as_array().and_then(|messages| Task::last(messages)) else {
        return Behaviour::text("There is no task.");
    };
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let count = failures.entry(task.tag.clone()).or_default();
    *count += 1;
    let behaviour = match mood {
        Mood::Cut if *count <= FAILURES_MAX && *count % 2 == 1 => Behaviour::CutOff,
        Mood::Cut if *count <= FAILURES_MAX => Behaviour::Silence,
        Mood::Broken if *count <= FAILURES_MAX => Behaviour::status(500),
        Mood::Busy if *count <= FAILURES_MAX => Behaviour::busy(1),
        Mood::Slow => reply(request, &task, results).after(Duration::from_millis(1_500)),
        Mood::Good | Mood::Cut | Mood::Broken | Mood::Busy => reply(request, &task, results),
    };
    if matches!(behaviour, Behaviour::Text(_) | Behaviour::Calls(_) | Behaviour::After(..)) {
        failures.remove(&task.tag);
    }
    behaviour.after(task.wait)
}

/// Calls the tool as often as the task says, then answers; also when nothing but an answer is wanted.
fn reply(request: &Request, task: &Task, results: usize) -> Behaviour {
    let offered = request.body["tools"].as_array().into_iter().flatten();
    let may_call = offered.into_iter().any(|tool| tool["function"]["name"] == TOOL);
    if may_call && results < task.tools {
        return Behaviour::call(TOOL, json!({"tag": task.tag, "number": results}));
    }
    Behaviour::text(answer(&task.tag))
}

/// What the model answers to a task.
pub(crate) fn answer(tag: &str) -> String {
    format!("done {tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_task_counts_and_the_results_after_it() {
        let task = |tag: &str| Task { tag: tag.into(), tools: 2, wait: Duration::from_millis(5) };
        let said = |task: &Task| json!({"role": "user", "content": format!("\n{}\nthank you", task.text())});
        let result = json!({"role": "tool", "content": "chaos x 1 1"});
        let messages = [said(&task("a")), result.clone(), said(&task("b")), result.clone(), result];
        assert_eq!(Task::last(&messages), Some((task("b"), 2)));
        assert_eq!(Task::last(&[json!({"role": "user", "content": "chaos"})]), None);
    }
}
