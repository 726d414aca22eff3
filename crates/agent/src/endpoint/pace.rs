//! How much an endpoint is asked at once, and how often.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// What the operator allows; without limits it lets everything through.
pub(super) struct Pace {
    at_once: Option<Semaphore>,
    /// Between two requests.
    apart: Option<Duration>,
    /// When the next request may begin.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(at_once: Option<usize>, per_minute: Option<u32>) -> Self {
        Self {
            at_once: at_once.map(|at_once| Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS))),
            apart: per_minute.map(|per_minute| Duration::from_mins(1) / per_minute.max(1)),
            next: Mutex::new(None),
        }
    }

    /// Waits for its turn. The request is over when what is returned is dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let permit = match &self.at_once {
            Some(at_once) => at_once.acquire().await.ok(),
            None => None,
        };
        if let Some(apart) = self.apart {
            sleep_until(self.taken(apart)).await;
        }
        permit
    }

    fn taken(&self, apart: Duration) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + apart);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn no_more_are_let_in_at_once_than_may() {
        let pace = Pace::new(Some(2), None);
        let (first, _second) = (pace.turn().await, pace.turn().await);
        assert!(timeout(Duration::from_mins(1), pace.turn()).await.is_err());
        drop(first);
        assert!(pace.turn().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_let_in_a_minute_than_may() {
        let (pace, begun) = (Pace::new(None, Some(30)), Instant::now());
        for _ in 0..31 {
            pace.turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_mins(1));
    }
}
