//! Conversations of sessions at work, kept from one step to the next: what is new is added, and nothing else is written
//! again. They only save work; what is not here, or does not fit any more, is built anew from the transcript.

use crate::chat::{Chat, Shown};
use moka::sync::Cache;
use quarterdeck_api::{AgentEvent, SessionId};
use std::{sync::Arc, time::Duration};

/// Bytes that all of them may have together, about: each stands here as words and as it is sent.
const ROOM: u64 = 128 * 1024 * 1024;
/// How long one stays after its last step.
const IDLE_TTL: Duration = Duration::from_mins(2);

/// The conversations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Conversations(Cache<SessionId, Arc<Chat>>);

impl Conversations {
    pub(crate) fn new() -> Self {
        let weight = |_: &SessionId, chat: &Arc<Chat>| u32::try_from(2 * chat.weight()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(ROOM).weigher(weight).time_to_idle(IDLE_TTL).build())
    }

    /// The conversation of a session's transcript, as it is told to a model now.
    pub(crate) fn of(&self, session: SessionId, shown: Shown, transcript: &[Arc<AgentEvent>]) -> Chat {
        let earlier = self.0.remove(&session).map(Arc::unwrap_or_clone);
        let chat = Chat::after(earlier, shown, transcript);
        let told = chat.clone().closed();
        self.0.insert(session, Arc::new(chat));
        told
    }
}
