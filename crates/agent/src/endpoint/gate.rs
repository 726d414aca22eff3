//! A circuit breaker: while an endpoint is away, one request after the other finds out whether it is back, and all
//! others wait. So a thousand sessions do not hammer a host that is down, and do not come back all at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// Requests in a row that did not get through until the gate shuts.
const FAULTS_MAX: u32 = 8;
/// The pause before the first trial, which doubles with each further one.
const TRIAL_INTERVAL_MIN: Duration = Duration::from_millis(500);
const TRIAL_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// How long a request waits at the gate before its session is told.
const GATE_TIMEOUT: Duration = Duration::from_secs(30);
/// Those who waited come back within this time, one by one.
const RETURN_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Gate {
    host: String,
    state: Mutex<State>,
    /// Counts openings.
    opened: watch::Sender<u32>,
}

#[derive(Default)]
struct State {
    faults: u32,
    /// While it is shut: when the next trial may be.
    shut: Option<Instant>,
    /// Whether a trial is under way.
    trying: bool,
    waiting: u32,
}

/// Leave to send one request. What came of it must be told; dropped without a word, it counts as nothing.
pub(super) struct Leave<'a> {
    gate: &'a Gate,
    is_trial: bool,
}

impl Gate {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), state: Mutex::default(), opened: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing may be sent just now.
    pub(super) fn is_shut(&self) -> bool {
        let state = self.state();
        state.shut.is_some_and(|next| state.trying || next > Instant::now())
    }

    /// Tells metrics whether the endpoint is there.
    pub(super) fn tell(&self, is_up: bool) {
        let up = if is_up { 1.0 } else { 0.0 };
        metrics::gauge!("quarterdeck_model_endpoint_up", "host" => self.host.clone()).set(up);
    }

    /// Waits until a request may be sent; none when the endpoint is still away.
    pub(super) async fn pass(&self) -> Option<Leave<'_>> {
        let until = Instant::now() + GATE_TIMEOUT;
        let mut opened = self.opened.subscribe();
        opened.mark_unchanged();
        loop {
            let (next, place) = {
                let mut state = self.state();
                let Some(next) = state.shut else { return Some(Leave { gate: self, is_trial: false }) };
                if next <= Instant::now() && !state.trying {
                    state.trying = true;
                    return Some(Leave { gate: self, is_trial: true });
                }
                state.waiting = state.waiting.wrapping_add(1);
                (next.max(Instant::now() + TRIAL_INTERVAL_MIN / 4), state.waiting)
            };
            if timeout_at(next.min(until), opened.changed()).await.is_ok() {
                sleep(RETURN_INTERVAL.mul_f64(f64::from(place.wrapping_mul(37) % 100) / 100.0)).await;
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }
}

impl Leave<'_> {
    /// The endpoint answered, whatever it said.
    pub(super) fn came_through(self) {
        let was_shut = {
            let mut state = self.gate.state();
            state.faults = 0;
            state.shut.take().is_some()
        };
        if was_shut {
            tracing::info!(host = %self.gate.host, "the model at {} answers again", self.gate.host);
            self.gate.tell(true);
            self.gate.opened.send_modify(|opened| *opened = opened.wrapping_add(1));
        }
    }

    /// It could not be reached, or said that it is away.
    pub(super) fn was_away(self, error: &str) {
        let shuts = {
            let mut state = self.gate.state();
            state.faults = state.faults.saturating_add(1);
            let Some(more) = state.faults.checked_sub(FAULTS_MAX) else { return };
            let pause = TRIAL_INTERVAL_MIN.saturating_mul(1 << more.min(8)).min(TRIAL_INTERVAL_MAX);
            if state.shut.is_some() && !self.is_trial {
                return;
            }
            state.shut.replace(Instant::now() + pause).is_none()
        };
        if shuts {
            tracing::warn!(host = %self.gate.host, %error, "the model at {} is away; sessions wait for it", self.gate.host);
            self.gate.tell(false);
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.gate.state().trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn while_an_endpoint_is_away_it_is_tried_by_one_at_a_time() {
        let gate = Gate::new("h");
        for _ in 0..FAULTS_MAX {
            gate.pass().await.unwrap().was_away("refused");
        }
        let trial = gate.pass().await.unwrap();
        assert!(trial.is_trial);
        let second = timeout(Duration::from_secs(5), gate.pass()).await;
        assert!(second.is_err(), "a trial is under way");
        trial.came_through();
        assert!(!gate.pass().await.unwrap().is_trial);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_it_is_back_and_is_told_when_it_is_not() {
        let gate = Gate::new("h");
        for _ in 0..FAULTS_MAX {
            gate.pass().await.unwrap().was_away("refused");
        }
        let trial = gate.pass().await.unwrap();
        let (passed, ()) = tokio::join!(gate.pass(), async {
            sleep(Duration::from_secs(2)).await;
            trial.came_through();
        });
        assert!(passed.is_some());
        drop(passed);
        for _ in 0..FAULTS_MAX {
            gate.pass().await.unwrap().was_away("refused");
        }
        let _trial = gate.pass().await.unwrap();
        assert!(gate.pass().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_dropped_lets_another_one_be_made() {
        let gate = Gate::new("h");
        for _ in 0..FAULTS_MAX {
            gate.pass().await.unwrap().was_away("refused");
        }
        drop(gate.pass().await.unwrap());
        assert!(gate.pass().await.unwrap().is_trial);
    }
}
