//! Permits to read the store. Who asks for much waits for itself first, so that readers of the database are left for others.

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

/// How long a reading waits for its permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Organizations that are remembered before those that do not read are forgotten.
const REMEMBERED: usize = 1_000;

/// The permits of one kind of reading.
#[derive(Debug)]
pub(crate) struct ReadPermits {
    all: Arc<Semaphore>,
    of_one: usize,
    by_organization: Mutex<HashMap<OrganizationId, Arc<Semaphore>>>,
}

/// A permit, for as long as it is held.
#[derive(Debug)]
pub(crate) struct ReadPermit {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl ReadPermits {
    /// So many at once, of all organizations together and of each.
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_one, by_organization: Mutex::default() }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when it does not come in time.
    pub(crate) async fn acquire(&self, organization: OrganizationId) -> Result<ReadPermit, Error> {
        let own = self.of(organization);
        let permit = async {
            let own = own.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(ReadPermit { _of_all: of_all, _own: own })
        };
        timeout(PERMIT_TIMEOUT, permit).await.ok().flatten().ok_or(Error::Overloaded)
    }

    fn of(&self, organization: OrganizationId) -> Arc<Semaphore> {
        let mut known = self.by_organization.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        Arc::clone(known.entry(organization).or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn an_organization_that_reads_much_waits_for_itself() {
        let permits = ReadPermits::new(2, 1);
        let (greedy, other) = (OrganizationId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let held = permits.acquire(greedy).await.unwrap();
        assert!(matches!(permits.acquire(greedy).await, Err(Error::Overloaded)));
        let others = permits.acquire(other).await.unwrap();
        drop(held);
        let again = permits.acquire(greedy).await.unwrap();
        assert!(permits.acquire(OrganizationId(Uuid::from_u128(3))).await.is_err(), "two are at it");
        drop((others, again));
    }
}
