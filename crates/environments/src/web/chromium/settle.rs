//! When a page is still after an action. The rule alone: signs and times come in as arguments.

use std::time::{Duration, Instant};

/// Stillness that is waited for, at most.
const WINDOW_MAX: Duration = Duration::from_millis(500);
/// What is added to the cap while requests run.
const REQUESTS_EXTRA: Duration = Duration::from_secs(2);
/// Time for a page to load.
pub(crate) const LOAD_MAX: Duration = Duration::from_secs(10);

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

impl Settle {
    /// The verdict at a moment.
    pub(crate) fn verdict(&self, now: Instant, signs: Signs) -> Verdict {
        let waited = now.saturating_duration_since(self.since);
        if self.cap.is_zero() {
            return Verdict::Look;
        }
        if signs.loading_since.is_some() {
            return if waited >= LOAD_MAX { Verdict::Stop } else { Verdict::Wait };
        }
        let window = (self.cap / 2).min(WINDOW_MAX);
        let is_unchanged = signs.unchanged.is_some_and(|unchanged| unchanged >= window);
        let cap = if signs.is_requesting { self.cap + REQUESTS_EXTRA } else { self.cap };
        let is_still = waited >= window && is_unchanged && !signs.is_requesting;
        if is_still || waited >= cap { Verdict::Look } else { Verdict::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Signs = Signs { loading_since: None, is_requesting: false, unchanged: Some(Duration::from_mins(1)) };

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
        check(0, 0, Signs { loading_since: Some(Instant::now()), ..STILL }, Verdict::Look);
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
    }
}
