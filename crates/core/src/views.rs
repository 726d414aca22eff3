//! How a session reads on the wire.

use crate::{Ending, Session, SessionFailure, State};
use quarterdeck_api::{ErrorCode, Metrics, SessionStatus};

/// The fixed sentence of an error code, without any cause: this is what others read.
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

impl SessionFailure {
    /// What went wrong and why, in one sentence for the session's owner.
    pub fn sentence(&self) -> String {
        let Some(cause) = self.cause.as_deref().filter(|cause| !cause.is_empty()) else {
            return error_sentence(self.code).to_owned();
        };
        let what = match self.code {
            ErrorCode::Internal => "The session could not go on",
            ErrorCode::EnvironmentError
            | ErrorCode::NoAnswer
            | ErrorCode::AnswerValidation
            | ErrorCode::Timeout
            | ErrorCode::InsufficientCredit => error_sentence(self.code).trim_end_matches('.'),
        };
        format!("{what}: {}.", cause.trim_end_matches('.'))
    }
}

/// What others read in the place of a [`SessionFailure::sentence`].
pub fn sentence_without_cause(sentence: &str) -> &'static str {
    const CODES: [ErrorCode; 5] = [
        ErrorCode::EnvironmentError,
        ErrorCode::NoAnswer,
        ErrorCode::AnswerValidation,
        ErrorCode::Timeout,
        ErrorCode::InsufficientCredit,
    ];
    let is_of = |code: &ErrorCode| sentence.starts_with(error_sentence(*code).trim_end_matches('.'));
    error_sentence(CODES.into_iter().find(is_of).unwrap_or(ErrorCode::Internal))
}

impl Session {
    /// Why it failed or timed out.
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self.ending()? {
            Ending::Failed(SessionFailure { code, .. }) => Some(*code),
            Ending::TimedOut => Some(ErrorCode::Timeout),
            Ending::Completed | Ending::Interrupted => None,
        }
    }

    /// Why it failed or timed out, in words for its owner: they name the cause, as far as it is known.
    pub fn error(&self) -> Option<String> {
        match self.ending()? {
            Ending::Failed(fault) => Some(fault.sentence()),
            Ending::TimedOut => Some(error_sentence(ErrorCode::Timeout).to_owned()),
            Ending::Completed | Ending::Interrupted => None,
        }
    }

    /// The session as others may see it: causes may name hosts of the operator's.
    #[must_use]
    pub fn without_causes(&self) -> Self {
        let mut session = self.clone();
        if let State::Ended(Ending::Failed(fault)) = &mut session.state {
            fault.cause = None;
        }
        session
    }

    /// Steps, usage, and what it cost as far as there are prices.
    pub fn metrics(&self) -> Metrics {
        let cost = |model: &str| self.costs.get(model).map(|cost| cost.in_dollars());
        Metrics::new(self.steps_on_the_wire(), &self.usage, cost)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_read_the_cause_and_others_the_fixed_sentence() {
        for (code, expected) in [
            (ErrorCode::Internal, "The session could not go on: it broke."),
            (ErrorCode::NoAnswer, "The agent ended without an answer: it broke."),
            (ErrorCode::AnswerValidation, "The agent's answer does not satisfy answer_format: it broke."),
            (ErrorCode::EnvironmentError, "An environment of the session could not be used: it broke."),
        ] {
            for fault in [SessionFailure::because(code, "it broke"), SessionFailure::because(code, "it broke.")] {
                assert_eq!(fault.sentence(), expected);
                assert_eq!(sentence_without_cause(&fault.sentence()), error_sentence(code));
            }
            assert_eq!(SessionFailure::new(code).sentence(), error_sentence(code));
            assert_eq!(sentence_without_cause(error_sentence(code)), error_sentence(code));
        }
        assert_eq!(sentence_without_cause("what else"), error_sentence(ErrorCode::Internal));
    }
}
