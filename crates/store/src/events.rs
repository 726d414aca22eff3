//! What has happened in a session, and the messages that are not in its log yet.

use crate::{Error, Listing};
use async_trait::async_trait;
use quarterdeck_api::{SessionId, UserMessage};
use quarterdeck_core::LoggedEvent;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Which events to page through.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only this type.
    pub type_name: Option<String>,
    /// Newest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: i64,
    /// How many to return.
    pub limit: i64,
}

/// The logs and inboxes of all sessions.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Events from an index on, at most `limit`: as many as take some megabytes, and at least one if there is one.
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>, Error>;

    /// A page of events: all that are asked for, or as many as take 32 MiB, and at least one if there is one.
    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<Listing<Arc<RawValue>>, Error>;

    /// Messages of the inbox from a number on, in order: all, or as many as take a few megabytes, and at least one.
    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>, Error>;
}
