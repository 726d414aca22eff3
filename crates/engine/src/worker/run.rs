//! How a session comes to have a worker here: it is created, committed to, or claimed.

use super::{Transcript, Worker, needs_permit, permits};
use crate::{
    meter::{self, Present, WORKERS_BUSY},
    notifier::{Watch, owner_after},
    shared::Shared,
};
use quarterdeck_api::{Agent, SessionRequest};
use quarterdeck_core::{Next, Transition};
use quarterdeck_store::{
    Admission, Commit, CommitLease, CommitSlot, Creation, Error, Lease, NewSession, Owner, Queued,
};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

/// What a worker needs of the request.
pub(crate) type Assignment = (Arc<SessionRequest>, Arc<Agent>);

/// How this process came to own a session.
pub(crate) struct Hold {
    pub(crate) lease: Lease,
    /// From an owner who had not let go.
    pub(crate) taken_over: bool,
    /// When it is known already.
    pub(crate) assignment: Option<Assignment>,
}

/// Runs a session that this process owns. `watch` was taken before ownership, so no commit is missed.
pub(crate) fn spawn(shared: &Arc<Shared>, permit: Option<OwnedSemaphorePermit>, watch: Watch, hold: Hold) {
    let Hold { lease, taken_over, assignment } = hold;
    let mut worker = Worker {
        shared: Arc::clone(shared),
        permit,
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
    // At the level of errors, so that no filter that shows a line takes the session's id from it.
    let span = tracing::error_span!("run", session.id = %run.0);
    let work = async move {
        let _busy = Present::new(WORKERS_BUSY);
        worker.run_caught().await;
        worker.let_go().await;
        worker.shared.held().remove(&run);
        worker.close_tools().await;
        worker.give_permit_back();
    };
    shared.workers.spawn(work.instrument(span));
}

impl Shared {
    /// Creates a session. With a permit this process runs it from the start, which saves the claim.
    pub(crate) async fn create_and_run(
        self: &Arc<Self>,
        mut session: NewSession,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Creation, Error> {
        let id = session.transition.session.id;
        let has_work = session.transition.session.next(self.clock.now()) != Next::Release;
        let permit = permit.filter(|_| has_work);
        session.owner = permit.is_some().then_some(self.replica);
        let owner = Owner { replica: session.owner, epoch: i64::from(session.owner.is_some()) };
        let watch = self.notifier.watch(id);
        let (transition, assignment) =
            (session.transition.clone(), (Arc::clone(&session.request), Arc::clone(&session.agent)));
        let queued = queued_of(&session.admission).cloned();
        let creation = self.store.create(session).await?;
        match (&creation, queued) {
            (Creation::Created, _) => {
                meter::created("started");
                self.publish(id, transition, owner);
            }
            (Creation::Queued, Some(queued)) => {
                meter::created("queued");
                self.queue.joined(&queued.transition.session);
                self.publish(id, queued.transition, Owner { replica: None, epoch: 0 });
                self.remember(&watch);
                return Ok(creation);
            }
            (Creation::Queued | Creation::Replayed(_) | Creation::KeyReused, _) => return Ok(creation),
        }
        self.remember(&watch);
        match permit {
            Some(permit) => {
                let lease = Lease { replica: self.replica, epoch: owner.epoch };
                let hold = Hold { lease, taken_over: false, assignment: Some(assignment) };
                spawn(self, Some(permit), watch, hold);
            }
            None if has_work => self.work_due.notify_one(),
            None => {}
        }
        Ok(creation)
    }

    /// Commits what was decided on a session of this owner. Where that gives work to a session that nobody runs, this
    /// process runs it, if it has room.
    pub(crate) async fn commit_and_run(
        self: &Arc<Self>,
        owner: Owner,
        transition: Transition,
        slot: CommitSlot,
    ) -> Result<(), Error> {
        let id = transition.session.id;
        let next = transition.session.next(self.clock.now());
        let unowned_work = is_free(self, owner) && next != Next::Release;
        let permit = if unowned_work { permits::permit(self) } else { None };
        let steers = unowned_work && !needs_permit(&next) && !self.draining.is_cancelled();
        if permit.is_none() && !steers {
            self.commit(owner, Commit { transition, lease: CommitLease::Leave, slot }).await?;
            if unowned_work {
                self.work_due.notify_one();
            }
            return Ok(());
        }
        let watch = self.notifier.watch(id);
        let lease = CommitLease::Take(self.replica);
        self.commit(owner, Commit { transition, lease, slot }).await?;
        let epoch = owner_after(owner, lease).epoch;
        let lease = Lease { replica: self.replica, epoch };
        spawn(self, permit, watch, Hold { lease, taken_over: owner.replica.is_some(), assignment: None });
        Ok(())
    }
}

/// Whether nobody runs the session: on a store of our own, another owner is a past life of this server.
fn is_free(shared: &Shared, owner: Owner) -> bool {
    owner.replica.is_none_or(|replica| !shared.store.is_shared() && replica != shared.replica)
}

fn queued_of(admission: &Admission) -> Option<&Queued> {
    match admission {
        Admission::Asked { queued, .. } => queued.as_deref(),
        Admission::Granted => None,
    }
}
