//! What all parts of the engine share, and the few things that each of them does with it: commit, read, give up.

mod parked;
mod queue_hint;
mod read_permits;

pub(crate) use parked::{OpenEnvironment, Parked, close};
pub(crate) use queue_hint::QueueHint;
pub(crate) use read_permits::ReadPermits;

use crate::{
    Clock, EngineSettings,
    latest::Latest,
    meter,
    notifier::{Notifier, Snapshot, Watch, owner_after},
};
use quarterdeck_agent::{Runner, Scene};
use quarterdeck_api::{Agent, JsonObject, SessionId, Status, Timestamp};
use quarterdeck_core::{Cast, Session, Transition};
use quarterdeck_scenario::Scenario;
use quarterdeck_store::{Blobs, Commit, Error, Lease, Owner, ReplicaId, Store};
use serde::Serialize;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Pause between tries while the store is away.
pub(crate) const STORE_RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// When a write that was given up has arrived, if it ever does.
const LATE_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Events of a log that are read in one go.
pub(crate) const EVENTS_AT_ONCE: u64 = 500;
/// Sessions kept in memory after their last watcher went.
const RECENT_SESSIONS: u64 = 2_048;
/// For how long.
const RECENT_TTL: Duration = Duration::from_secs(30);

/// A session whose status changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The session.
    pub session: SessionId,
    /// Its status before; none when nobody knew it.
    pub from: Option<Status>,
    /// Its status now.
    pub to: Status,
    /// When.
    pub at: Timestamp,
}

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
    pub(crate) searches: ReadPermits,
    /// Of logs and lists, which can be large. Each organization leaves readers of the store to others.
    pub(crate) reads: Arc<ReadPermits>,
    /// Wakes the search for due sessions before its time.
    pub(crate) work_due: Notify,
    /// No new work is taken.
    pub(crate) draining: CancellationToken,
    /// Steps in progress are dropped.
    pub(crate) stopping: CancellationToken,
    /// The lease ran out unrenewed: other replicas may run our sessions.
    pub(crate) fenced: Latest<bool>,
    /// Scripts that sessions play, by their hashes.
    pub(crate) scripts: moka::sync::Cache<String, Arc<Scenario>>,
    /// Held while somebody moves a clock on.
    pub(crate) travel: tokio::sync::Mutex<()>,
    /// What changed since somebody began to count.
    moves: Mutex<Option<Vec<Moved>>>,
    /// Claims whose sessions have no worker yet.
    claiming: AtomicUsize,
    /// Workers that wait: for their session to change from this version, or for another one.
    waits: Mutex<Vec<(SessionId, u64)>>,
}

/// A worker's wait, for as long as it lives.
pub(crate) struct Wait<'a> {
    shared: &'a Shared,
    wait: (SessionId, u64),
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = self.shared.waits_locked();
        if let Some(place) = waits.iter().position(|wait| *wait == self.wait) {
            waits.swap_remove(place);
        }
    }
}

/// Counts for as long as it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Scripts in memory; more are read again.
const SCRIPTS_MAX: u64 = 1_000;

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
            searches: ReadPermits::new(if store.is_shared() { 4 } else { 2 }, 1),
            reads: Arc::new(reads(store.is_shared())),
            work_due: Notify::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            fenced: Latest::new(false),
            scripts: moka::sync::Cache::new(SCRIPTS_MAX),
            travel: tokio::sync::Mutex::default(),
            moves: Mutex::default(),
            claiming: AtomicUsize::new(0),
            waits: Mutex::default(),
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
        self.note_move(id, &transition);
        self.notifier.publish(id, |before| Snapshot::committed(before, transition, owner));
    }

    /// Nothing panics while it holds the lock.
    pub(crate) fn moves(&self) -> MutexGuard<'_, Option<Vec<Moved>>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_move(&self, id: SessionId, transition: &Transition) {
        let mut moves = self.moves();
        let Some(moves) = &mut *moves else { return };
        let from = self.notifier.snapshot(id).map(|before| before.session.state.status());
        let (to, at) = (transition.session.state.status(), transition.session.last_activity_at);
        if from != Some(to) {
            moves.push(Moved { session: id, from, to, at });
        }
    }

    /// For as long as claimed sessions have no worker.
    pub(crate) fn claiming(&self) -> Counted<'_> {
        Counted::new(&self.claiming)
    }

    pub(crate) fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::SeqCst) > 0
    }

    /// For as long as a worker waits for its session to be another than in this version, or for another session.
    pub(crate) fn waiting(&self, id: SessionId, version: u64) -> Wait<'_> {
        let wait = (id, version);
        self.waits_locked().push(wait);
        Wait { shared: self, wait }
    }

    /// How many workers wait. One whose session has changed is only about to notice.
    pub(crate) fn waits(&self) -> usize {
        let waits = self.waits_locked().clone();
        let is_unchanged = |(id, version): &&(SessionId, u64)| {
            self.notifier.snapshot(*id).is_none_or(|snapshot| snapshot.session.version <= *version)
        };
        waits.iter().filter(is_unchanged).count()
    }

    /// Nothing panics while it holds the lock.
    fn waits_locked(&self) -> MutexGuard<'_, Vec<(SessionId, u64)>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a session was cast for.
    pub(crate) async fn scene(&self, session: &Session, agent: &Agent) -> Result<Option<Arc<Scene>>, Error> {
        let Some(cast) = &session.cast else { return Ok(None) };
        let mut below = Vec::new();
        let (part, group_id, header) = match &**cast {
            Cast::Scenario { name, hash, group_id, header, calls, .. } => {
                let part = self.scenario(hash).await?;
                below = calls.clone();
                (
                    part.ok_or_else(|| format!("the scenario `{name}` is not in the store")),
                    group_id.clone(),
                    header.clone(),
                )
            }
            Cast::Unmatched { why } => (Err(why.clone()), None, JsonObject::new()),
        };
        Ok(Some(Arc::new(Scene { session: session.id, agent: agent.name.clone(), group_id, header, part, below })))
    }

    async fn scenario(&self, hash: &str) -> Result<Option<Arc<Scenario>>, Error> {
        if let Some(known) = self.scripts.get(hash) {
            return Ok(Some(known));
        }
        let stored = self.store.script(hash).await?;
        let scenario: Option<Scenario> = stored.and_then(|stored| serde_json::from_str(&stored).ok());
        let scenario = scenario.map(Arc::new);
        if let Some(scenario) = &scenario {
            self.scripts.insert(hash.to_owned(), Arc::clone(scenario));
        }
        Ok(scenario)
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
                () = tokio::time::sleep(LATE_WRITE_TIMEOUT) => drop(shared.reload(id).await),
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

/// As many as the store has readers, and of one organization no more than leave one free and the cores can serve.
fn reads(is_shared: bool) -> ReadPermits {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if is_shared { ReadPermits::new(16, (cores + 1).clamp(3, 12)) } else { ReadPermits::new(4, 3) }
}

fn recent_sessions() -> moka::sync::Cache<SessionId, Arc<Watch>> {
    moka::sync::Cache::builder().max_capacity(RECENT_SESSIONS).time_to_idle(RECENT_TTL).build()
}
