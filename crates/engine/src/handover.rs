//! Commits that may give work to a session nobody runs: then this process runs it, if it has room.

use crate::{
    engine::Shared,
    notifier::owner_after,
    worker::{self, Hold},
};
use quarterdeck_core::{Next, Transition};
use quarterdeck_store::{Commit, CommitLease, CommitSlot, Error, Lease, Owner};
use std::sync::Arc;

/// Commits what was decided on a session of this owner.
pub(crate) async fn commit(
    shared: &Arc<Shared>,
    owner: Owner,
    transition: Transition,
    slot: CommitSlot,
) -> Result<(), Error> {
    let id = transition.session.id;
    let next = transition.session.next(shared.clock.now());
    let unowned_work = is_free(shared, owner) && next != Next::Release;
    let place = if unowned_work { worker::slot(shared) } else { None };
    let steers = unowned_work && !worker::takes_slot(&next) && !shared.draining.is_cancelled();
    if place.is_none() && !steers {
        shared.commit(owner, Commit { transition, lease: CommitLease::Leave, slot }).await?;
        if unowned_work {
            shared.work_due.notify_one();
        }
        return Ok(());
    }
    let watch = shared.notifier.watch(id);
    let lease = CommitLease::Take(shared.replica);
    shared.commit(owner, Commit { transition, lease, slot }).await?;
    let epoch = owner_after(owner, lease).epoch;
    let lease = Lease { replica: shared.replica, epoch };
    worker::spawn(shared, place, watch, Hold { lease, taken_over: owner.replica.is_some(), assignment: None });
    Ok(())
}

/// Whether nobody runs the session: on a store of our own, another owner is a past life of this server.
fn is_free(shared: &Shared, owner: Owner) -> bool {
    owner.replica.is_none_or(|replica| !shared.store.is_shared() && replica != shared.replica)
}
