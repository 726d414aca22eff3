//! What agents remember beyond a session: values by key, in namespaces of an organization.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp};

/// A namespace of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub namespace: String,
}

/// What came of storing a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is stored.
    Stored,
    /// The key is new, and the namespace holds as many as it may. Nothing was stored.
    Full,
}

/// The memories of all organizations. Every method is atomic; what is stored or removed is durable when it returns.
/// Names and keys hold no NUL: not every database keeps that character. Values are JSON text, kept as they are.
#[async_trait]
pub trait Memories: Send + Sync + 'static {
    /// The value of a key.
    async fn recall(&self, memory: &Memory, key: &str) -> Result<Option<String>, Error>;

    /// Stores a value in the place of an earlier one. A new key is refused once there are `entries_max`.
    async fn remember(
        &self,
        memory: &Memory,
        key: &str,
        value: &str,
        entries_max: u32,
        now: Timestamp,
    ) -> Result<Remembered, Error>;

    /// Removes a value; false when there is none.
    async fn forget(&self, memory: &Memory, key: &str) -> Result<bool, Error>;

    /// Keys that begin with `prefix` and stand behind `after`, at most `limit`, in the order of their bytes.
    async fn memory_keys(
        &self,
        memory: &Memory,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error>;
}
