//! What the engine counts, for metrics. No name here holds an id or a word of a user's.

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
    let ending = match &transition.session.state {
        State::Ended(Ending::Completed) => "completed",
        State::Ended(Ending::Failed(_)) => "failed",
        State::Ended(Ending::TimedOut) => "timed_out",
        State::Ended(Ending::Interrupted) => "interrupted",
        State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => return,
    };
    metrics::counter!("quarterdeck_sessions_ended_total", "ending" => ending).increment(1);
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

/// The gauges are there from the start: what is absent cannot be told from what is not measured.
#[expect(clippy::cast_precision_loss, reason = "a limit that large is no limit")]
pub(crate) fn workers_max(limit: usize) {
    metrics::gauge!("quarterdeck_workers_limit").set(limit as f64);
    for gauge in [WORKERS_BUSY, WAITERS] {
        // Not set to nothing: another engine of this process may have counted already.
        metrics::gauge!(gauge).increment(0);
    }
}
