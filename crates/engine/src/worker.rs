//! A worker: owns one session for a while and moves it along.
//!
//! It asks the core what to do next, does it, and commits the fact under its lease; when nothing is left to do
//! it lets go. Whatever it holds in memory is a copy of the log: after a crash another worker reads it again.

use crate::{
    engine::Shared,
    notifier::{Snapshot, Watch},
};
use async_trait::async_trait;
use futures_util::FutureExt;
use quarterdeck_agent::{Recorder, StepContext, StepError, Superseded};
use quarterdeck_api::{
    Agent, AgentEvent, ErrorCode, Reference, SessionRequest, ToolError, ToolRequest, ToolResultItem,
};
use quarterdeck_core::{Effect, Fact, Fault, LoggedEvent, Next, Phase, Session, State, StepMode};
use quarterdeck_store::{Commit, CommitLease, Error, Lease};
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

/// Facts in a row that may be refused before the worker gives up.
const REFUSALS_MAX: u32 = 100;
/// Pause between tries while the store is away.
const STORE_RETRY: Duration = Duration::from_millis(250);

/// A place for one more worker, if there is one.
pub(crate) fn slot(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if shared.draining.is_cancelled() {
        return None;
    }
    Arc::clone(&shared.slots).try_acquire_owned().ok()
}

/// What a worker needs of the request.
type Assignment = (Arc<SessionRequest>, Arc<Agent>);

/// Runs a session that this process owns. `watch` was taken before ownership, so no commit is missed.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    slot: OwnedSemaphorePermit,
    watch: Watch,
    lease: Lease,
    assignment: Option<Assignment>,
) {
    let mut worker =
        Worker { shared: Arc::clone(shared), watch, lease, assignment, transcript: Transcript::default(), refusals: 0 };
    shared.workers.spawn(async move {
        worker.run_caught().await;
        worker.let_go().await;
        worker.hand_back(slot);
    });
}

struct Worker {
    shared: Arc<Shared>,
    watch: Watch,
    lease: Lease,
    assignment: Option<Assignment>,
    transcript: Transcript,
    refusals: u32,
}

/// What the agent saw and did, as far as it was read.
#[derive(Default)]
struct Transcript {
    events: Vec<Arc<AgentEvent>>,
    /// Log index up to which it is complete.
    through: u64,
}

/// The worker's end.
enum Stop {
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

impl Worker {
    /// A panic ends the session it came from, and nothing else.
    async fn run_caught(&mut self) {
        if let Err(panic) = AssertUnwindSafe(self.run()).catch_unwind().await {
            let id = self.watch.id();
            let reference = self.shared.clock.id();
            tracing::error!(session.id = %id, %reference, panic = panic_text(&*panic), "the run of session {id} panicked");
            let fault = Fault::because(ErrorCode::Internal, format!("reference {reference}"));
            drop(self.door().record(Fact::Failed(fault)).await);
        }
    }

    /// Whatever ended the run, a session must not stay owned by a process that does nothing for it.
    async fn let_go(&self) {
        let Some(snapshot) = self.watch.snapshot().filter(|snapshot| snapshot.is_held_by(self.lease)) else { return };
        let (id, version) = (snapshot.session.id, snapshot.session.version);
        if let Err(error) = self.shared.store.release(id, self.lease, version).await {
            tracing::warn!(session.id = %id, %error, "could not let go of session {id}");
        }
        self.shared.notifier.forget(id);
    }

    /// Work may be waiting for a place when there was none.
    fn hand_back(&self, slot: OwnedSemaphorePermit) {
        let none_was_left = self.shared.slots.available_permits() == 0;
        drop(slot);
        if none_was_left {
            self.shared.work_due.notify_one();
        }
    }

    async fn run(&mut self) {
        let id = self.watch.id();
        loop {
            match self.advance().await {
                Ok(()) => {}
                Err(Stop::Done) => return,
                Err(Stop::Store(error)) => {
                    tracing::error!(session.id = %id, error = ?error, "cannot run session {id}");
                    let fault = Fault::because(ErrorCode::Internal, "the stored session cannot be read");
                    return drop(self.door().commit(Fact::Failed(fault)).await);
                }
            }
        }
    }

    /// Does the next thing.
    async fn advance(&mut self) -> Result<(), Stop> {
        let snapshot = self.door().current().await?;
        let session = &snapshot.session;
        if self.shared.draining.is_cancelled() {
            return self.release(session).await;
        }
        if *self.shared.fenced.borrow() {
            // Nothing could be recorded. Once the lease is back, the session is claimed anew.
            return Err(Stop::Done);
        }
        match session.next(self.shared.clock.now()) {
            Next::Start => self.start(session).await,
            Next::Deliver => self.deliver(session).await,
            Next::Settle(calls) => self.settle(calls).await,
            Next::Step(mode) => self.step(&snapshot, mode).await,
            Next::TimePassed => self.record(Fact::TimePassed).await,
            Next::Release => self.release(session).await,
        }
    }

