//! Feedback on a session, and links that show it to anybody.

use super::{Sessions, visibility::View};
use crate::{
    SubmitError,
    shared::{EVENTS_AT_ONCE, ReadPermits},
};
use quarterdeck_api::{Feedback, SessionId};
use quarterdeck_store::{Caller, Error, Rated, Rating, SessionRecord, Share, Store};
use serde_json::value::RawValue;
use std::{fmt::Write as _, sync::Arc};

/// A session that somebody came to by its link. Cheap to clone.
#[derive(Clone)]
pub struct SharedSession {
    /// The session as it stands.
    pub record: Arc<SessionRecord>,
    store: Arc<dyn Store>,
    reads: Arc<ReadPermits>,
}

impl Sessions {
    /// Stores what the caller says of a session, in the place of what was said before.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn rate(&self, caller: Caller, id: SessionId, feedback: Feedback) -> Result<(), SubmitError> {
        self.own(caller, id).await?;
        self.store_rating(caller, Rated::Session(id), feedback).await
    }

    /// The same of one event.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn rate_event(
        &self,
        caller: Caller,
        id: SessionId,
        index: i64,
        feedback: Feedback,
    ) -> Result<(), SubmitError> {
        let snapshot = self.own(caller, id).await?;
        match u64::try_from(index) {
            Ok(index) if index < snapshot.session.log_length => {
                self.store_rating(caller, Rated::Event(id, index), feedback).await
            }
            Ok(_) | Err(_) => Err(SubmitError::NoEvent(id, index)),
        }
    }

    async fn store_rating(&self, caller: Caller, rated: Rated, feedback: Feedback) -> Result<(), SubmitError> {
        let rating = Rating { feedback, author: caller.user, at: self.shared.clock.now() };
        Ok(self.shared.store.rate(rated, rating).await?)
    }

    /// Makes a session readable to everybody. Returns the token of its link: the same one for as long as it is shared.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn share(&self, caller: Caller, id: SessionId) -> Result<String, SubmitError> {
        self.own(caller, id).await?;
        let clock = &self.shared.clock;
        let share = Share { session: id, token: token(clock.random()), author: caller.user, at: clock.now() };
        Ok(self.shared.store.share(share).await?)
    }

    /// Ends that, at once and for good: the next link is another one.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn unshare(&self, caller: Caller, id: SessionId) -> Result<(), SubmitError> {
        self.own(caller, id).await?;
        Ok(self.shared.store.unshare(id).await?)
    }

    /// The session that a link's token leads to, if it still does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn shared(&self, token: &str) -> Result<Option<SharedSession>, Error> {
        let store = &self.shared.store;
        let Some(id) = store.session_of_share(token).await? else { return Ok(None) };
        let record = store.record(id).await?;
        let without_causes =
            |record: SessionRecord| SessionRecord { session: record.session.without_causes(), ..record };
        let record = record.map(|record| Arc::new(without_causes(record)));
        let reads = Arc::clone(&self.shared.reads);
        Ok(record.map(|record| SharedSession { record, store: Arc::clone(store), reads }))
    }
}

impl SharedSession {
    /// Some of its events from an index on, as others see them; none when that is past the log as it stood when
    /// the session was read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(&self, from: u64) -> Result<Vec<Arc<RawValue>>, Error> {
        let session = &self.record.session;
        let limit = session.log_length.saturating_sub(from).min(EVENTS_AT_ONCE);
        let _permit = self.reads.acquire(session.organization).await?;
        let events = self.store.events(session.id, from, limit).await?;
        Ok(View::Public.of_all(events.into_iter().map(|event| event.json).collect()))
    }
}

fn token(random: [u8; 32]) -> String {
    random.iter().fold(String::with_capacity(2 * random.len()), |mut token, byte| {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}
