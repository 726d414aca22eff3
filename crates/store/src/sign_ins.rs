//! Browsers that are signed in with a key, and links that sign one in. A sign-in is worth as much as its key, and ends
//! with it.

use crate::{Caller, Error, KeyHash};
use async_trait::async_trait;
use chrono::TimeDelta;
use quarterdeck_api::Timestamp;
use uuid::Uuid;

/// How long a browser stays signed in after its last request.
pub const SIGN_IN_IDLE_TTL: TimeDelta = TimeDelta::days(7);
/// How long a browser stays signed in at most.
pub const SIGN_IN_TTL: TimeDelta = TimeDelta::days(30);
/// How long a link works.
pub const LINK_TTL: TimeDelta = TimeDelta::minutes(10);
/// Browsers that are signed in with one key at once; the one that was used longest ago goes.
pub const SIGN_INS_PER_KEY: u32 = 32;
/// How long after its last request a browser's next one is noted: not each request writes.
pub(crate) const USE_INTERVAL: TimeDelta = TimeDelta::hours(1);

/// The SHA-256 of what a browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// What somebody shows to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A key.
    Key(KeyHash),
    /// A link, which works once.
    Link(TokenHash),
    /// Nothing: the operator says that it is for this key.
    Operator(Uuid),
}

/// Who a browser is signed in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who calls.
    pub caller: Caller,
    /// The key's id.
    pub key_id: Uuid,
    /// What the key is recognized by.
    pub key_prefix: String,
    /// The organization's name.
    pub organization: String,
    /// The user's name.
    pub user: String,
}

/// Sign-ins of all keys. Nothing of it tells secrets: they are random and long, so a fast hash is enough.
#[async_trait]
pub trait SignIns: Send + Sync + 'static {
    /// Signs a browser in, that shows `token` from now on; false when the proof is worth nothing.
    async fn sign_in(&self, proof: Proof, token: TokenHash, now: Timestamp) -> Result<bool, Error>;

    /// Makes a link that signs a browser in once, in place of the key; false when there is no such key.
    async fn link_to_sign_in(&self, key: Uuid, token: TokenHash, now: Timestamp) -> Result<bool, Error>;

    /// Who shows this token; none when it has ended, or its key is revoked.
    async fn signed_in(&self, token: TokenHash, now: Timestamp) -> Result<Option<SignedIn>, Error>;

    /// Ends a sign-in; none is no fault.
    async fn sign_out(&self, token: TokenHash) -> Result<(), Error>;

    /// Ends all sign-ins of a key, and its links.
    async fn sign_out_everywhere(&self, key: Uuid) -> Result<(), Error>;
}