    async fn start(&mut self, session: &Session) -> Result<(), Stop> {
        let (request, _) = self.assignment().await?;
        let mut messages = request.opening_messages();
        if session.started_at.is_some() {
            messages.clear();
        }
        messages.extend(self.waiting_messages(session).await?);
        let inbox_through = session.inbox.next;
        self.record(Fact::Started { messages, inbox_through, environments: Vec::new() }).await
    }

    async fn deliver(&mut self, session: &Session) -> Result<(), Stop> {
        let messages = self.waiting_messages(session).await?;
        let inbox_through = session.inbox.delivered + messages.len() as u64;
        self.record(Fact::Delivered { messages, inbox_through }).await
    }

    async fn waiting_messages(&self, session: &Session) -> Result<Vec<quarterdeck_api::UserMessage>, Stop> {
        if session.inbox.waiting() == 0 {
            return Ok(Vec::new());
        }
        let mut messages =
            patiently(&self.shared, || self.shared.store.inbox(session.id, session.inbox.delivered)).await?;
        // A message that came after this snapshot is for the next delivery.
        messages.truncate(usize::try_from(session.inbox.waiting()).unwrap_or(usize::MAX));
        Ok(messages)
    }

    /// Calls that were running when their worker died: whether they took effect, nobody knows.
    async fn settle(&mut self, calls: Vec<ToolRequest>) -> Result<(), Stop> {
        for call in calls {
            let error = "the server stopped while this call was running; whether it took effect is unknown".into();
            let error = ToolError { error, origin: "server".into(), tool_req: Some(call) };
            self.record(Fact::Returned(ToolResultItem::Error(error))).await?;
        }
        Ok(())
    }

    async fn step(&mut self, snapshot: &Snapshot, mode: StepMode) -> Result<(), Stop> {
        self.catch_up(snapshot).await?;
        let (request, agent) = self.assignment().await?;
        let context = StepContext {
            session: snapshot.session.id,
            agent,
            timezone: request.timezone.clone(),
            transcript: self.transcript.events.clone(),
            mode,
        };
        let runner = Arc::clone(&self.shared.runner);
        let mut door = self.door();
        let result = tokio::select! {
            result = runner.step(&context, &mut door) => result,
            () = self.interrupted(snapshot, mode) => return Ok(()),
        };
        match result {
            Ok(()) if self.version() == Some(snapshot.session.version) => self.refuse_empty_step().await,
            Ok(()) | Err(StepError::Superseded(_)) => Ok(()),
            Err(StepError::Failed(fault)) => self.record(Fact::Failed(fault)).await,
        }
    }

    fn version(&self) -> Option<u64> {
        self.watch.snapshot().map(|snapshot| snapshot.session.version)
    }

    /// A step that records nothing would be taken again, for ever.
    async fn refuse_empty_step(&mut self) -> Result<(), Stop> {
        self.record(Fact::Failed(Fault::because(ErrorCode::Internal, "the runner's step recorded nothing"))).await
    }

    /// Returns when the step in progress is not wanted any more: it was paused or cancelled, an answer is forced,
    /// its time is up, or this process may not own the session any longer.
    async fn interrupted(&self, snapshot: &Snapshot, mode: StepMode) {
        let mut watch = self.watch.again();
        let mut fenced = self.shared.fenced.subscribe();
        let lease = self.lease;
        tokio::select! {
            () = watch.wait_for(|now| !now.is_held_by(lease) || !is_running(&now.session, mode)) => {}
            () = self.deadline(&snapshot.session) => {}
            _ = fenced.wait_for(|fenced| *fenced) => {}
            () = self.shared.stopping.cancelled() => {}
        }
    }

    async fn deadline(&self, session: &Session) {
        match session.step_deadline() {
            Some(deadline) => sleep((deadline - self.shared.clock.now()).to_std().unwrap_or_default()).await,
            None => std::future::pending().await,
        }
    }

    /// Reads what the log holds beyond the transcript.
    async fn catch_up(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let end = snapshot.session.log_length;
        while self.transcript.through < end {
            let events = match snapshot.events_from(self.transcript.through) {
                Some(events) => events.to_vec(),
                None => self.read_events(snapshot).await?,
            };
            if events.is_empty() {
                return Ok(());
            }
            self.transcript.through += events.len() as u64;
            self.transcript.events.extend(events.iter().filter_map(LoggedEvent::agent_event).map(Arc::new));
        }
        Ok(())
    }

    async fn read_events(&self, snapshot: &Snapshot) -> Result<Vec<LoggedEvent>, Stop> {
        let (id, from) = (snapshot.session.id, self.transcript.through);
        patiently(&self.shared, || self.shared.store.events(id, from, EVENTS_AT_ONCE)).await
    }

