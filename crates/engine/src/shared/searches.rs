//! Searches through texts, which read much. They take turns, so that the readers of the database are left for all else.

use quarterdeck_api::OrganizationId;
use quarterdeck_store::Error;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a search waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Searches of one organization at once.
const OF_ONE: usize = 1;
/// Organizations that are remembered before those that do not search are forgotten.
const REMEMBERED: usize = 1_000;

/// The turns of searches.
#[derive(Debug)]
pub(crate) struct Searches {
    all: Arc<Semaphore>,
    by_organization: Mutex<HashMap<OrganizationId, Arc<Semaphore>>>,
}

/// A turn, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Searches {
    /// So many searches at once, of all organizations together.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), by_organization: Mutex::default() }
    }

    /// Waits for a turn. Whoever searches much waits for itself first.
    pub(crate) async fn turn(&self, organization: OrganizationId) -> Result<Turn, Error> {
        let own = self.of(organization);
        let turn = async {
            let own = own.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn { _of_all: of_all, _own: own })
        };
        timeout(TURN_TIMEOUT, turn).await.ok().flatten().ok_or(Error::Overloaded)
    }

    fn of(&self, organization: OrganizationId) -> Arc<Semaphore> {
        let mut known = self.by_organization.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, searches| Arc::strong_count(searches) > 1);
        }
        Arc::clone(known.entry(organization).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn an_organization_that_searches_much_waits_for_itself() {
        let searches = Searches::new(2);
        let (greedy, other) = (OrganizationId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let held = searches.turn(greedy).await.unwrap();
        assert!(matches!(searches.turn(greedy).await, Err(Error::Overloaded)));
        let others = searches.turn(other).await.unwrap();
        drop(held);
        let again = searches.turn(greedy).await.unwrap();
        assert!(searches.turn(OrganizationId(Uuid::from_u128(3))).await.is_err(), "two are at it");
        drop((others, again));
    }
}
