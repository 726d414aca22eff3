//! Feedback and shares.

use super::MemoryStore;
use async_trait::async_trait;
use quarterdeck_api::SessionId;
use quarterdeck_store::{Error, Rated, Rating, Share, Sharing};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What was said and shared.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By session, and by event where one was rated.
    ratings: BTreeMap<(Uuid, Option<u64>), Rating>,
    shares: BTreeMap<Uuid, Share>,
}

fn place(rated: Rated) -> (Uuid, Option<u64>) {
    match rated {
        Rated::Session(session) => (session.0, None),
        Rated::Event(session, index) => (session.0, Some(index)),
    }
}

#[async_trait]
impl Sharing for MemoryStore {
    async fn rate(&self, rated: Rated, rating: Rating) -> Result<(), Error> {
        self.tables()?.said.ratings.insert(place(rated), rating);
        Ok(())
    }

    async fn rating(&self, rated: Rated) -> Result<Option<Rating>, Error> {
        Ok(self.tables()?.said.ratings.get(&place(rated)).cloned())
    }

    async fn share(&self, share: Share) -> Result<String, Error> {
        let mut tables = self.tables()?;
        Ok(tables.said.shares.entry(share.session.0).or_insert(share).token.clone())
    }

    async fn unshare(&self, session: SessionId) -> Result<(), Error> {
        self.tables()?.said.shares.remove(&session.0);
        Ok(())
    }

    async fn is_public(&self, session: SessionId) -> Result<bool, Error> {
        Ok(self.tables()?.said.shares.contains_key(&session.0))
    }

    async fn session_of_share(&self, token: &str) -> Result<Option<SessionId>, Error> {
        let tables = self.tables()?;
        Ok(tables.said.shares.values().find(|share| share.token == token).map(|share| share.session))
    }
}
