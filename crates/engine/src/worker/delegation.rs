//! A worker whose session delegates: it starts children, steers them and waits for them.
//!
//! Nothing of this needs a permit to take steps. A parent that waits with one would keep its own
//! children out, and an order must not wait until a child has made room for it.

use super::{
    Transcript, Worker, permit,
    subagents::{self, Task},
};
use crate::{
    SubmitError,
    leased_session::{Stop, patiently},
    notifier::Snapshot,
    shared::{STORE_RETRY_INTERVAL, Shared},
};
use futures_util::future::{join_all, select_all};
use quarterdeck_api::{Agent, SessionId, SessionRequest, ToolRequest, ToolResultItem};
use quarterdeck_core::{ChildCall, ChildOrder, Command, Fact, Next, Report, Session, Steering};
use quarterdeck_store::Error;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// How often a child is looked at although nothing was heard of it.
const CHILD_POLL_INTERVAL: Duration = Duration::from_secs(10);

impl Worker {
    /// Allots a child to each call. The ids are on record before the sessions exist, so that no crash can start a
    /// second one for the same call.
    pub(super) async fn delegate(&mut self, calls: Vec<ToolRequest>) -> Result<(), Stop> {
        let (_, agent) = self.assignment().await?;
        for call in calls {
            let fact = match Task::of(&agent, &call) {
                Ok(_) => Fact::Delegated { call, child: SessionId(self.shared.clock.id()) },
                Err(fault) => Fact::Reported(Report::Returned(subagents::failed(call, fault))),
            };
            self.record(fact).await?;
        }
        Ok(())
    }

    /// Tells children what they were not told yet.
    pub(super) async fn steer(&mut self, session: &Session, orders: Vec<(ChildCall, ChildOrder)>) -> Result<(), Stop> {
        let parent = self.parent(session).await?;
        for (child_call, order) in orders {
            parent.tell(&child_call, order).await?;
            self.record(Fact::Steered { child: child_call.child, order }).await?;
        }
        Ok(())
    }

    /// Takes the result of the first child that has one, or looks again when something happened to the session itself.
    pub(super) async fn await_children(
        &mut self,
        snapshot: &Snapshot,
        child_calls: Vec<ChildCall>,
    ) -> Result<(), Stop> {
        self.give_permit_back();
        // It can be long, and is read again when there is a step to take.
        self.transcript = Transcript::default();
        let session = &snapshot.session;
        let parent = self.parent(session).await?;
        if let Some(failure) = parent.start(&child_calls).await? {
            return self.record(Fact::Reported(Report::Returned(failure))).await;
        }
        let now = self.shared.clock.now();
        if session.next(now) != Next::Await(child_calls.clone()) {
            // Their time was over before they were all there.
            return Ok(());
        }
        let until = [session.step_deadline(), session.children_deadline()];
        let until = until.into_iter().flatten().filter(|until| *until > now).min();
        let first_result = select_all(child_calls.iter().map(|child_call| Box::pin(parent.result(child_call))));
        let result = tokio::select! {
            biased;
            (result, ..) = first_result => result?,
            () = self.moved_on(snapshot, until) => return Ok(()),
        };
        self.record(Fact::Reported(Report::Returned(result))).await
    }

    async fn parent(&mut self, session: &Session) -> Result<Parent, Stop> {
        let (request, agent) = self.assignment().await?;
        Ok(Parent { shared: Arc::clone(&self.shared), session: session.clone(), request, agent })
    }
}

/// What is told of a child that can be neither started nor read, now or later.
fn unusable(child_call: &ChildCall, stop: Stop) -> Result<ToolResultItem, Stop> {
    match stop {
        Stop::Store(error) if !error.is_transient() => {
            tracing::error!(session.id = %child_call.child, error = ?error, "cannot run or read a subagent's session");
            Ok(subagents::failed(child_call.call.clone(), "the subagent's session cannot be started or read".into()))
        }
        Stop::Store(_) | Stop::Done => Err(stop),
    }
}

/// A session as its children need it.
struct Parent {
    shared: Arc<Shared>,
    session: Session,
    request: Arc<SessionRequest>,
    agent: Arc<Agent>,
}

