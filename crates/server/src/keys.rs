//! API keys: how one is made, who it belongs to, and when it is revoked.

use quarterdeck_store::{Caller, Error, KeyHash, Store};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

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

type Watched = HashMap<[u8; 32], watch::Receiver<bool>>;

/// Nothing panics while it holds the lock.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who keys belong to, remembered for a moment.
#[derive(Clone)]
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    known: moka::sync::Cache<[u8; 32], Caller>,
    watched: Arc<Mutex<Watched>>,
}

/// How often a key is looked up that an open request depends on.
const KEY_CHECK_INTERVAL: Duration = Duration::from_millis(500);

impl Keys {
    pub(crate) fn new(store: Arc<dyn Store>, remember: Duration) -> Self {
        let known = moka::sync::Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(remember).build();
        Self { store, known, watched: Arc::default() }
    }

    /// Looks a key up anew the next time.
    pub(crate) fn forget(&self, hash: KeyHash) {
        self.known.invalidate(&hash.0);
    }

    /// Returns once the key does not work any more; never before that. However many wait for one key, it is looked up
    /// for all of them together.
    pub(crate) async fn revoked(&self, hash: KeyHash) {
        let mut revoked = self.watch(hash);
        if revoked.wait_for(|revoked| *revoked).await.is_err() {
            // Nobody looks any more, since the server stops.
            std::future::pending::<()>().await;
        }
    }

    fn watch(&self, hash: KeyHash) -> watch::Receiver<bool> {
        let mut watched = lock(&self.watched);
        if let Some(receiver) = watched.get(&hash.0) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(false);
        watched.insert(hash.0, receiver.clone());
        tokio::spawn(self.clone().look_after(hash, sender));
        receiver
    }

    /// Looks a key up for as long as somebody waits.
    async fn look_after(self, hash: KeyHash, sender: watch::Sender<bool>) {
        loop {
            tokio::time::sleep(KEY_CHECK_INTERVAL).await;
            {
                let mut watched = lock(&self.watched);
                // The one that is left is the map's own.
                if sender.receiver_count() <= 1 {
                    watched.remove(&hash.0);
                    return;
                }
            }
            // While the store is away nothing is known of the key.
            if let Ok(None) = self.store.caller(hash).await {
                self.known.invalidate(&hash.0);
                lock(&self.watched).remove(&hash.0);
                sender.send_replace(true);
                return;
            }
        }
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
