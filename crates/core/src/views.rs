//! How a session reads on the wire.

use crate::{Ending, Fault, Session};
use quarterdeck_api::{ErrorCode, Metrics, SessionStatus};

/// The fixed sentence of an error code; internals never show.
pub fn error_sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::EnvironmentError => "An environment of the session could not be used.",
        ErrorCode::NoAnswer => "The agent ended without an answer.",
        ErrorCode::AnswerValidation => "The agent's answer does not satisfy answer_format.",
        ErrorCode::Timeout => "The time limit passed before the agent answered.",
        ErrorCode::InsufficientCredit => "There is no credit left for this session.",
        ErrorCode::Internal => "The session could not go on because of an internal fault.",
    }
}

impl Session {
    /// Why it failed or timed out.
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self.ending()? {
            Ending::Failed(Fault { code, .. }) => Some(*code),
            Ending::TimedOut => Some(ErrorCode::Timeout),
            Ending::Completed | Ending::Interrupted => None,
        }
    }

    /// Why it failed or timed out, in words.
    pub fn error(&self) -> Option<String> {
        self.error_code().map(|code| error_sentence(code).to_owned())
    }

    /// Steps and usage.
    pub fn metrics(&self) -> Metrics {
        Metrics::unpriced(self.steps_on_the_wire(), &self.usage)
    }

    /// The record that `GET /sessions/{id}/status` answers with.
    pub fn status_record(&self) -> SessionStatus {
        SessionStatus {
            status: self.state.status(),
            error: self.error(),
            error_code: self.error_code(),
            outcome: self.outcome,
            steps: self.steps_on_the_wire(),
            usage_per_model: self.usage.clone(),
            subagent_session_ids: self.subagents.iter().chain(&self.adopted).copied().collect(),
            pending_tool_calls: self.state.pending_tool_calls().to_vec(),
        }
    }

    fn steps_on_the_wire(&self) -> i64 {
        i64::try_from(self.steps).unwrap_or(i64::MAX)
    }
}
