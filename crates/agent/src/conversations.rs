//! Conversations of sessions at work, kept from one step to the next: what is new is added, and nothing else is written
//! again. They only save work; what is not here, or does not fit any more, is built anew from the transcript.

use crate::chat::{Chat, Shown};
use moka::{policy::EvictionPolicy, sync::Cache};
use quarterdeck_api::{AgentEvent, SessionId};
use std::{sync::Arc, time::Duration};

/// Bytes that all of them may have together, about. Those that were not asked for longest go first.
const ROOM: u64 = 128 * 1024 * 1024;
/// How long one stays after its last step.
const IDLE_TTL: Duration = Duration::from_mins(2);

/// The conversations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Conversations(Cache<SessionId, Arc<Chat>>);

impl Conversations {
    pub(crate) fn new() -> Self {
        Self::kept_for(IDLE_TTL)
    }

    fn kept_for(ttl: Duration) -> Self {
        let weight = |_: &SessionId, chat: &Arc<Chat>| u32::try_from(chat.bytes()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(ROOM).weigher(weight).eviction_policy(EvictionPolicy::lru());
        Self(cache.time_to_idle(ttl).build())
    }

    /// The conversation of a session's transcript, as it is told to a model now.
    pub(crate) fn of(&self, session: SessionId, shown: Shown, transcript: &[Arc<AgentEvent>]) -> Chat {
        let earlier = self.0.remove(&session).map(Arc::unwrap_or_clone);
        let chat = Chat::after(earlier, shown, transcript);
        let told = chat.clone().closed();
        self.0.insert(session, Arc::new(chat));
        told
    }

    /// Drops those past their time.
    pub(crate) fn let_go(&self) {
        self.0.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gallery::Gallery, testing::events};
    use serde_json::json;

    #[test]
    fn a_conversation_goes_though_nobody_asks_for_another() {
        let (conversations, session) =
            (Conversations::kept_for(Duration::from_millis(50)), SessionId(uuid::Uuid::nil()));
        let shown = Shown { system: String::new(), output_max_chars: 100, gallery: Arc::default() };
        drop(conversations.of(session, shown, &[]));
        let kept = Arc::downgrade(&conversations.0.get(&session).unwrap());
        let began = std::time::Instant::now();
        while kept.strong_count() > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "it is still there");
            std::thread::yield_now();
            conversations.let_go();
        }
    }

    #[test]
    fn pictures_count_with_all_their_bytes() {
        let conversations = Conversations::new();
        let image = json!({"type": "base64", "source": "x".repeat(8 << 20), "media_type": "image/png"});
        let said = json!({"kind": "message_event", "caller_id": "user", "content": [image]});
        let gallery = Arc::new(Gallery { sees: true, ..Gallery::default() });
        for number in 0..40 {
            let id = SessionId(uuid::Uuid::from_u128(number));
            let shown = Shown { system: String::new(), output_max_chars: 100, gallery: Arc::clone(&gallery) };
            assert_eq!(conversations.of(id, shown, &events([said.clone()].iter())).messages().len(), 2);
        }
        conversations.0.run_pending_tasks();
        assert!(conversations.0.weighted_size() <= ROOM);
        assert!((1..=16).contains(&conversations.0.entry_count()), "{}", conversations.0.entry_count());
    }
}
