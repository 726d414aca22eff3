//! Commands on a session that anybody may own.

use crate::{SubmitError, notifier::Snapshot, shared::Shared};
use quarterdeck_core::{Command, Effect, Session};
use quarterdeck_store::{CommitSlot, Error};
use std::sync::Arc;

/// Tries at a commit before the caller is told that too many want the same session.
const COMMIT_ATTEMPTS: usize = 32;

impl Shared {
    /// Decides and commits a command. Somebody else's commit in between means to decide again.
    pub(crate) async fn decide_and_commit(
        self: &Arc<Self>,
        mut snapshot: Snapshot,
        command: Command,
    ) -> Result<(), SubmitError> {
        let id = snapshot.session.id;
        for _ in 0..COMMIT_ATTEMPTS {
            let transition = match snapshot.session.command(command.clone(), self.clock.now())? {
                Effect::Unchanged => return Ok(()),
                Effect::Changed(transition) => *transition,
            };
            let slot = self.slot_of(&snapshot.session, &transition.session);
            let (shared, owner) = (Arc::clone(self), snapshot.owner);
            let commit = async move { shared.commit_and_run(owner, transition, slot).await };
            match self.to_the_end(commit).await {
                Ok(()) => return Ok(()),
                Err(Error::Conflict(_)) => {
                    snapshot = self.reload(id).await?.ok_or(SubmitError::NotFound(id))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(SubmitError::Contended(id))
    }

    /// Only a message to an ended session brings it back into a slot.
    fn slot_of(&self, before: &Session, after: &Session) -> CommitSlot {
        if after.state.holds_slot() && !before.state.holds_slot() {
            return CommitSlot::Take(self.settings.limits);
        }
        CommitSlot::Keep
    }
}
