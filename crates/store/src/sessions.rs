//! Sessions as they are read: one with its request, or a page of many.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId, SessionRequest, Status, Timestamp, UserId};
use quarterdeck_core::Session;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Everything about a session but its log.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its projection.
    pub session: Session,
    /// The resolved request, secrets included.
    pub request: Arc<SessionRequest>,
    /// The catalog revision used.
    pub agent_revision: Option<i64>,
}

/// Which sessions to list. All parts must match.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only these statuses; empty: all.
    pub statuses: Vec<Status>,
    /// Only sessions of these catalog agents; empty: all.
    pub agents: Vec<String>,
    /// Only this label.
    pub group_id: Option<String>,
    /// Only those that work for this session.
    pub parent: Option<SessionId>,
    /// Only those whose first message or answer contains this, case ignored.
    pub search: Option<String>,
    /// Created strictly before.
    pub created_before: Option<Timestamp>,
    /// Created strictly after.
    pub created_after: Option<Timestamp>,
    /// Ended strictly before.
    pub finished_before: Option<Timestamp>,
    /// Ended strictly after.
    pub finished_after: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// How many to skip.
    pub offset: i64,
    /// How many to return.
    pub limit: i64,
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct ListPage<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many match in all.
    pub total: u64,
}

/// One line of a session listing.
#[derive(Clone, Debug)]
pub struct SummaryRow {
    /// Its projection.
    pub session: Session,
    /// The agent's name: the catalog's, or the inline agent's own.
    pub agent: String,
    /// The catalog revision used.
    pub agent_revision: Option<i64>,
    /// The first message as lists show it ([`UserMessage::summary`](quarterdeck_api::UserMessage::summary)), as JSON.
    pub first_message: Option<Box<RawValue>>,
    /// Its label.
    pub group_id: Option<String>,
    /// The session that it works for.
    pub parent: Option<SessionId>,
}

/// All sessions, beyond where they stand.
#[async_trait]
pub trait SessionRecords: Send + Sync + 'static {
    /// A session with its request.
    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>, Error>;

    /// A page of an organization's sessions, without those that cannot be read.
    async fn sessions(
        &self,
        organization: OrganizationId,
        filter: SessionFilter,
    ) -> Result<ListPage<SummaryRow>, Error>;
}
