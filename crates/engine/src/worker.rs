//! A worker: owns one session for a while and moves it along.
//!
//! It asks the core what to do next, does it, and commits the fact under its lease; when nothing is left to do it lets
//! go. Steps are taken in one of the process's slots; everything else is quick and needs none. Whatever it holds in
//! memory is a copy of the log: after a crash another worker reads it again.

mod delegation;
mod door;

pub(crate) use door::{Door, WeakDoor};

use crate::{
    engine::{STORE_RETRY, Shared},
    meter::{self, Present, WORKERS_BUSY},
    notifier::{Snapshot, Watch},
    parked,
    pictures::SessionPictures,
    toolbox::{self, SessionTools},
};
use futures_util::FutureExt;
use quarterdeck_agent::{NoTools, StepContext, StepError, Superseded, Toolbox};
use quarterdeck_api::{
    Agent, AgentEvent, ErrorCode, Reference, SessionRequest, Timestamp, ToolError, ToolRequest, ToolResultItem,
};
use quarterdeck_core::{Fact, Fault, ForceReason, LoggedEvent, Next, Phase, Report, Session, State, StepMode};
use quarterdeck_store::{Error, Lease};
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

/// Facts in a row that may be refused before the worker gives up.
const REFUSALS_MAX: u32 = 100;

/// A place for one more worker, if there is one.
pub(crate) fn slot(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if shared.draining.is_cancelled() {
        return None;
    }
    Arc::clone(&shared.slots).try_acquire_owned().ok()
}

/// What a worker needs of the request.
type Assignment = (Arc<SessionRequest>, Arc<Agent>);

/// How this process came to own a session.
pub(crate) struct Hold {
    pub(crate) lease: Lease,
    /// From an owner who had not let go.
    pub(crate) taken_over: bool,
    /// When it is known already.
    pub(crate) assignment: Option<Assignment>,
}

/// Runs a session that this process owns. `watch` was taken before ownership, so no commit is missed.
pub(crate) fn spawn(shared: &Arc<Shared>, slot: Option<OwnedSemaphorePermit>, watch: Watch, hold: Hold) {
    let Hold { lease, taken_over, assignment } = hold;
    let mut worker = Worker {
        shared: Arc::clone(shared),
        slot,
        watch,
        lease,
        taken_over,
        assignment,
        tools: None,
        transcript: Transcript::default(),
        refusals: 0,
    };
    let run = (worker.watch.id(), lease.epoch);
    shared.held().insert(run);
    shared.workers.spawn(async move {
        let _busy = Present::new(WORKERS_BUSY);
        worker.run_caught().await;
        worker.let_go().await;
        worker.shared.held().remove(&run);
        worker.close_tools().await;
        worker.hand_back();
    });
}

