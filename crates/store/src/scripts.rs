//! What sessions play in a model's place, and what only a test asks for: to be rid of everything.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId};

/// Scripts by their hash, and clean slates.
#[async_trait]
pub trait Scripts: Send + Sync + 'static {
    /// Keeps a script; keeping the same one again changes nothing.
    async fn keep_script(&self, hash: &str, script: &str) -> Result<(), Error>;

    /// The script with this hash.
    async fn script(&self, hash: &str) -> Result<Option<String>, Error>;

    /// Removes all sessions of an organization with everything that belongs to them, whatever they are at, and its
    /// idempotency keys. Returns which sessions these were.
    async fn remove_sessions(&self, organization: OrganizationId) -> Result<Vec<SessionId>, Error>;
}
