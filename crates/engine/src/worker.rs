//! A worker: owns one session for a while and moves it along.
//!
//! It asks the core what to do next, does it, and commits the fact under its lease; when nothing is left to do it lets
//! go. Steps are taken with one of the process's permits; everything else is quick and needs none. Whatever it holds in
//! memory is a copy of the log: after a crash another worker reads it again.

mod commands;
mod delegation;
mod permits;
mod run;
mod step;
mod subagents;

pub(crate) use permits::{needs_permit, permit};
pub(crate) use run::{Assignment, Hold, spawn};

use crate::{
    environments::{self, SessionTools},
    leased_session::{LeasedSession, Stop, patiently},
    notifier::{Snapshot, Watch},
    shared::{Shared, close},
};
use futures_util::FutureExt;
use quarterdeck_api::{AgentEvent, ErrorCode, Reference, Timestamp, ToolError, ToolRequest, ToolResultItem};
use quarterdeck_core::{Fact, Next, Report, Session, SessionFailure};
use quarterdeck_store::{Error, Lease};
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// Facts in a row that may be refused before the worker gives up.
const REFUSALS_MAX: u32 = 100;

struct Worker {
    shared: Arc<Shared>,
    /// To take steps, while it has one.
    permit: Option<OwnedSemaphorePermit>,
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

impl Worker {
    /// A panic ends the session it came from, and nothing else.
    async fn run_caught(&mut self) {
        if let Err(panic) = AssertUnwindSafe(self.run()).catch_unwind().await {
            let id = self.watch.id();
            let reference = self.shared.clock.id();
            tracing::error!(session.id = %id, %reference, panic = panic_text(&*panic), "the run of session {id} panicked");
            let fault = SessionFailure::because(ErrorCode::Internal, format!("reference {reference}"));
            drop(self.log().commit(Fact::Reported(Report::Failed(fault))).await);
        }
    }

    /// Whatever ended the run, a session must not stay owned by a process that does nothing for it.
    async fn let_go(&self) {
        let Some(snapshot) = self.watch.snapshot().filter(|snapshot| snapshot.is_held_by(self.lease)) else { return };
        let (id, version) = (snapshot.session.id, snapshot.session.version);
        if let Err(error) = self.shared.release(id, self.lease, version).await {
            tracing::warn!(session.id = %id, %error, "could not let go of session {id}");
        }
    }

    /// What is worth keeping stays open for the session's next worker here; the rest is closed.
    async fn close_tools(&self) {
        let Some(tools) = &self.tools else { return };
        let lent = tools.lent();
        // Most sessions have nothing that could wait, and whether one may costs a read.
        let may_wait = lent.1.iter().any(|open| open.may_park()) && self.may_park().await;
        let to_close = environments::give_back(&self.shared, &self.watch, lent, may_wait);
        close(to_close).await;
    }

    /// Whether the session may go on here: it is not over, and no other process has it.
    async fn may_park(&self) -> bool {
        if self.shared.draining.is_cancelled() || self.shared.fenced.get() {
            return false;
        }
        let stored = self.shared.reload(self.watch.id()).await;
        stored.is_ok_and(|stored| stored.is_some_and(|stored| !environments::is_over(&stored, self.shared.replica)))
    }

    async fn run(&mut self) {
        let id = self.watch.id();
        loop {
            match self.advance().await {
                Ok(()) => {}
                Err(Stop::Done) => return,
                Err(Stop::Store(error)) => {
                    tracing::error!(session.id = %id, error = ?error, "cannot run session {id}");
                    let fault = SessionFailure::because(ErrorCode::Internal, "the stored session cannot be read");
                    return drop(self.log().commit(Fact::Reported(Report::Failed(fault))).await);
                }
            }
        }
    }

    /// Does the next thing.
    async fn advance(&mut self) -> Result<(), Stop> {
        let snapshot = self.log().current().await?;
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
        if needs_permit(&next) && !self.has_permit(&snapshot).await {
            return Ok(());
        }
        match next {
            Next::Start => self.start(session).await,
            Next::Deliver => self.deliver(session).await,
            Next::Settle(calls) => self.settle(calls).await,
            Next::Delegate(calls) => self.delegate(calls).await,
            Next::Steer(orders) => self.steer(session, orders).await,
            Next::Await(child_calls) => self.await_children(&snapshot, child_calls).await,
            Next::Step(mode) => self.step(&snapshot, mode).await,
            Next::TimePassed => self.record(Fact::TimePassed).await,
            Next::Release => self.release(session).await,
        }
    }

    /// Returns when the session has changed, when this moment has come, or when this process must not go on with it.
    async fn moved_on(&self, snapshot: &Snapshot, until: Option<Timestamp>) {
        let watch = self.watch.again();
        let (lease, version) = (self.lease, snapshot.session.version);
        let _waiting = self.shared.waiting(self.watch.id(), version);
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

    async fn at(&self, moment: Option<Timestamp>) {
        match moment {
            Some(moment) => self.shared.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
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
                self.record(Fact::Reported(Report::Failed(SessionFailure::because(ErrorCode::Internal, cause))))
                    .await?;
                return Err(Stop::Done);
            }
        };
        Ok(self.assignment.insert((record.request, agent)).clone())
    }

    /// Lets go of a session that needs no worker now; looks again when a command came in between.
    async fn release(&self, session: &Session) -> Result<(), Stop> {
        let (id, version) = (session.id, session.version);
        let released = patiently(&self.shared, || self.shared.release(id, self.lease, version)).await?;
        if released { Err(Stop::Done) } else { Ok(()) }
    }

    async fn record(&mut self, fact: Fact) -> Result<(), Stop> {
        match self.log().commit(fact).await {
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

    fn log(&self) -> LeasedSession {
        LeasedSession { shared: Arc::clone(&self.shared), id: self.watch.id(), lease: self.lease }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
