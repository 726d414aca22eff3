//! Pictures that agents are shown. Their bytes become blobs before the event is written that shows them, so that
//! neither the log nor any answer carries them; a model gets them back by their address.

use super::{address, blob_at, ending_of};
use crate::shared::Shared;
use async_trait::async_trait;
use bytes::Bytes;
use quarterdeck_agent::Media;
use quarterdeck_api::{AgentEvent, ImageContent, SessionId, SourceType};
use quarterdeck_core::Report;
use quarterdeck_store::{BlobClass, Blobs, Error};
use std::fmt;

/// Pictures of one session that are kept; beyond them its agent sees words only.
const PICTURES_MAX: u64 = 2_000;
/// Tries to keep one.
const TRIES: usize = 2;

impl Shared {
    /// A report that carries no bytes of pictures: they are kept, and stand there by their address. A picture that
    /// cannot be kept is left out, and the agent is told.
    pub(crate) async fn with_picture_kept(&self, session: SessionId, report: Report) -> Report {
        let Report::Observed(AgentEvent::ObservationEvent { source, text, image: Some(image), metadata }) = report
        else {
            return report;
        };
        let known = self.notifier.snapshot(session).map_or(0, |snapshot| snapshot.session.pictures);
        let kept = if known < PICTURES_MAX { self.keep_picture(session, image).await } else { Err(TOO_MANY) };
        let (text, image) = match kept {
            Ok(image) => (text, Some(image)),
            Err(note) => (Some(text.map_or_else(|| note.to_owned(), |text| format!("{text}\n{note}"))), None),
        };
        Report::Observed(AgentEvent::ObservationEvent { source, text, image, metadata })
    }

    async fn keep_picture(&self, session: SessionId, image: ImageContent) -> Result<ImageContent, &'static str> {
        let Some(bytes) = image.bytes().map(Bytes::from) else { return Ok(image) };
        let ending = image.media_type.as_deref().and_then(ending_of).ok_or(NOT_KEPT)?;
        let (name, source) =
            address(session, BlobClass::Screenshots, &format!("{}.{ending}", self.clock.id().simple()));
        let name = name.ok_or(NOT_KEPT)?;
        for _ in 0..TRIES {
            match self.blobs.put(&name, bytes.clone()).await {
                Ok(()) => return Ok(ImageContent { source_type: SourceType::Url, source, ..image }),
                Err(error) => tracing::warn!(session.id = %session, %error, "a picture could not be kept"),
            }
        }
        Err(NOT_KEPT)
    }
}

const TOO_MANY: &str = "(There is a picture, but this session has shown as many as can be kept.)";
const NOT_KEPT: &str = "(There is a picture, but it could not be kept.)";

/// The pictures of one session. It holds no more of the engine than the blobs, so that who keeps it keeps no engine.
pub(crate) struct SessionPictures {
    pub(crate) blobs: Blobs,
    pub(crate) session: SessionId,
}

impl fmt::Debug for SessionPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionPictures").field(&self.session).finish()
    }
}

#[async_trait]
impl Media for SessionPictures {
    async fn picture(&self, source: &str) -> Option<Bytes> {
        let name = blob_at(self.session, source)?;
        let warn = |error: Error| tracing::warn!(session.id = %self.session, %error, "a picture cannot be read");
        self.blobs.get(&name).await.map_err(warn).ok().flatten()
    }
}
