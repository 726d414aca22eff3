//! Commands of callers.

use super::{Sessions, may_have_happened};
use crate::{
    SubmitError,
    media::{Attachment, carry_bytes, detach},
};
use quarterdeck_api::SessionId;
use quarterdeck_core::{Command, Session};
use quarterdeck_store::Caller;

impl Sessions {
    /// Decides and commits a command; returns once it is durable.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, caller: Caller, id: SessionId, command: Command) -> Result<(), SubmitError> {
        let snapshot = self.own(caller, id).await?;
        let (command, attachments) = self.with_files_stored(&snapshot.session, command).await?;
        let outcome = self.shared.decide_and_commit(snapshot, command).await;
        match &outcome {
            Ok(()) => {}
            Err(SubmitError::Store(error)) if may_have_happened(error) => self.shared.look_later(id),
            Err(_) => self.shared.drop_attachments(&attachments).await,
        }
        outcome
    }

    /// The files of a message are durable before it is accepted.
    async fn with_files_stored(
        &self,
        session: &Session,
        command: Command,
    ) -> Result<(Command, Vec<Attachment>), SubmitError> {
        let Command::Message(mut messages) = command else { return Ok((command, Vec::new())) };
        let mut attachments = Vec::new();
        if carry_bytes(&messages) {
            // What the rules refuse now must not leave files behind.
            session.command(Command::Message(messages.clone()), self.shared.clock.now())?;
            attachments = detach(session.id, &mut messages, || self.shared.clock.id());
            self.shared.store_attachments(&attachments).await?;
        }
        Ok((Command::Message(messages), attachments))
    }
}
