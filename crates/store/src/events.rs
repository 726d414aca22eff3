//! What has happened in a session, and the messages that are not in its log yet.

use crate::{Error, ListPage};
use async_trait::async_trait;
use quarterdeck_api::{SessionId, UserMessage};
use quarterdeck_core::LoggedEvent;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Characters of events that are read at once, unless one alone has more.
pub const LOG_PORTION: u32 = 16 * 1024 * 1024;
/// Characters of messages that are read at once, unless one alone has more.
pub const INBOX_PORTION: u32 = 4 * 1024 * 1024;
/// Bytes of events on a page, unless one alone has more.
pub const EVENTS_PAGE_MAX: usize = 32 * 1024 * 1024;

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
    /// Events from an index on, at most `limit`: as many as fit in [`LOG_PORTION`], and at least one if there is one.
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>, Error>;

    /// A page of events: all that are asked for, or as many as fit in [`EVENTS_PAGE_MAX`], and at least one if there is
    /// one.
    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<ListPage<Arc<RawValue>>, Error>;

    /// Messages of the inbox from a number on, in order: as many as fit in [`INBOX_PORTION`], and at least one.
    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>, Error>;
}
