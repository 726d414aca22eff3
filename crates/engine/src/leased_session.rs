//! A session that this process owns: its facts are committed under its lease.

use crate::{
    Clock,
    notifier::Snapshot,
    shared::{STORE_RETRY_INTERVAL, Shared},
};
use async_trait::async_trait;
use quarterdeck_agent::{Reach, Recorded, Recorder, Superseded};
use quarterdeck_api::SessionId;
use quarterdeck_core::{Effect, Fact, Next, Report, Session, Transition};
use quarterdeck_store::{Commit, CommitLease, CommitSlot, Error, Lease, Owner};
use std::sync::{Arc, Weak};
use tokio::time::sleep;

/// Why a worker goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing left to do, or somebody else does it.
    Done,
    /// The store failed for good; the session is left to whoever claims it next.
    Store(Error),
}

impl From<Superseded> for Stop {
    fn from(_: Superseded) -> Self {
        Self::Done
    }
}

/// Where a session's worker, its runner and its environments record what happened.
#[derive(Clone)]
pub(crate) struct LeasedSession {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: SessionId,
    pub(crate) lease: Lease,
}

/// The same for those who may be kept longer than the engine.
pub(crate) struct WeakLeasedSession {
    shared: Weak<Shared>,
    id: SessionId,
    lease: Lease,
}

impl WeakLeasedSession {
    /// None once the engine is gone.
    pub(crate) fn upgrade(&self) -> Option<LeasedSession> {
        Some(LeasedSession { shared: self.shared.upgrade()?, id: self.id, lease: self.lease })
    }
}

#[async_trait]
impl Recorder for LeasedSession {
    async fn record(&mut self, report: Report) -> Result<Recorded, Superseded> {
        let report = self.shared.with_picture_kept(self.id, report).await;
        let report = with_id(self.shared.with_file_kept(self.id, report).await, &*self.shared.clock);
        let is_decision = matches!(report, Report::Decided { .. });
        let session = self.commit(Fact::Reported(report)).await.map_err(|_| Superseded)?;
        let decided = session.filter(|_| is_decision);
        Ok(decided.map_or_else(Recorded::default, |session| Recorded::after_decision(&session)))
    }

    async fn reach(&mut self, after: Option<u64>) -> Result<Reach, Superseded> {
        let mut watch = self.shared.notifier.watch(self.id);
        loop {
            let snapshot = self.current().await.map_err(|_| Superseded)?;
            let Session { version, log_length, .. } = *snapshot.session;
            if after.is_none_or(|after| version > after) {
                return Ok(Reach { version, log_length });
            }
            let _waiting = self.shared.waiting(self.id, version);
            watch.changed().await;
        }
    }
}

/// Ids come from the engine's clock.
fn with_id(mut report: Report, clock: &dyn Clock) -> Report {
    if let Report::Opened { runner_session_id, .. } = &mut report {
        *runner_session_id = clock.id();
    }
    report
}

impl LeasedSession {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn downgrade(&self) -> WeakLeasedSession {
        WeakLeasedSession { shared: Arc::downgrade(&self.shared), id: self.id, lease: self.lease }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.id
    }

    /// The session as it stands, while it is ours.
    pub(crate) async fn current(&self) -> Result<Snapshot, Stop> {
        if let Some(snapshot) = self.shared.notifier.snapshot(self.id) {
            return self.if_ours(snapshot);
        }
        self.reload().await
    }

    async fn reload(&self) -> Result<Snapshot, Stop> {
        let snapshot = patiently(&self.shared, || self.shared.reload(self.id)).await?.ok_or(Stop::Done)?;
        self.if_ours(snapshot)
    }

    fn if_ours(&self, snapshot: Snapshot) -> Result<Snapshot, Stop> {
        if snapshot.is_held_by(self.lease) { Ok(snapshot) } else { Err(Stop::Done) }
    }

    /// Decides and commits; somebody else's commit in between means to decide again.
    /// Returns the session as it is then, if it changed.
    pub(crate) async fn commit(&self, fact: Fact) -> Result<Option<Session>, Stop> {
        let mut snapshot = self.current().await?;
        loop {
            let transition = match snapshot.session.fact(fact.clone(), self.shared.clock.now()) {
                Ok(Effect::Changed(transition)) => *transition,
                Ok(Effect::Unchanged) => return Ok(None),
                Err(_) => return Err(Stop::Done),
            };
            let session = transition.session.clone();
            if self.insist(snapshot.owner, transition).await? {
                return Ok(Some(session));
            }
            snapshot = self.reload().await?;
        }
    }

    /// Commits what was decided, as it was decided, for as long as the store is away: the version lets it happen only
    /// once. False when somebody else was first.
    async fn insist(&self, owner: Owner, transition: Transition) -> Result<bool, Stop> {
        let lease = self.lease_after(&transition.session);
        let mut unanswered = false;
        loop {
            if self.shared.fenced.get() || self.shared.stopping.is_cancelled() {
                return Err(Stop::Done);
            }
            let commit = Commit { transition: transition.clone(), lease, slot: CommitSlot::Keep };
            match self.shared.commit(owner, commit).await {
                Ok(()) => return Ok(true),
                Err(Error::Conflict(_)) => return Ok(unanswered && self.landed(&transition).await?),
                Err(error) if error.is_transient() => {
                    unanswered = true;
                    sleep(STORE_RETRY_INTERVAL).await;
                }
                Err(error) => return Err(Stop::Store(error)),
            }
        }
    }

    fn lease_after(&self, session: &Session) -> CommitLease {
        if !session.state.running_calls().is_empty() {
            // Also while paused: whoever runs the calls records what comes of them.
            return CommitLease::Hold(self.lease);
        }
        match session.next(self.shared.clock.now()) {
            Next::Release => CommitLease::Release(self.lease),
            Next::Start
            | Next::Deliver
            | Next::Step(_)
            | Next::Settle(_)
            | Next::Delegate(_)
            | Next::Steer(_)
            | Next::Await(_)
            | Next::TimePassed => CommitLease::Hold(self.lease),
        }
    }

    /// Whether a commit whose answer was lost went through: the log tells, and where it wrote no event, the row.
    async fn landed(&self, transition: &Transition) -> Result<bool, Stop> {
        let snapshot = patiently(&self.shared, || self.shared.reload(self.id)).await?.ok_or(Stop::Done)?;
        let Some(event) = transition.events.first() else { return Ok(*snapshot.session == transition.session) };
        let stored = patiently(&self.shared, || self.shared.store.events(self.id, event.index, 1)).await?;
        Ok(stored.first().is_some_and(|stored| stored.json.get() == event.json.get()))
    }
}

/// Repeats a read while the store is away; the session waits with it.
pub(crate) async fn patiently<T, F>(shared: &Shared, mut call: impl FnMut() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_transient() => {
                tokio::select! {
                    biased;
                    () = sleep(STORE_RETRY_INTERVAL) => {}
                    () = shared.stopping.cancelled() => return Err(Stop::Store(error)),
                }
            }
            Err(error) => return Err(Stop::Store(error)),
        }
    }
}
