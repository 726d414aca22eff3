//! The engine as a whole: what it is made of, how it starts and how it stops.

use crate::{
    Clock, Sessions,
    dispatcher::Dispatcher,
    latest::Latest,
    meter,
    notifier::{Notifier, Snapshot, Watch, owner_after},
    queue::Queue,
};
use quarterdeck_agent::Runner;
use quarterdeck_api::SessionId;
use quarterdeck_core::Transition;
use quarterdeck_environments::{Hosting, Provider};
use quarterdeck_store::{Blobs, Commit, Error, Limits, Owner, ReplicaId, Store};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How the engine works. The defaults are for production; tests shorten the times.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Sessions this process runs at once; others wait, or run elsewhere.
    pub workers_max: usize,
    /// Sessions of an organization that may hold a slot at once, unless it has a limit of its own, and that may wait
    /// for one. The same in all processes that share a store.
    pub limits: Limits,
    /// How long a session waits for its client, for results of calls or for a message, before it ends.
    pub client_wait: Duration,
    /// How long a process that stops renewing keeps its sessions.
    pub lease: Duration,
    /// How often it looks for sessions that nobody runs, should no word of them come.
    pub poll_interval: Duration,
    /// How long running steps may take to finish when the server stops.
    pub drain_grace: Duration,
    /// Which environments sessions may have, and who opens them.
    pub environments: Arc<dyn Provider>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers_max: 1_024,
            limits: Limits { concurrent: 64, queued: 100 },
            client_wait: Duration::from_hours(24),
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            drain_grace: Duration::from_secs(5),
            environments: Arc::new(Hosting::default()),
        }
    }
}

/// Pause between tries while the store is away.
pub(crate) const STORE_RETRY: Duration = Duration::from_millis(250);

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
    /// One permit a worker.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) workers: TaskTracker,
    /// What has a worker here, and in which epoch.
    pub(crate) held: Mutex<HashSet<(SessionId, i64)>>,
    pub(crate) queue: Queue,
    /// Wakes the dispatcher before its time.
    pub(crate) work_due: Notify,
    /// No new work is taken.
    pub(crate) draining: CancellationToken,
    /// Steps in progress are dropped.
    pub(crate) stopping: CancellationToken,
    /// The lease ran out unrenewed: other replicas may run our sessions.
    pub(crate) fenced: Latest<bool>,
}

impl Shared {
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

/// When a write that was given up has arrived, if it ever does.
const LATE_WRITE: Duration = Duration::from_secs(10);
/// Sessions kept in memory after their last watcher went.
const RECENT_SESSIONS: u64 = 2_048;
/// For how long.
const RECENT_FOR: Duration = Duration::from_secs(30);

fn recent_sessions() -> moka::sync::Cache<SessionId, Arc<Watch>> {
    moka::sync::Cache::builder().max_capacity(RECENT_SESSIONS).time_to_idle(RECENT_FOR).build()
}

/// Runs sessions.
pub struct Engine {
    shared: Arc<Shared>,
    dispatcher: tokio::task::JoinHandle<()>,
}

impl Engine {
    /// Starts it: from now on, sessions that are due are run.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn start(
        store: Arc<dyn Store>,
        blobs: Blobs,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Result<Self, Error> {
        meter::workers_max(settings.workers_max);
        let shared = Arc::new(Shared {
            replica: ReplicaId(clock.id()),
            slots: Arc::new(Semaphore::new(settings.workers_max)),
            notifier: Notifier::new(),
            recent: (!store.is_shared()).then(recent_sessions),
            workers: TaskTracker::new(),
            held: Mutex::default(),
            queue: Queue::default(),
            work_due: Notify::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            fenced: Latest::new(false),
            store,
            blobs,
            runner,
            clock,
            settings,
        });
        let dispatcher = Dispatcher::start(Arc::clone(&shared)).await?;
        tracing::info!("sessions run here as replica {}", shared.replica.0);
        Ok(Self { shared, dispatcher })
    }

    /// The door for callers.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.shared))
    }

    /// Cancelled once the server begins to stop: long waits end now.
    pub fn draining(&self) -> CancellationToken {
        self.shared.draining.clone()
    }

    /// Stops: takes no new work, lets running steps finish for a while, hands the rest over.
    pub async fn stop(self) {
        self.shared.draining.cancel();
        self.shared.workers.close();
        let patient = tokio::time::timeout(self.shared.settings.drain_grace, self.shared.workers.wait());
        let in_time = patient.await.is_ok();
        self.shared.stopping.cancel();
        if !in_time {
            self.shared.workers.wait().await;
        }
        drop(self.dispatcher.await);
        if let Err(error) = self.shared.store.retire(self.shared.replica).await {
            tracing::warn!(%error, "could not hand sessions over; they are taken over when the lease runs out");
        }
    }
}