/// Whether this takes a slot: the agent is at work. Orders must not wait until somebody makes room.
pub(crate) fn takes_slot(next: &Next) -> bool {
    match next {
        Next::Start | Next::Deliver | Next::Step(_) => true,
        Next::Settle(_) | Next::Delegate(_) | Next::Steer(_) | Next::Await(_) | Next::TimePassed | Next::Release => {
            false
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    /// Its place among those that take steps, while it has one.
    slot: Option<OwnedSemaphorePermit>,
    watch: Watch,
    lease: Lease,
    /// Not recorded yet.
    taken_over: bool,
    assignment: Option<Assignment>,
    /// The session's environments, once a step needed them.
    tools: Option<Arc<SessionTools>>,
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

impl Worker {
    /// A panic ends the session it came from, and nothing else.
    async fn run_caught(&mut self) {
        if let Err(panic) = AssertUnwindSafe(self.run()).catch_unwind().await {
            let id = self.watch.id();
            let reference = self.shared.clock.id();
            tracing::error!(session.id = %id, %reference, panic = panic_text(&*panic), "the run of session {id} panicked");
            let fault = Fault::because(ErrorCode::Internal, format!("reference {reference}"));
            drop(self.door().commit(Fact::Reported(Report::Failed(fault))).await);
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

    /// What is worth keeping stays open for the session's next worker here; the rest is closed.
    async fn close_tools(&self) {
        let Some(tools) = &self.tools else { return };
        let may_wait = self.may_park().await;
        let to_close = self.shared.parked.give_back(&self.shared, &self.watch, tools.lent(), may_wait);
        toolbox::close(to_close).await;
    }

    /// Whether the session may go on here: it is not over, and no other process has it.
    async fn may_park(&self) -> bool {
        if self.shared.draining.is_cancelled() || self.shared.fenced.get() {
            return false;
        }
        let stored = self.shared.reload(self.watch.id()).await;
        stored.is_ok_and(|stored| stored.is_some_and(|stored| !parked::is_over(&stored, self.shared.replica)))
    }

    /// Work may be waiting for a place when there was none.
    fn hand_back(&mut self) {
        let Some(slot) = self.slot.take() else { return };
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
                    return drop(self.door().commit(Fact::Reported(Report::Failed(fault))).await);
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
        if self.shared.fenced.get() {
            // Nothing could be recorded. Once the lease is back, the session is claimed anew.
            return Err(Stop::Done);
        }
        if std::mem::take(&mut self.taken_over) {
            // Before anything that may kill this process too.
            return self.record(Fact::TakenOver { epoch: self.lease.epoch }).await;
        }
        let next = session.next(self.shared.clock.now());
        if takes_slot(&next) && !self.takes_its_place(&snapshot).await {
            return Ok(());
        }
        match next {
            Next::Start => self.start(session).await,
            Next::Deliver => self.deliver(session).await,
            Next::Settle(calls) => self.settle(calls).await,
            Next::Delegate(calls) => self.delegate(calls).await,
            Next::Steer(orders) => self.steer(session, orders).await,
            Next::Await(errands) => self.await_children(&snapshot, errands).await,
            Next::Step(mode) => self.step(&snapshot, mode).await,
            Next::TimePassed => self.record(Fact::TimePassed).await,
            Next::Release => self.release(session).await,
        }
    }

    /// Waits for a slot, unless it has one; false when something happened to the session meanwhile.
    async fn takes_its_place(&mut self, snapshot: &Snapshot) -> bool {
        if self.slot.is_none() {
            let slots = Arc::clone(&self.shared.slots);
            let now = self.shared.clock.now();
            let until = snapshot.session.step_deadline().filter(|until| *until > now);
            self.slot = tokio::select! {
                biased;
                slot = slots.acquire_owned() => slot.ok(),
                () = self.moved_on(snapshot, until) => None,
            };
        }
        self.slot.is_some()
    }

    /// Returns when the session has changed, when this moment has come, or when this process must not go on with it.
    async fn moved_on(&self, snapshot: &Snapshot, until: Option<Timestamp>) {
        let watch = self.watch.again();
        let (lease, version) = (self.lease, snapshot.session.version);
        tokio::select! {
            biased;
            () = watch.wait_for(|seen| seen.session.version != version || !seen.is_held_by(lease)) => {}
            () = self.at(until) => {}
            () = self.shared.fenced.wait_for(|fenced| *fenced) => {}
            () = self.shared.draining.cancelled() => {}
        }
    }

    async fn start(&mut self, session: &Session) -> Result<(), Stop> {
        let (request, _) = self.assignment().await?;
        let mut messages = request.opening_messages();
        if session.started_at.is_some() {
            messages.clear();
        }
        let waiting = self.waiting_messages(session).await?;
        let inbox_through = session.inbox.delivered + waiting.len() as u64;
        messages.extend(waiting);
        self.record(Fact::Started { messages, inbox_through }).await
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

    /// Calls whose worker died, or that were dropped while they ran: whether they took effect, nobody knows.
    async fn settle(&mut self, calls: Vec<ToolRequest>) -> Result<(), Stop> {
        for call in calls {
            let error = "the call was stopped while it was running; whether it took effect is unknown".into();
            let error = ToolError { error, origin: "server".into(), tool_req: Some(call) };
            self.record(Fact::Reported(Report::Returned(ToolResultItem::Error(error)))).await?;
        }
        Ok(())
    }

    async fn step(&mut self, snapshot: &Snapshot, mode: StepMode) -> Result<(), Stop> {
        self.catch_up(snapshot).await?;
        let (request, agent) = self.assignment().await?;
        let (shared, mut door) = (Arc::clone(&self.shared), self.door());
        let (transcript, mut tools) = (self.transcript.events.clone(), self.tools.clone());
        let session = snapshot.session.id;
        let step = async {
            let toolbox: Arc<dyn Toolbox> = match &tools {
                Some(tools) => Arc::clone(tools) as _,
                // Nothing can be called: whoever wants an answer now need not wait for what nobody will use.
                None if mode == StepMode::AnswerOnly => Arc::new(NoTools),
                None => {
                    let opened = toolbox::open(&shared, &snapshot.session, &request, &agent, door.clone()).await;
                    Arc::clone(tools.insert(opened.map_err(StepError::Failed)?)) as _
                }
            };
            if let Some(tools) = &tools {
                tools.announce().await?;
            }
            let timezone = request.timezone.clone();
            let media = Arc::new(SessionPictures { blobs: shared.blobs.clone(), session });
            let context = StepContext { session, agent, timezone, transcript, toolbox, media, scene: None, mode };
            shared.runner.step(&context, &mut door).await
        };
        let metered = meter::Step::begin();
        let result = tokio::select! {
            biased;
            result = step => Some(result),
            () = self.interrupted(&snapshot.session, mode) => None,
        };
        self.tools = tools;
        let Some(result) = result else { return Ok(()) };
        metered.end(match &result {
            Ok(()) => "done",
            Err(StepError::Superseded(_)) => "superseded",
            Err(StepError::Failed(_)) => "failed",
        });
        match result {
            Ok(()) if self.version() == Some(snapshot.session.version) => self.refuse_empty_step().await,
            Ok(()) | Err(StepError::Superseded(_)) => Ok(()),
            Err(StepError::Failed(fault)) => {
                let (id, sentence) = (snapshot.session.id, fault.sentence());
                tracing::warn!(session.id = %id, error = %sentence, "session {id} failed");
                self.record(Fact::Reported(Report::Failed(fault))).await
            }
        }
    }

    fn version(&self) -> Option<u64> {
        self.watch.snapshot().map(|snapshot| snapshot.session.version)
    }

    /// A step that records nothing would be taken again, for ever.
    async fn refuse_empty_step(&mut self) -> Result<(), Stop> {
        self.record(Fact::Reported(Report::Failed(Fault::because(
            ErrorCode::Internal,
            "the runner's step recorded nothing",
        ))))
        .await
    }

    /// Returns when the step in progress is not wanted any more: it was paused between calls or cancelled, an
    /// answer is forced, its time is up, or this process may not own the session any longer.
    async fn interrupted(&self, begun: &Session, mode: StepMode) {
        let mut watch = self.watch.again();
        loop {
            let Some(now) = watch.snapshot_and_update() else { return };
            if !now.is_held_by(self.lease) || !is_wanted(&now.session, begun.pauses, mode) {
                return;
            }
            tokio::select! {
                biased;
                () = watch.changed() => {}
                () = self.at(now.session.step_deadline()) => return,
                () = self.shared.fenced.wait_for(|fenced| *fenced) => return,
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }

    async fn at(&self, moment: Option<Timestamp>) {
        match moment {
            Some(moment) => sleep((moment - self.shared.clock.now()).to_std().unwrap_or_default()).await,
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
                self.record(Fact::Reported(Report::Failed(Fault::because(ErrorCode::Internal, cause)))).await?;
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
                result.map(drop)
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

/// Whether a step in progress, begun after so many pauses, is to go on. A pause lets calls that are running return, and
/// drops everything else, also when it is over by the time it is seen. The step limit forces an answer only after the
/// step that reached it.
fn is_wanted(session: &Session, pauses: u64, mode: StepMode) -> bool {
    let forced = matches!(session.turn.force, Some(ForceReason::User | ForceReason::TimeLimit));
    let runs = matches!(session.state, State::Active(Phase::Running(_))) && session.pauses == pauses;
    let acts = runs || !session.state.running_calls().is_empty();
    acts && !(forced && mode == StepMode::Act)
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
                    biased;
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
