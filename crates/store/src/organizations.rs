//! Organizations, as operators see them.

use crate::{Error, SlotUsage};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp};
use uuid::Uuid;

/// An organization to store.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How many sessions it may have at once; none: as many as the server says.
    pub limit: Option<u64>,
    /// Now.
    pub created_at: Timestamp,
}

/// An organization, and how much it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// How many users it has.
    pub users: u64,
    /// How many keys of it work.
    pub keys: u64,
    /// Its sessions, and its own limit.
    pub slot_usage: SlotUsage,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who may use the server, and how much: for operators. Every method is atomic.
#[async_trait]
pub trait Organizations: Send + Sync + 'static {
    /// Makes an organization; false when there is one of this name.
    async fn create_organization(&self, organization: NewOrganization) -> Result<bool, Error>;

    /// All organizations, by name.
    async fn organizations(&self) -> Result<Vec<Organization>, Error>;

    /// Gives an organization a limit of its own, or takes it away; false when there is none of this name.
    async fn limit_organization(&self, name: &str, limit: Option<u64>) -> Result<bool, Error>;
}