impl Parent {
    /// Creates those that are not there, side by side. A creation is never dropped half-way, or the child would have
    /// an owner and no worker. Returns what to tell of one that cannot be created.
    async fn start(&self, child_calls: &[ChildCall]) -> Result<Option<ToolResultItem>, Stop> {
        let started = join_all(child_calls.iter().map(|child_call| self.child(child_call, ChildOrder::Resume))).await;
        for (child_call, started) in child_calls.iter().zip(started) {
            if let Err(stop) = started {
                return unusable(child_call, stop).map(Some);
            }
        }
        Ok(None)
    }

    /// The result of a call, once its child has one.
    async fn result(&self, child_call: &ChildCall) -> Result<ToolResultItem, Stop> {
        match self.settled(child_call).await {
            Ok(child) => Ok(subagents::returned(child_call.call.clone(), &child)),
            Err(stop) => unusable(child_call, stop),
        }
    }

    /// The child once it has done its work. One whose time for that is over is told to end, and is settled then.
    async fn settled(&self, child_call: &ChildCall) -> Result<Arc<Session>, Stop> {
        // Watched before it is read, so that no commit in between is missed.
        let mut watch = self.shared.notifier.watch(child_call.child);
        loop {
            let snapshot = match watch.snapshot_and_update() {
                Some(snapshot) => snapshot,
                None => self.known(child_call.child).await?,
            };
            if subagents::is_settled(&snapshot.session) {
                return Ok(snapshot.session);
            }
            if timeout(CHILD_POLL_INTERVAL, watch.changed()).await.is_err() {
                patiently(&self.shared, || self.shared.reload(child_call.child)).await?;
            }
        }
    }

    /// Makes a child do what is wanted. The order carries the version it was decided on, so that it cannot undo one
    /// of a worker that came after this one.
    async fn tell(&self, child_call: &ChildCall, order: ChildOrder) -> Result<(), Stop> {
        let steering = Steering { version: self.session.version, order };
        loop {
            let told = match self.child(child_call, order).await {
                Ok(child) => self.shared.decide_and_commit(child, Command::Steer(steering)).await,
                Err(Stop::Store(error)) => Err(SubmitError::Store(error)),
                Err(Stop::Done) => return Err(Stop::Done),
            };
            match told {
                Ok(()) => return Ok(()),
                Err(SubmitError::Contended(_)) => sleep(STORE_RETRY_INTERVAL).await,
                Err(SubmitError::Store(error)) if error.is_transient() => sleep(STORE_RETRY_INTERVAL).await,
                // Trying again would not help: what cannot be read cannot be told.
                Err(error) => {
                    tracing::error!(session.id = %child_call.child, error = ?error, "cannot steer a subagent's session");
                    return Ok(());
                }
            }
            if self.shared.stopping.is_cancelled() || self.shared.fenced.get() {
                return Err(Stop::Done);
            }
        }
    }

    /// The child as it stands. It is created now if it is not there: somebody died, or is just about to start, between
    /// the record of its id and its creation. One that is to be cancelled is created all the same, so that whoever is
    /// late with it finds it there, and ended.
    async fn child(&self, child_call: &ChildCall, order: ChildOrder) -> Result<Snapshot, Stop> {
        let id = child_call.child;
        if let Some(snapshot) = self.shared.notifier.snapshot(id) {
            return Ok(snapshot);
        }
        loop {
            if self.shared.stopping.is_cancelled() || self.shared.fenced.get() {
                return Err(Stop::Done);
            }
            if let Some(snapshot) = patiently(&self.shared, || self.shared.load(id)).await? {
                return Ok(snapshot);
            }
            let Ok(task) = Task::of(&self.agent, &child_call.call) else { return Err(Stop::Done) };
            let permit = if order == ChildOrder::Resume { permit(&self.shared) } else { None };
            let Err(error) = self.shared.create_child(&self.session, &self.request, task, id, permit).await else {
                continue;
            };
            if error.is_transient() {
                sleep(STORE_RETRY_INTERVAL).await;
            } else if patiently(&self.shared, || self.shared.load(id)).await?.is_none() {
                // It was not refused because another worker was faster.
                return Err(Stop::Store(error));
            }
        }
    }

    /// A session that was there before.
    async fn known(&self, id: SessionId) -> Result<Snapshot, Stop> {
        let found = patiently(&self.shared, || self.shared.load(id)).await?;
        let gone = || Error::Corrupt { table: "sessions", id: id.to_string(), cause: "it is gone".into() };
        found.ok_or_else(|| Stop::Store(gone()))
    }
}
