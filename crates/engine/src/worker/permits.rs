//! Permits: how many workers of this process may take steps at once.

use super::Worker;
use crate::{notifier::Snapshot, shared::Shared};
use quarterdeck_core::Next;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A permit for one more worker, if there is one.
pub(crate) fn permit(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if shared.draining.is_cancelled() {
        return None;
    }
    Arc::clone(&shared.permits).try_acquire_owned().ok()
}

/// Whether this takes a permit: the agent is at work. Orders must not wait until somebody makes room.
pub(crate) fn needs_permit(next: &Next) -> bool {
    match next {
        Next::Start | Next::Deliver | Next::Step(_) => true,
        Next::Settle(_) | Next::Delegate(_) | Next::Steer(_) | Next::Await(_) | Next::TimePassed | Next::Release => {
            false
        }
    }
}

impl Worker {
    /// Waits for a permit, unless it has one; false when something happened to the session meanwhile.
    pub(super) async fn has_permit(&mut self, snapshot: &Snapshot) -> bool {
        if self.permit.is_none() {
            let permits = Arc::clone(&self.shared.permits);
            let now = self.shared.clock.now();
            let until = snapshot.session.step_deadline().filter(|until| *until > now);
            self.permit = tokio::select! {
                biased;
                permit = permits.acquire_owned() => permit.ok(),
                () = self.moved_on(snapshot, until) => None,
            };
        }
        self.permit.is_some()
    }

    /// Gives the permit back. Work may be waiting for one when there was none.
    pub(super) fn give_permit_back(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let none_was_left = self.shared.permits.available_permits() == 0;
        drop(permit);
        if none_was_left {
            self.shared.work_due.notify_one();
        }
    }
}
