//! What one check may cost, and where it runs.
//!
//! Checks run on threads of their own: neither the workers of the runtime nor its end wait for one. Small budgets need
//! no permit; who needs more waits for one of as many as there are cores but one, and gets enough for about two seconds. These
//! threads yield to those that serve: their priority is lower, where the system has priorities of threads.

use quarterdeck_api::patterns::Work;
use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// What the patterns of a check may cost, in units of about 10 nanoseconds.
const UNITS_MAX: u64 = 100_000_000;
/// What a check without a permit may cost: about a tenth of a second.
const UNITS_SMALL: u64 = 5_000_000;
/// Pairs of a schema and a value that are looked at before a value counts as too much.
const LOOKS_MAX: u64 = 5_000_000;
const LOOKS_SMALL: u64 = 250_000;

/// Until a thread can be had, this long is waited.
const THREAD_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How much these threads yield, in the system's steps from 0 to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// As deep as [`super::outline`] lets a check go.
const STACK_BYTES: usize = 2 << 20;

static PERMITS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(cores.saturating_sub(1).max(1)))
});

/// What may still be done for one check. Who drops the check stops it.
#[derive(Debug)]
pub(crate) struct Budget {
    units: AtomicU64,
    looks: AtomicU64,
    spent: AtomicBool,
    stopped: AtomicBool,
}

impl Budget {
    fn new(units: u64, looks: u64) -> Self {
        let (spent, stopped) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { units: AtomicU64::new(units), looks: AtomicU64::new(looks), spent, stopped }
    }

    /// What a check may cost that holds a permit.
    pub(crate) fn full() -> Self {
        Self::new(UNITS_MAX, LOOKS_MAX)
    }

    /// What a check may cost that holds none.
    pub(crate) fn small() -> Self {
        Self::new(UNITS_SMALL, LOOKS_SMALL)
    }

    /// Whether something was refused.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Takes looks of an outline, as [`Work::take`] takes units.
    pub(super) fn look(&self, looks: u64) -> bool {
        self.take_from(&self.looks, looks)
    }

    fn take_from(&self, left: &AtomicU64, wanted: u64) -> bool {
        if self.is_spent() || self.stopped.load(Ordering::Relaxed) {
            self.spent.store(true, Ordering::Relaxed);
            return false;
        }
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted)).is_ok();
        if !taken {
            self.spent.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Work for Budget {
    fn take(&self, units: u64) -> bool {
        self.take_from(&self.units, units)
    }
}

/// Stops the check when whoever waits for it goes away.
struct Guard(Arc<Budget>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// Does `work` within a budget on a thread of its own, so that whoever waits can be dropped meanwhile; then the work
/// stops as soon as it asks its budget for more. It is tried within a small budget first, unless `heavy` says that it
/// takes much memory. When that does not suffice it is done again with a permit and the full one.
pub(crate) async fn off_the_workers<T: Send + 'static>(
    heavy: bool,
    work: impl Fn(&Arc<Budget>) -> T + Send + Sync + 'static,
) -> T {
    let work = Arc::new(work);
    if !heavy {
        let budget = Arc::new(Budget::small());
        let done = on_a_thread(Arc::clone(&work), Arc::clone(&budget), None).await;
        if !budget.is_spent() {
            return done;
        }
    }
    // The semaphore is never closed.
    let permit = Arc::clone(&PERMITS).acquire_owned().await.ok();
    on_a_thread(work, Arc::new(Budget::full()), permit).await
}

/// For the thread that calls it. One that may not yield works on as it is.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

async fn on_a_thread<T: Send + 'static>(
    work: Arc<impl Fn(&Arc<Budget>) -> T + Send + Sync + 'static>,
    budget: Arc<Budget>,
    permit: Option<OwnedSemaphorePermit>,
) -> T {
    let _guard = Guard(Arc::clone(&budget));
    let (sender, receiver) = oneshot::channel();
    let parts = Arc::new(Mutex::new(Some((work, budget, permit, sender))));
    loop {
        let parts = Arc::clone(&parts);
        let run = move || {
            let parts = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((work, budget, permit, sender)) = parts else { return };
            yield_to_others();
            let done = catch_unwind(AssertUnwindSafe(|| work(&budget)));
            drop(permit);
            // Nobody waits any more.
            let _ = sender.send(done);
        };
        match thread::Builder::new().name("check".into()).stack_size(STACK_BYTES).spawn(run) {
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(%error, "no thread for a check; it is tried again");
                tokio::time::sleep(THREAD_RETRY_INTERVAL).await;
            }
        }
    }
    match receiver.await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        // The thread was ended from outside, so the process is at its end.
        Err(_) => std::future::pending().await,
    }
}
