//! What the engine counts, for metrics. No name here holds an id or a word of a user's.

use quarterdeck_api::ErrorCode;
use quarterdeck_core::{Ending, Phase, Session, State, Transition};
use tokio::time::Instant;

/// One more of something, until it is dropped.
pub(crate) struct Present(&'static str);

impl Present {
    pub(crate) fn new(gauge: &'static str) -> Self {
        metrics::gauge!(gauge).increment(1);
        Self(gauge)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1);
    }
}

pub(crate) const WORKERS_BUSY: &str = "quarterdeck_workers_busy";
pub(crate) const WAITERS: &str = "quarterdeck_waiters";

/// A step under way. Dropped before its end, it was not wanted any more.
pub(crate) struct Step {
    begun: Instant,
    outcome: &'static str,
}

impl Step {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), outcome: "dropped" }
    }

    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        metrics::histogram!("quarterdeck_step_seconds", "outcome" => self.outcome).record(self.begun.elapsed());
    }
}

/// A session has ended, if that is what was committed: every change of status writes an event, and what is noted of an
/// ended session writes none.
pub(crate) fn committed(transition: &Transition) {
    if transition.events.is_empty() {
        return;
    }
    let (ending, error) = match &transition.session.state {
        State::Ended(Ending::Completed) => ("completed", NO_ERROR),
        State::Ended(Ending::Failed(fault)) => ("failed", word(fault.code)),
        State::Ended(Ending::TimedOut) => ("timed_out", word(ErrorCode::Timeout)),
        State::Ended(Ending::Interrupted) => ("interrupted", NO_ERROR),
        State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => return,
    };
    metrics::counter!("quarterdeck_sessions_ended_total", "ending" => ending, "error" => error).increment(1);
    say_how_it_ended(&transition.session, ending, error);
}

/// The label of what ended without an error.
const NO_ERROR: &str = "none";
/// Characters of a cause on a line of the log: it may hold a model's own words.
const CAUSE_MAX: usize = 300;

/// One line for each end that is not success.
fn say_how_it_ended(session: &Session, ending: &'static str, error: &'static str) {
    let (id, organization) = (session.id, session.organization.0);
    match &session.state {
        State::Ended(Ending::Failed(fault)) => {
            let cause: String = fault.cause.as_deref().unwrap_or_default().chars().take(CAUSE_MAX).collect();
            tracing::warn!(session.id = %id, %organization, error, cause, "session {id} failed");
        }
        State::Ended(Ending::TimedOut) => {
            tracing::warn!(session.id = %id, %organization, error, "session {id} timed out");
        }
        State::Ended(Ending::Interrupted) => {
            tracing::info!(session.id = %id, %organization, ending, "session {id} was cancelled");
        }
        State::Ended(Ending::Completed) | State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => {}
    }
}

/// As on the wire.
fn word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::EnvironmentError => "environment_error",
        ErrorCode::NoAnswer => "no_answer",
        ErrorCode::AnswerValidation => "answer_validation",
        ErrorCode::Timeout => "timeout",
        ErrorCode::InsufficientCredit => "insufficient_credit",
        ErrorCode::Internal => "internal",
    }
}

/// Every counter with every label it can have: one that is absent cannot be told from one that counts nothing.
fn begin_counters() {
    for (name, label, values) in [
        ("quarterdeck_sessions_created_total", "beginning", &["started", "queued"][..]),
        ("quarterdeck_sessions_claimed_total", "why", &["start", "timer", "taken_over"]),
        (
            "quarterdeck_store_writes_total",
            "outcome",
            &["applied", "queued", "refused", "conflict", "replayed", "key_reused"],
        ),
        ("quarterdeck_store_errors_total", "kind", &["unavailable", "disk_full", "database"]),
    ] {
        for value in values {
            metrics::counter!(name, label => *value).increment(0);
        }
    }
    for name in [
        "quarterdeck_sessions_promoted_total",
        "quarterdeck_waiters_woken_total",
        "quarterdeck_lease_renewals_failed_total",
    ] {
        metrics::counter!(name).increment(0);
    }
    let codes = [
        ErrorCode::EnvironmentError,
        ErrorCode::NoAnswer,
        ErrorCode::AnswerValidation,
        ErrorCode::InsufficientCredit,
        ErrorCode::Internal,
    ];
    let failed = codes.into_iter().map(|code| ("failed", word(code)));
    let others = [("completed", NO_ERROR), ("interrupted", NO_ERROR), ("timed_out", word(ErrorCode::Timeout))];
    for (ending, error) in failed.chain(others) {
        metrics::counter!("quarterdeck_sessions_ended_total", "ending" => ending, "error" => error).increment(0);
    }
}

/// A session was claimed: to be started, because its time is up, or from another process that let go of it or
/// vanished.
pub(crate) fn claimed(session: &Session) {
    let why = match &session.state {
        State::Active(Phase::Running(_)) => "taken_over",
        State::Active(_) | State::Paused { .. } | State::Ended(_) => "timer",
        State::Queued | State::Pending => "start",
    };
    metrics::counter!("quarterdeck_sessions_claimed_total", "why" => why).increment(1);
}

pub(crate) fn created(beginning: &'static str) {
    metrics::counter!("quarterdeck_sessions_created_total", "beginning" => beginning).increment(1);
}

pub(crate) fn promoted() {
    metrics::counter!("quarterdeck_sessions_promoted_total").increment(1);
}

pub(crate) fn woken() {
    metrics::counter!("quarterdeck_waiters_woken_total").increment(1);
}

pub(crate) fn lease_not_renewed() {
    metrics::counter!("quarterdeck_lease_renewals_failed_total").increment(1);
}

/// What is counted is there from the start: what is absent cannot be told from what is not measured.
#[expect(clippy::cast_precision_loss, reason = "a limit that large is no limit")]
pub(crate) fn workers_max(limit: usize) {
    metrics::gauge!("quarterdeck_workers_limit").set(limit as f64);
    begin_counters();
    for gauge in [WORKERS_BUSY, WAITERS] {
        // Not set to nothing: another engine of this process may have counted already.
        metrics::gauge!(gauge).increment(0);
    }
}
