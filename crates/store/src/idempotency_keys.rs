//! Replay protection: a creation that is sent again creates nothing, and is answered as before.

use crate::{Creation, Error};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp};

/// Replay protection of a creation.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the request's body.
    pub request_hash: [u8; 32],
    /// What creation answers with, to be repeated word for word.
    pub response: String,
}

/// The idempotency keys of all organizations.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync + 'static {
    /// What a creation under this key was answered in the last 24 hours: [`Creation::Replayed`], or with another hash
    /// of the request [`Creation::KeyReused`].
    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>, Error>;
}
