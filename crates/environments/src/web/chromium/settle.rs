//! When a page is still after an action. The rule alone: signs and times come in as arguments.

use std::time::{Duration, Instant};

/// Stillness that is waited for, at most.
const STILLNESS_TIMEOUT: Duration = Duration::from_millis(500);
/// The end of that stillness, in which the picture is taken; a part of it, so that a short one is not all end.
const END_MAX: Duration = Duration::from_millis(100);
const END_PART: u32 = 5;
/// How often a page is asked whose stillness cannot be foreseen.
const POLL: Duration = Duration::from_millis(50);
/// What is added to the cap while requests run.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a page to load.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What is waited for after an action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settle {
    /// Counted from here, the end of the action. Before it a page may be still because nothing has begun.
    pub(crate) since: Instant,
    /// How long is waited for a page that never gets still.
    pub(crate) cap: Duration,
}

/// What a page shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs {
    /// Since when the main frame has been loading.
    pub(crate) loading_since: Option<Instant>,
    /// Whether requests are open that the page may be waiting for.
    pub(crate) is_requesting: bool,
    /// How long its document has not changed; none if it does not answer.
    pub(crate) unchanged: Option<Duration>,
    /// How often it has changed; none if it does not answer.
    pub(crate) changes: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look at the page now.
    Look,
    /// Ask again soon.
    Wait,
    /// Stop the page from loading, then look: it took too long.
    Stop,
}

/// What is done while a page is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pastime {
    /// Nothing, for so long.
    Sleep(Duration),
    /// Its picture is taken, and then nothing until this moment, when the page may be still.
    Picture(Instant),
}

impl Settle {
    /// The verdict at a moment.
    pub(crate) fn verdict(&self, now: Instant, signs: Signs) -> Verdict {
        let waited = now.saturating_duration_since(self.since);
        // Of a page that is being replaced there is no picture, so that it is waited for however little patience there is.
        if signs.loading_since.is_some() {
            return if waited >= LOAD_TIMEOUT { Verdict::Stop } else { Verdict::Wait };
        }
        let cap = if signs.is_requesting && !self.cap.is_zero() { self.cap + REQUESTS_TIMEOUT } else { self.cap };
        let is_still = self.still_in(now, signs).is_some_and(|left| left.is_zero());
        if is_still || waited >= cap { Verdict::Look } else { Verdict::Wait }
    }

    /// How long until the page is still, if nothing happens meanwhile; none if something happens now.
    fn still_in(&self, now: Instant, signs: Signs) -> Option<Duration> {
        if signs.loading_since.is_some() || signs.is_requesting {
            return None;
        }
        let waited = now.saturating_duration_since(self.since);
        Some(self.window().saturating_sub(waited.min(signs.unchanged?)))
    }

    fn window(&self) -> Duration {
        (self.cap / 2).min(STILLNESS_TIMEOUT)
    }

    /// What to do until it is asked again, when there is nothing to do but wait.
    pub(crate) fn pastime(&self, now: Instant, signs: Signs) -> Pastime {
        let Some(left) = self.still_in(now, signs) else { return Pastime::Sleep(POLL) };
        let end = (self.window() / END_PART).min(END_MAX);
        match left.checked_sub(end).filter(|left| !left.is_zero()) {
            Some(before_the_end) => {
                let capped = (self.since + self.cap).saturating_duration_since(now);
                Pastime::Sleep(before_the_end.min(capped))
            }
            None => Pastime::Picture(now + left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Signs =
        Signs { loading_since: None, is_requesting: false, unchanged: Some(Duration::from_mins(1)), changes: Some(0) };

    #[track_caller]
    fn check(cap_ms: u64, at_ms: u64, signs: Signs, expected: Verdict) {
        let since = Instant::now();
        let settle = Settle { since, cap: Duration::from_millis(cap_ms) };
        assert_eq!(settle.verdict(since + Duration::from_millis(at_ms), signs), expected);
    }

    #[test]
    fn a_still_page_is_looked_at_after_the_window() {
        check(1_000, 0, STILL, Verdict::Wait);
        check(1_000, 499, STILL, Verdict::Wait);
        check(1_000, 500, STILL, Verdict::Look);
        check(400, 200, STILL, Verdict::Look);
        check(0, 0, STILL, Verdict::Look);
        check(0, 0, Signs { is_requesting: true, unchanged: None, ..STILL }, Verdict::Look);
    }

    #[test]
    fn a_page_that_changes_is_looked_at_at_the_cap() {
        let changing = Signs { unchanged: Some(Duration::from_millis(20)), ..STILL };
        check(1_000, 999, changing, Verdict::Wait);
        check(1_000, 1_000, changing, Verdict::Look);
        check(1_000, 1_000, Signs { unchanged: None, ..STILL }, Verdict::Look);
    }

    #[test]
    fn requests_and_loading_have_limits_of_their_own() {
        let requesting = Signs { is_requesting: true, ..STILL };
        check(1_000, 2_999, requesting, Verdict::Wait);
        check(1_000, 3_000, requesting, Verdict::Look);
        let loading = Signs { loading_since: Some(Instant::now()), ..STILL };
        check(1_000, 9_999, loading, Verdict::Wait);
        check(1_000, 10_000, loading, Verdict::Stop);
        check(0, 9_999, loading, Verdict::Wait);
        check(0, 10_000, loading, Verdict::Stop);
    }

    #[test]
    fn a_picture_is_taken_at_the_end_of_the_stillness() {
        let since = Instant::now();
        let pastime = |cap_ms: u64, at_ms: u64, signs: Signs| {
            let settle = Settle { since, cap: Duration::from_millis(cap_ms) };
            settle.pastime(since + Duration::from_millis(at_ms), signs)
        };
        let sleep = |ms: u64| Pastime::Sleep(Duration::from_millis(ms));
        let picture = |ms: u64| Pastime::Picture(since + Duration::from_millis(ms));
        let unchanged = |ms: u64| Signs { unchanged: Some(Duration::from_millis(ms)), ..STILL };
        assert_eq!(pastime(1_000, 0, STILL), sleep(400));
        assert_eq!(pastime(1_000, 400, STILL), picture(500));
        assert_eq!(pastime(1_000, 450, STILL), picture(500));
        assert_eq!(pastime(400, 150, STILL), sleep(10));
        assert_eq!(pastime(400, 160, STILL), picture(200));
        assert_eq!(pastime(1_000, 450, unchanged(50)), sleep(350), "it changed at 400 and may be still at 900");
        assert_eq!(pastime(1_000, 950, unchanged(50)), sleep(50), "no longer than is waited at most");
        assert_eq!(pastime(1_000, 450, Signs { is_requesting: true, ..STILL }), sleep(50));
        assert_eq!(pastime(1_000, 450, Signs { unchanged: None, ..STILL }), sleep(50));
    }
}
