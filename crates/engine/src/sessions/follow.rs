//! The long poll: what is new in a session's log, now or as soon as there is something.

use super::{Sessions, visibility::View};
use crate::{
    SubmitError,
    meter::{self, Present, WAITERS},
    notifier::{Snapshot, Watch},
    shared::STORE_RETRY_INTERVAL,
};
use futures_util::FutureExt;
use quarterdeck_api::SessionId;
use quarterdeck_core::Session;
use quarterdeck_store::Caller;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Events in one answer at most; who wants more asks again.
const EVENTS_MAX: u64 = 10_000;

/// What a poll asks for.
#[derive(Clone, Copy, Debug)]
pub struct ChangesQuery {
    /// The first index wanted.
    pub from: u64,
    /// At most so many events.
    pub limit: Option<u64>,
    /// Whether the events themselves are wanted, or only where the session stands.
    pub include_events: bool,
    /// How long to wait for something new.
    pub wait: Duration,
}

/// What is new.
pub struct Changes {
    /// Where the session stands.
    pub session: Arc<Session>,
    /// The events from `ChangesQuery::from` on.
    pub events: Vec<Arc<RawValue>>,
}

/// What a poll finds.
enum Look {
    /// Its answer.
    Answer(Option<Changes>),
    /// Something to wait for.
    Nothing,
}

impl Sessions {
    /// What is new since an index; none when nothing is by the end of the wait.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn changes(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        query: ChangesQuery,
    ) -> Result<Option<Changes>, SubmitError> {
        // Subscribed before it is read: what is committed in between is not missed.
        let watch = self.shared.notifier.watch(id);
        let (_, view) = self.find(caller, id).await?;
        let changes = self.next_changes(watch, query).await?;
        if view == View::Own {
            return Ok(changes.map(|changes| Changes { events: view.of_all(changes.events), ..changes }));
        }
        // The share may have ended during the wait.
        let (_, view) = self.find(caller, id).await?;
        Ok(changes
            .map(|changes| Changes { session: view.of_session(changes.session), events: view.of_all(changes.events) }))
    }

    async fn next_changes(&self, mut watch: Watch, query: ChangesQuery) -> Result<Option<Changes>, SubmitError> {
        let deadline = Instant::now() + query.wait;
        let draining = self.shared.draining.clone();
        let mut waiting = None;
        loop {
            let news = match self.look(&mut watch, query).await {
                Ok(Look::Answer(changes)) => return Ok(changes),
                Ok(Look::Nothing) => watch.changed().map(|()| true).boxed(),
                // Who waits has the time.
                Err(SubmitError::Store(error)) if error.is_transient() && Instant::now() < deadline => {
                    sleep(STORE_RETRY_INTERVAL).map(|()| false).boxed()
                }
                Err(error) => return Err(error),
            };
            waiting.get_or_insert_with(|| Present::new(WAITERS));
            tokio::select! {
                biased;
                in_time = timeout_at(deadline, news) => match in_time {
                    Ok(true) => meter::woken(),
                    Ok(false) => {}
                    Err(_) => return Ok(None),
                },
                () = draining.cancelled() => return Ok(None),
            }
        }
    }

    /// What was read a moment ago is in the watch, or something newer.
    async fn look(&self, watch: &mut Watch, query: ChangesQuery) -> Result<Look, SubmitError> {
        let id = watch.id();
        let snapshot = match watch.snapshot_and_update() {
            Some(snapshot) => snapshot,
            None => self.shared.load(id).await?.ok_or(SubmitError::NotFound(id))?,
        };
        let over = snapshot.session.state.status().is_terminal();
        if over || query.wait.is_zero() || snapshot.session.log_length > query.from {
            return Ok(Look::Answer(self.news(snapshot, query).await?));
        }
        Ok(Look::Nothing)
    }

    async fn news(&self, snapshot: Snapshot, query: ChangesQuery) -> Result<Option<Changes>, SubmitError> {
        let available = snapshot.session.log_length.saturating_sub(query.from);
        if available == 0 {
            return Ok(None);
        }
        let wanted = if query.include_events { query.limit.unwrap_or(EVENTS_MAX).min(EVENTS_MAX) } else { 0 };
        let events = self.events_of(&snapshot, query.from, wanted.min(available)).await?;
        Ok(Some(Changes { session: snapshot.session, events }))
    }

    async fn events_of(&self, snapshot: &Snapshot, from: u64, count: u64) -> Result<Vec<Arc<RawValue>>, SubmitError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if let Some(events) = snapshot.events_from(from) {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            return Ok(events.iter().take(count).map(|event| Arc::clone(&event.json)).collect());
        }
        // Apart, since whoever waits for news holds the room that this takes.
        Box::pin(self.stored_events(&snapshot.session, from, count)).await
    }

    async fn stored_events(&self, session: &Session, from: u64, count: u64) -> Result<Vec<Arc<RawValue>>, SubmitError> {
        let _permit = self.shared.reads.acquire(session.organization).await?;
        let events = self.shared.store.events(session.id, from, count).await?;
        Ok(events.into_iter().map(|event| event.json).collect())
    }
}
