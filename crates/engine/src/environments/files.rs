//! The files of a session, for its environments.

use crate::{
    media::blob_at,
    shared::{EVENTS_AT_ONCE, Shared},
};
use async_trait::async_trait;
use quarterdeck_api::{EventData, SessionId};
use quarterdeck_core::CallError;
use quarterdeck_environments::{SessionFile, SessionFiles};
use quarterdeck_store::Error;
use std::{fmt, sync::Arc};

/// What was attached to a session's messages, and what its agent brought into it.
pub(super) struct AttachedFiles {
    pub(super) shared: Arc<Shared>,
    pub(super) session: SessionId,
}

impl fmt::Debug for AttachedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AttachedFiles").field(&self.session).finish()
    }
}

/// A file as the log names it.
struct Named {
    name: String,
    media_type: String,
    url: String,
}

#[async_trait]
impl SessionFiles for AttachedFiles {
    async fn read(&self, name: &str) -> Result<Option<SessionFile>, CallError> {
        let unreadable = |error: Error| {
            tracing::warn!(session.id = %self.session, %error, "a file of the session cannot be read");
            CallError("the session's files cannot be read right now; try again".into())
        };
        let Some(Named { name, media_type, url }) = self.find(name).await.map_err(unreadable)? else { return Ok(None) };
        let Some(blob) = blob_at(self.session, &url) else { return Ok(None) };
        let bytes = self.shared.blobs.get(&blob).await.map_err(unreadable)?;
        Ok(bytes.map(|bytes| SessionFile { name, media_type, bytes }))
    }
}

impl AttachedFiles {
    async fn find(&self, wanted: &str) -> Result<Option<Named>, Error> {
        let mut found = None;
        let mut from = 0;
        loop {
            let events = self.shared.store.events(self.session, from, EVENTS_AT_ONCE).await?;
            if events.is_empty() {
                return Ok(found);
            }
            from += events.len() as u64;
            let attachments = events.iter().filter(|event| &*event.type_name == "AttachmentEvent");
            let mut named = attachments.filter_map(|event| named(event.json.get()));
            found = named.rfind(|file| file.name == wanted || file.url == wanted).or(found);
        }
    }
}

fn named(json: &str) -> Option<Named> {
    let Ok(EventData::Attachment { name, media_type, url, .. }) = serde_json::from_str(json) else { return None };
    Some(Named { name, media_type, url })
}
