//! Work that is looked for again and again: when something nudges it, when it falls due, and at an interval in any case.

use quarterdeck_store::Error;
use std::{future::Future, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// What brings one kind of work to where it should be, however often it is asked.
pub(super) trait Reconciler {
    /// What the log says when a step fails.
    const FAILURE: &'static str;

    /// Does what is due. Returns how long until there may be more to do, should nothing nudge it before.
    fn step(&mut self) -> impl Future<Output = Result<Duration, Error>> + Send;

    /// How long it waits after a step that failed.
    fn interval(&self) -> Duration;
}

/// Nudges nothing.
pub(super) static NEVER: Notify = Notify::const_new();

/// Takes steps until the engine drains. A step that fails is told and tried again after the interval; a nudge during a
/// step is not lost.
pub(super) async fn reconcile(mut work: impl Reconciler + Send, nudge: &Notify, draining: &CancellationToken) {
    while !draining.is_cancelled() {
        let wait = work.step().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "{}", what_failed(&work));
            work.interval()
        });
        tokio::select! {
            biased;
            () = draining.cancelled() => return,
            () = nudge.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

fn what_failed<R: Reconciler>(_: &R) -> &'static str {
    R::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::{task::yield_now, time::advance};

    const INTERVAL: Duration = Duration::from_mins(1);
    const DUE: Duration = Duration::from_secs(7);
    /// Between a step that was due and the interval after it.
    const LEFT: Duration = Duration::from_secs(53);

    /// Counts its steps, and fails at those of these numbers.
    struct Counting {
        steps: Arc<AtomicUsize>,
        failing: &'static [usize],
    }

    impl Reconciler for Counting {
        const FAILURE: &'static str = "could not count";

        async fn step(&mut self) -> Result<Duration, Error> {
            let number = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
            if self.failing.contains(&number) { Err(Error::Overloaded) } else { Ok(DUE) }
        }

        fn interval(&self) -> Duration {
            INTERVAL
        }
    }

    struct Running {
        steps: Arc<AtomicUsize>,
        nudge: Arc<Notify>,
        draining: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Running {
        async fn start(failing: &'static [usize]) -> Self {
            let (steps, nudge, draining) = (Arc::default(), Arc::new(Notify::new()), CancellationToken::new());
            let work = Counting { steps: Arc::clone(&steps), failing };
            let (nudged, drained) = (Arc::clone(&nudge), draining.clone());
            let task = tokio::spawn(async move { reconcile(work, &nudged, &drained).await });
            let running = Self { steps, nudge, draining, task };
            running.settle().await;
            running
        }

        async fn settle(&self) {
            for _ in 0..8 {
                yield_now().await;
            }
        }

        async fn after(&self, time: Duration) -> usize {
            advance(time).await;
            self.settle().await;
            self.steps.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_taken_at_once_when_it_is_due_and_when_it_is_nudged() {
        let running = Running::start(&[]).await;
        assert_eq!(running.after(Duration::ZERO).await, 1);
        assert_eq!(running.after(Duration::from_millis(6_999)).await, 1);
        assert_eq!(running.after(Duration::from_millis(1)).await, 2);
        running.nudge.notify_one();
        assert_eq!(running.after(Duration::ZERO).await, 3);
        assert_eq!(running.after(DUE).await, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_step_that_failed_it_waits_for_the_interval_or_a_nudge() {
        let running = Running::start(&[1, 2]).await;
        assert_eq!(running.after(DUE).await, 1);
        assert_eq!(running.after(LEFT).await, 2);
        running.nudge.notify_one();
        assert_eq!(running.after(Duration::ZERO).await, 3);
        assert_eq!(running.after(DUE).await, 4, "the third did not fail");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_engine_drains() {
        let running = Running::start(&[]).await;
        running.draining.cancel();
        running.task.await.unwrap();
        assert_eq!(running.steps.load(Ordering::SeqCst), 1);
    }
}
