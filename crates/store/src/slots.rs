//! How many sessions organizations have, and who waits for a slot.

use crate::{Error, SlotUsage, StoredSession};
use async_trait::async_trait;
use quarterdeck_api::OrganizationId;

/// The queued sessions of all organizations.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    /// How many there are.
    pub waiting: u64,
    /// Those that have a slot free, oldest first.
    pub next: Vec<StoredSession>,
}

/// The slots of all organizations.
#[async_trait]
pub trait Slots: Send + Sync + 'static {
    /// How many sessions an organization has; none for one that is not known.
    async fn slot_usage(&self, organization: OrganizationId) -> Result<SlotUsage, Error>;

    /// How many sessions, of one organization or of all, are in each status that is no end; statuses of none are left out.
    async fn live_sessions(&self, organization: Option<OrganizationId>) -> Result<Vec<(String, u64)>, Error>;

    /// Who waits for a slot, and at most `count` of those that can have one. `default_limit` is for organizations
    /// without a limit of their own.
    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog, Error>;
}
