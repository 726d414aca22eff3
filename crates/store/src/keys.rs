//! Keys, and who calls with them.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp, UserId};
use uuid::Uuid;

/// Who calls: the organization and user that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The organization; every query is scoped by it.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
}

/// The SHA-256 of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A key to store. The organization and the user are made when they are new.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Ids for the key, and for the organization and user should they be new.
    pub ids: [Uuid; 3],
    /// The organization's name.
    pub organization: String,
    /// The user's name.
    pub user: String,
    /// The key's hash.
    pub hash: KeyHash,
    /// Its first characters, to recognize it by.
    pub prefix: String,
    /// Now.
    pub created_at: Timestamp,
}

/// A stored key, without anything it could be rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: Uuid,
    /// The organization's name.
    pub organization: String,
    /// The user's name.
    pub user: String,
    /// Its first characters.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The keys of all organizations. Every method is atomic.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Who a key belongs to; none when it is unknown or revoked.
    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>, Error>;

    /// Stores a key; storing the same hash again changes nothing.
    async fn create_key(&self, key: NewKey) -> Result<(), Error>;

    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, Error>;

    /// Revokes a key; false when there is none with this id that still works.
    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool, Error>;
}
