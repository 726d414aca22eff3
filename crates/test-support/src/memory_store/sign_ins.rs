//! Browsers that are signed in.

use super::{MemoryStore, tables::Tables};
use async_trait::async_trait;
use quarterdeck_api::Timestamp;
use quarterdeck_store::{
    Error, LINK_TTL, Proof, SIGN_IN_IDLE_TTL, SIGN_IN_TTL, SIGN_INS_PER_KEY, SignIns, SignedIn, TokenHash,
};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(super) struct SignIn {
    token: TokenHash,
    key: Uuid,
    is_link: bool,
    created_at: Timestamp,
    used_at: Timestamp,
}

impl Tables {
    fn add_sign_in(&mut self, key: Uuid, token: TokenHash, is_link: bool, now: Timestamp) -> bool {
        if self.key_in_use(|id, _| id == key).is_none() {
            return false;
        }
        self.sign_ins.retain(|one| one.created_at > now - SIGN_IN_TTL && one.used_at > now - SIGN_IN_IDLE_TTL);
        self.sign_ins.push(SignIn { token, key, is_link, created_at: now, used_at: now });
        let of_key = self.sign_ins.iter().filter(|one| one.key == key).count();
        if of_key > SIGN_INS_PER_KEY as usize {
            let oldest = self.sign_ins.iter().filter(|one| one.key == key).min_by_key(|one| one.used_at);
            let oldest = oldest.map(|one| one.token);
            self.sign_ins.retain(|one| Some(one.token) != oldest);
        }
        true
    }
}

#[async_trait]
impl SignIns for MemoryStore {
    async fn sign_in(&self, proof: Proof, token: TokenHash, now: Timestamp) -> Result<bool, Error> {
        let mut tables = self.tables()?;
        let key = match proof {
            Proof::Operator(key) => Some(key),
            Proof::Key(hash) => tables.key_in_use(|_, known| known == hash).map(|key| key.key_id),
            Proof::Link(link) => {
                let place = tables.sign_ins.iter().position(|one| one.is_link && one.token == link);
                let link = place.map(|place| tables.sign_ins.remove(place));
                link.filter(|link| link.created_at > now - LINK_TTL).map(|link| link.key)
            }
        };
        Ok(key.is_some_and(|key| tables.add_sign_in(key, token, false, now)))
    }

    async fn link_to_sign_in(&self, key: Uuid, token: TokenHash, now: Timestamp) -> Result<bool, Error> {
        Ok(self.tables()?.add_sign_in(key, token, true, now))
    }

    async fn signed_in(&self, token: TokenHash, now: Timestamp) -> Result<Option<SignedIn>, Error> {
        let mut tables = self.tables()?;
        let Some(one) = tables.sign_ins.iter_mut().find(|one| one.token == token && !one.is_link) else {
            return Ok(None);
        };
        if one.created_at <= now - SIGN_IN_TTL || one.used_at <= now - SIGN_IN_IDLE_TTL {
            return Ok(None);
        }
        one.used_at = now;
        let key = one.key;
        Ok(tables.key_in_use(|id, _| id == key))
    }

    async fn sign_out(&self, token: TokenHash) -> Result<(), Error> {
        self.tables()?.sign_ins.retain(|one| one.token != token);
        Ok(())
    }

    async fn sign_out_everywhere(&self, key: Uuid) -> Result<(), Error> {
        self.tables()?.sign_ins.retain(|one| one.key != key);
        Ok(())
    }
}