    async fn assignment(&mut self) -> Result<Assignment, Stop> {
        if let Some(assignment) = &self.assignment {
            return Ok(assignment.clone());
        }
        let id = self.watch.id();
        let record = patiently(&self.shared, || self.shared.store.record(id)).await?.ok_or(Stop::Done)?;
        let agent = match &record.request.agent {
            Reference::Inline(agent) => Arc::new((**agent).clone()),
            Reference::Name(name) => {
                let cause = format!("the stored request names agent {name:?} instead of holding it");
                self.record(Fact::Failed(Fault::because(ErrorCode::Internal, cause))).await?;
                return Err(Stop::Done);
            }
        };
        Ok(self.assignment.insert((record.request, agent)).clone())
    }

    /// Lets go of a session that needs no worker now; looks again when a command came in between.
    async fn release(&self, session: &Session) -> Result<(), Stop> {
        let (id, version) = (session.id, session.version);
        let released = patiently(&self.shared, || self.shared.store.release(id, self.lease, version)).await?;
        self.shared.notifier.forget(id);
        if released { Err(Stop::Done) } else { Ok(()) }
    }

    async fn record(&mut self, fact: Fact) -> Result<(), Stop> {
        match self.door().commit(fact).await {
            // The session moved on: look again what to do.
            Err(Stop::Done) if self.still_owned() => self.look_again(),
            result => {
                self.refusals = 0;
                result
            }
        }
    }

    /// A fact that never fits means that the stored session contradicts itself; better stop than spin.
    fn look_again(&mut self) -> Result<(), Stop> {
        self.refusals += 1;
        if self.refusals <= REFUSALS_MAX {
            return Ok(());
        }
        let (table, id) = ("sessions", self.watch.id().to_string());
        Err(Stop::Store(Error::Corrupt { table, id, cause: "it does not move on".into() }))
    }

    fn still_owned(&self) -> bool {
        self.watch.snapshot().is_none_or(|snapshot| snapshot.is_held_by(self.lease))
    }

    fn door(&self) -> Door {
        Door { shared: Arc::clone(&self.shared), id: self.watch.id(), lease: self.lease }
    }
}

/// Events read from the store in one go.
const EVENTS_AT_ONCE: u64 = 500;

fn is_running(session: &Session, mode: StepMode) -> bool {
    let forced = mode == StepMode::Act && session.turn.force.is_some();
    matches!(session.state, State::Active(Phase::Running(_))) && !forced
}

/// Commits facts under the lease.
struct Door {
    shared: Arc<Shared>,
    id: quarterdeck_api::SessionId,
    lease: Lease,
}

#[async_trait]
impl Recorder for Door {
    async fn record(&mut self, fact: Fact) -> Result<(), Superseded> {
        self.commit(fact).await.map_err(|_| Superseded)
    }
}

impl Door {
    /// The session as it stands, while it is ours.
    async fn current(&self) -> Result<Snapshot, Stop> {
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
    async fn commit(&self, fact: Fact) -> Result<(), Stop> {
        let mut snapshot = self.current().await?;
        loop {
            if *self.shared.fenced.borrow() || self.shared.stopping.is_cancelled() {
                return Err(Stop::Done);
            }
            let now = self.shared.clock.now();
            let transition = match snapshot.session.fact(fact.clone(), now) {
                Ok(Effect::Changed(transition)) => *transition,
                Ok(Effect::Unchanged) => return Ok(()),
                Err(_) => return Err(Stop::Done),
            };
            let lease = self.lease_after(&transition.session);
            let first = transition.events.first().cloned();
            match self.shared.commit(snapshot.owner, Commit { transition, lease }).await {
                Ok(()) => return Ok(()),
                Err(Error::Conflict(_)) => snapshot = self.reload().await?,
                Err(error) if error.is_transient() => {
                    sleep(STORE_RETRY).await;
                    if self.landed(first).await? {
                        return self.reload().await.map(drop);
                    }
                    snapshot = self.reload().await?;
                }
                Err(error) => return Err(Stop::Store(error)),
            }
        }
    }

    fn lease_after(&self, session: &Session) -> CommitLease {
        match session.next(self.shared.clock.now()) {
            Next::Release => CommitLease::Release(self.lease),
            Next::Start | Next::Deliver | Next::Step(_) | Next::Settle(_) | Next::TimePassed => {
                CommitLease::Hold(self.lease)
            }
        }
    }

    /// Whether a commit whose answer was lost went through: the log tells.
    async fn landed(&self, first: Option<LoggedEvent>) -> Result<bool, Stop> {
        let Some(event) = first else { return Ok(false) };
        let stored = patiently(&self.shared, || self.shared.store.events(self.id, event.index, 1)).await?;
        Ok(stored.first().is_some_and(|stored| stored.json.get() == event.json.get()))
    }
}

/// Repeats a read while the store is away; the session waits with it.
async fn patiently<T, F>(shared: &Shared, mut call: impl FnMut() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_transient() => {
                tokio::select! {
                    () = sleep(STORE_RETRY) => {}
                    () = shared.stopping.cancelled() => return Err(Stop::Store(error)),
                }
            }
            Err(error) => return Err(Stop::Store(error)),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
