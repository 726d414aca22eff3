//! How long to wait before asking a model again.

use crate::model_runner::RunnerSettings;
use quarterdeck_api::SessionId;
use std::time::Duration;

/// Failures whose waits are counted: by then hours have passed.
const FAILURES_COUNTED: usize = 10_000;

/// Exponential backoff with full jitter. The jitter is made of the session and the failure's number: sessions
/// that fail together come back apart, and a test sees the same waits each time.
pub(crate) struct Backoff<'a> {
    session: SessionId,
    settings: &'a RunnerSettings,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(session: SessionId, settings: &'a RunnerSettings) -> Self {
        Self { session, settings }
    }

    /// The wait after this many failures in a row, at least as long as the host asks for.
    pub(crate) fn wait(&self, failures: usize, retry_after: Option<Duration>) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let ceiling = self.settings.backoff_base.saturating_mul(1 << doublings).min(self.settings.backoff_max);
        let fraction = self.fraction(failures);
        let apart = self.settings.backoff_base.mul_f64(fraction);
        let asked = retry_after.map_or(Duration::ZERO, |asked| asked.min(self.settings.retry_after_max) + apart);
        ceiling.mul_f64(fraction).max(asked)
    }

    /// How long all waits up to this many failures took, by our own count.
    pub(crate) fn waited(&self, failures: usize) -> Duration {
        (1..=failures.min(FAILURES_COUNTED)).map(|number| self.wait(number, None)).sum()
    }

    /// Between 0 and 1.
    fn fraction(&self, failures: usize) -> f64 {
        let (high, low) = self.session.0.as_u64_pair();
        let mixed = mix(mix(high ^ low.rotate_left(32)) ^ failures as u64);
        let fine = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(fine) / f64::from(u32::MAX)
    }
}

/// Spreads the bits of a number over all of it.
fn mix(number: u64) -> u64 {
    let spread = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let spread = (spread ^ (spread >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    spread ^ (spread >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: fn() -> RunnerSettings = RunnerSettings::default;

    #[test]
    fn waits_grow_to_their_limit_and_no_further() {
        let limits = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        for (failures, limit) in (1..).zip(limits) {
            let waits = sessions().map(|session| Backoff::new(session, &SETTINGS()).wait(failures, None));
            let longest = waits.max().unwrap().as_millis();
            assert!(longest <= limit && longest > limit * 9 / 10, "{failures}: {longest} of {limit}");
        }
        assert!(wait(usize::MAX, None) <= Duration::from_secs(30));
    }

    #[test]
    fn waits_of_many_sessions_are_spread() {
        let early =
            sessions().filter(|session| Backoff::new(*session, &SETTINGS()).wait(1, None) < Duration::from_millis(250));
        assert!((400..600).contains(&early.count()));
    }

    #[test]
    fn the_host_is_given_the_time_it_asks_for_within_reason() {
        check_asked(Duration::from_secs(9), Duration::from_secs(9));
        check_asked(Duration::from_mins(15), Duration::from_mins(5));
        assert_eq!(wait(1, Some(Duration::ZERO)), wait(1, None));
    }

    /// A little more than was asked for: those who were told the same time must not come back together.
    fn check_asked(asked: Duration, expected: Duration) {
        let waited = wait(1, Some(asked));
        assert!(waited >= expected && waited <= expected + SETTINGS().backoff_base, "{waited:?}");
    }

    fn wait(failures: usize, retry_after: Option<Duration>) -> Duration {
        Backoff::new(sessions().next().unwrap(), &SETTINGS()).wait(failures, retry_after)
    }

    fn sessions() -> impl Iterator<Item = SessionId> {
        (0..1_000).map(|number| format!("018f0000-0000-7000-8000-{number:012}").parse().unwrap())
    }
}
