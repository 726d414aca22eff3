//! A clean slate, for tests.

use super::Sessions;
use crate::VirtualClock;
use quarterdeck_store::{Caller, Error};

impl Sessions {
    /// Removes all sessions of the caller's organization, whatever they are at. Their ids begin anew on `clock`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_all(&self, caller: Caller, clock: &VirtualClock) -> Result<usize, Error> {
        let removed = self.shared.store.remove_sessions(caller.organization).await?;
        for id in &removed {
            if let Some(recent) = &self.shared.recent {
                recent.invalidate(id);
            }
            // Whoever runs or follows one finds that there is none.
            self.shared.notifier.forget(*id);
            drop(self.shared.reload(*id).await);
            self.shared.blobs.delete_below(*id, None).await?;
        }
        clock.begin_anew(caller.organization);
        Ok(removed.len())
    }
}
