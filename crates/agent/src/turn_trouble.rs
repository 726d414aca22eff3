//! How a turn stands, read from the transcript alone: a crash resets nothing.

use quarterdeck_api::{AgentEvent, ToolError};
use std::sync::Arc;

/// Trouble in a row, up to now. A message of a person ends the row: whoever restarts a failed session
/// gets all tries anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnTrouble {
    /// Model calls that failed since the model last replied.
    pub(crate) failures: usize,
    /// What the latest failure was.
    pub(crate) failure: Option<String>,
    /// Replies in a row that could not be used.
    pub(crate) rejected: usize,
    /// What was wrong with the latest.
    pub(crate) faults: Vec<String>,
}

impl TurnTrouble {
    pub(crate) fn of(transcript: &[Arc<AgentEvent>]) -> Self {
        let mut trouble = Self::default();
        for event in transcript.iter().rev() {
            match &**event {
                AgentEvent::ErrorEvent(ToolError { error, origin, tool_req: None })
                    if origin == "model" && trouble.rejected == 0 =>
                {
                    trouble.failures += 1;
                    trouble.failure.get_or_insert_with(|| error.clone());
                }
                AgentEvent::PolicyEvent { validation_errors, .. } if !validation_errors.is_empty() => {
                    trouble.rejected += 1;
                    if trouble.rejected == 1 {
                        trouble.faults.clone_from(validation_errors);
                    }
                }
                AgentEvent::PolicyEvent { .. } | AgentEvent::MessageEvent { .. } | AgentEvent::AnswerEvent { .. } => {
                    break;
                }
                AgentEvent::ErrorEvent(_)
                | AgentEvent::ObservationEvent { .. }
                | AgentEvent::ToolResult(_)
                | AgentEvent::FlowEvent { .. } => {}
            }
        }
        trouble
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;
    use serde_json::{Value, json};

    #[test]
    fn trouble_counts_since_the_last_good_reply() {
        let (user, good, bad, trouble) = (user(), policy(&[]), policy(&["x"]), trouble());
        check(&[], 0, 0);
        check(&[&user, &trouble, &trouble], 2, 0);
        check(&[&user, &trouble, &good, &trouble], 1, 0);
        check(&[&user, &bad, &trouble, &bad], 0, 2);
        check(&[&user, &bad, &trouble], 1, 1);
        check(&[&user, &bad, &good, &bad], 0, 1);
    }

    #[test]
    fn a_message_ends_the_row() {
        check(&[&trouble(), &policy(&["x"]), &user()], 0, 0);
    }

    #[test]
    fn a_forced_answer_does_not_end_the_row() {
        let force = json!({"kind": "flow_event", "flow": "force_answer", "origin": "server"});
        check(&[&policy(&["x"]), &force, &policy(&["y"])], 0, 2);
    }

    fn check(transcript: &[&Value], failures: usize, rejected: usize) {
        let trouble = TurnTrouble::of(&events(transcript.iter().copied()));
        assert_eq!((trouble.failures, trouble.rejected), (failures, rejected), "{transcript:?}");
    }

    fn user() -> Value {
        json!({"kind": "message_event", "caller_id": "user", "content": ["hi"]})
    }

    fn policy(errors: &[&str]) -> Value {
        json!({"kind": "policy_event", "content": "c", "tool_reqs": [], "validation_errors": errors})
    }

    fn trouble() -> Value {
        json!({"kind": "error_event", "origin": "model", "error": "e"})
    }
}
