//! Whether sessions of this process's organizations may wait for a slot: a hint, so that the end of a session costs
//! nothing while nobody waits. The queue itself is in the store.

use quarterdeck_core::Session;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// What this process knows of the queue.
#[derive(Default)]
pub(crate) struct QueueHint {
    pub(crate) somebody_waits: AtomicBool,
    /// The log says so once, until nobody waits any more.
    pub(crate) is_told: AtomicBool,
    pub(crate) look: Notify,
}

impl QueueHint {
    /// A session waits now. Its slot may have been freed in the meantime.
    pub(crate) fn joined(&self, session: &Session) {
        if !self.is_told.swap(true, Ordering::SeqCst) {
            let (id, organization) = (session.id, session.organization.0);
            tracing::info!(session.id = %id, %organization, "session {id} waits for a slot of its organization");
        }
        self.somebody_waits.store(true, Ordering::SeqCst);
        self.look.notify_one();
    }

    /// A session may have given its slot back.
    pub(crate) fn slot_freed(&self) {
        if self.somebody_waits.load(Ordering::SeqCst) {
            self.look.notify_one();
        }
    }
}
