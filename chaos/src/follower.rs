//! A client that follows a session by `changes`, whatever dies.

use crate::{
    client::{Client, Outcome},
    log::{Changes, Event},
    world::World,
};
use anyhow::{Context, Result, bail};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How long a poll waits.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Events in the order they were seen; each index once.
pub(crate) struct Follower {
    world: Arc<World>,
    client: Client,
    pub(crate) id: String,
    pub(crate) log: Vec<Event>,
    pub(crate) status: String,
}

impl Follower {
    pub(crate) fn new(world: &Arc<World>, id: &str, seed: u64) -> Self {
        let client = Client::new(Arc::clone(world), seed);
        Self { world: Arc::clone(world), client, id: id.to_owned(), log: Vec::new(), status: String::new() }
    }

    /// Follows until this holds.
    ///
    /// # Errors
    /// When the time of the run is over, or the server breaks the protocol.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> Result<()> {
        while !holds(self) {
            self.world.check_time(&format!("session {} is {:?}; waited for: {what}", self.id, self.status))?;
            self.poll().await?;
        }
        Ok(())
    }

    /// Follows to the end of the session.
    pub(crate) async fn until_ended(&mut self) -> Result<()> {
        self.until("its end", Self::has_ended).await
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.log.last().is_some_and(Event::is_end)
    }

    async fn poll(&mut self) -> Result<()> {
        let next = self.log.len();
        let path = format!(
            "/api/v2/sessions/{}/changes?from_index={next}&wait_for_seconds={}",
            self.id,
            POLL_TIMEOUT.as_secs()
        );
        let asked = Instant::now();
        match self.client.get(&path, POLL_TIMEOUT).await {
            Outcome::Answered(200, body) => self.take(serde_json::from_slice(&body).context("changes")?),
            Outcome::Answered(204, _) => {
                if asked.elapsed() < RETRY_INTERVAL {
                    self.client.back_off().await; // the server is about to stop
                }
                Ok(())
            }
            Outcome::Answered(status, body) => {
                bail!("changes of {} answered {status}: {}", self.id, String::from_utf8_lossy(&body))
            }
            Outcome::Later | Outcome::Lost => {
                self.world.counts.retries.fetch_add(1, Ordering::Relaxed);
                self.client.back_off().await;
                Ok(())
            }
        }
    }

    fn take(&mut self, changes: Changes) -> Result<()> {
        if changes.first_index != self.log.len() {
            bail!("session {}: asked from {}, got from {}", self.id, self.log.len(), changes.first_index);
        }
        for event in &changes.new_events {
            self.log.push(Event::read(event).with_context(|| format!("an event of {}", self.id))?);
        }
        self.status = changes.status;
        Ok(())
    }
}
