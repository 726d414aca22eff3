//! API keys: how one is made, and who it belongs to.

use quarterdeck_store::{Caller, Error, KeyHash, Store};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// How every key begins.
pub const API_KEY_PREFIX: &str = "hk-";

/// Keys remembered at once.
const CACHE_CAPACITY: u64 = 10_000;

/// A key from 256 random bits.
pub fn new_key(random: [u8; 32]) -> String {
    format!("{API_KEY_PREFIX}{}", new_token(random))
}

/// What a browser shows in place of a key, from 256 random bits.
pub fn new_token(random: [u8; 32]) -> String {
    random.iter().fold(String::new(), |mut token, byte| {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// What is stored of a token.
pub fn sha256(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// What is stored of a key. It is random and long, so a fast hash is enough, and comparing hashes tells an
/// attacker nothing about the key.
pub fn key_hash(key: &[u8]) -> KeyHash {
    KeyHash(sha256(key))
}

/// Who keys belong to, remembered for a moment.
#[derive(Clone)]
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    known: moka::sync::Cache<[u8; 32], Caller>,
}

impl Keys {
    pub(crate) fn new(store: Arc<dyn Store>, remember: Duration) -> Self {
        let known = moka::sync::Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(remember).build();
        Self { store, known }
    }

    pub(crate) async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>, Error> {
        if let Some(caller) = self.known.get(&hash.0) {
            return Ok(Some(caller));
        }
        let caller = self.store.caller(hash).await?;
        if let Some(caller) = caller {
            self.known.insert(hash.0, caller);
        }
        Ok(caller)
    }
}
