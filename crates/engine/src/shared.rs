//! What all parts of the engine share, and the few things that each of them does with it: commit, read, give up.

mod parked;
mod queue_hint;
mod searches;

pub(crate) use parked::{OpenEnvironment, Parked, close};
pub(crate) use queue_hint::QueueHint;
pub(crate) use searches::Searches;

use crate::{
    Clock, EngineSettings,
    latest::Latest,
    meter,
    notifier::{Notifier, Snapshot, Watch, owner_after},
};
use quarterdeck_agent::Runner;
use quarterdeck_api::SessionId;
use quarterdeck_core::Transition;
use quarterdeck_store::{Blobs, Commit, Error, Lease, Owner, ReplicaId, Store};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Pause between tries while the store is away.
pub(crate) const STORE_RETRY: Duration = Duration::from_millis(250);

/// When a write that was given up has arrived, if it ever does.
const LATE_WRITE: Duration = Duration::from_secs(10);
/// Sessions kept in memory after their last watcher went.
const RECENT_SESSIONS: u64 = 2_048;
/// For how long.
const RECENT_FOR: Duration = Duration::from_secs(30);

/// What all parts of the engine share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Blobs,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notifier: Arc<Notifier>,
    /// Sessions that are answered from memory; none on a shared store, where others may have changed them.
    pub(crate) recent: Option<moka::sync::Cache<SessionId, Arc<Watch>>>,
    pub(crate) settings: EngineSettings,
    pub(crate) replica: ReplicaId,
    /// One permit a worker that takes steps.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) workers: TaskTracker,
    /// What has a worker here, and in which epoch.
    pub(crate) held: Mutex<HashSet<(SessionId, i64)>>,
    /// Environments that stay open without a worker.
    pub(crate) parked: Parked,
    pub(crate) queue: QueueHint,
    pub(crate) searches: Searches,
    /// Wakes the search for due sessions before its time.
    pub(crate) work_due: Notify,
    /// No new work is taken.
    pub(crate) draining: CancellationToken,
    /// Steps in progress are dropped.
    pub(crate) stopping: CancellationToken,
    /// The lease ran out unrenewed: other replicas may run our sessions.
    pub(crate) fenced: Latest<bool>,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        blobs: Blobs,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Self {
        Self {
            replica: ReplicaId(clock.id()),
            permits: Arc::new(Semaphore::new(settings.workers_max)),
            notifier: Notifier::new(),
            recent: (!store.is_shared()).then(recent_sessions),
            workers: TaskTracker::new(),
            held: Mutex::default(),
            parked: Parked::default(),
            queue: QueueHint::default(),
            searches: Searches::new(if store.is_shared() { 4 } else { 2 }),
            work_due: Notify::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            fenced: Latest::new(false),
            store,
            blobs,
            runner,
            clock,
            settings,
        }
    }

    /// Gives a session back that this process owns. False when it has changed since `version`, and is owned still.
    pub(crate) async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool, Error> {
        let released = self.store.release(id, lease, version).await;
        // Whoever owns it next commits without telling this process first.
        self.notifier.forget(id);
        released
    }

    /// Commits and tells the watchers.
    pub(crate) async fn commit(&self, owner: Owner, commit: Commit) -> Result<(), Error> {
        let Commit { transition, lease, slot } = commit;
        let id = transition.session.id;
        self.store.commit(Commit { transition: transition.clone(), lease, slot }).await?;
        meter::committed(&transition);
        if !transition.session.state.holds_slot() {
            self.queue.slot_freed();
        }
        self.publish(id, transition, owner_after(owner, lease));
        Ok(())
    }

    pub(crate) fn publish(&self, id: SessionId, transition: Transition, owner: Owner) {
        self.notifier.publish(id, |before| Snapshot::committed(before, transition, owner));
    }

    /// Nothing panics while it holds the lock.
    pub(crate) fn held(&self) -> MutexGuard<'_, HashSet<(SessionId, i64)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what must not stop half-way, even when whoever asked for it does not wait any more.
    pub(crate) async fn to_the_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.workers.spawn(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody cancels it, so the process is ending.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// A session as it stands; from memory where no other process can have changed it.
    pub(crate) async fn load(&self, id: SessionId) -> Result<Option<Snapshot>, Error> {
        let Some(recent) = &self.recent else { return self.reload(id).await };
        if let Some(snapshot) = self.notifier.snapshot(id) {
            return Ok(Some(snapshot));
        }
        // Watched before it is read, so that no commit in between is missed.
        let watch = self.notifier.watch(id);
        let snapshot = self.reload(id).await?;
        if snapshot.is_some() {
            recent.insert(id, Arc::new(watch));
        }
        Ok(snapshot)
    }

    /// Keeps a session in memory for a while after its last watcher went: somebody will ask how it ended.
    pub(crate) fn remember(&self, watch: &Watch) {
        if let Some(recent) = &self.recent {
            recent.insert(watch.id(), Arc::new(watch.again()));
        }
    }

    /// A write that was given up may still arrive; on a store of our own nobody else would tell those who watch.
    pub(crate) fn look_later(self: &Arc<Self>, id: SessionId) {
        let shared = Arc::clone(self);
        self.workers.spawn(async move {
            tokio::select! {
                biased;
                () = shared.draining.cancelled() => {}
                () = tokio::time::sleep(LATE_WRITE) => drop(shared.reload(id).await),
            }
        });
    }

    /// A session as the store has it.
    pub(crate) async fn reload(&self, id: SessionId) -> Result<Option<Snapshot>, Error> {
        loop {
            let mark = self.notifier.mark(id);
            let Some(stored) = self.store.session(id).await? else { return Ok(None) };
            let snapshot = Snapshot::stored(stored);
            if self.notifier.publish_read(id, mark, &snapshot) {
                return Ok(Some(snapshot));
            }
        }
    }
}

fn recent_sessions() -> moka::sync::Cache<SessionId, Arc<Watch>> {
    moka::sync::Cache::builder().max_capacity(RECENT_SESSIONS).time_to_idle(RECENT_FOR).build()
}
