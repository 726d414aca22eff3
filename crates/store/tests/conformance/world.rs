//! Empty stores.

use quarterdeck_store::Store;
use quarterdeck_test_support::{
    faulty_store::{Faults, FaultyStore},
    memory_store::MemoryStore,
    postgres::{self, Database},
};
use std::{
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// A store of its own, and what holds it up.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) url: String,
    place: Place,
}

#[expect(dead_code, reason = "held so that it is removed with the store")]
enum Place {
    Folder(TempDir),
    Memory,
    Database(Database),
}

impl World {
    /// Closed, and opened again as the next process would.
    pub(crate) async fn reopened(self) -> Self {
        let Self { store, url, place } = self;
        store.close().await;
        drop(store);
        Self { store: open(&url).await, url, place }
    }
}

pub(crate) async fn sqlite_file() -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    World { store: open(&url).await, url, place: Place::Folder(folder) }
}

pub(crate) async fn sqlite_in_memory() -> World {
    let url = "sqlite::memory:".to_owned();
    World { store: open(&url).await, url, place: Place::Memory }
}

pub(crate) async fn postgres() -> World {
    let database = tokio::task::spawn_blocking(postgres::shared).await.unwrap().unwrap();
    let url = database.url().to_owned();
    World { store: open(&url).await, url, place: Place::Database(database) }
}

/// The double that simulations run on: what they prove holds for the others as far as this suite goes.
pub(crate) fn memory() -> Ready<World> {
    ready(World { store: Arc::new(MemoryStore::new()), url: String::new(), place: Place::Memory })
}

/// A store that fails on purpose changes nothing while it does not fail.
pub(crate) async fn faultless() -> World {
    let World { store, url, place } = memory().await;
    World { store: Arc::new(FaultyStore::new(store, Arc::new(Faults::new(0)))), url, place }
}

pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    quarterdeck_store::open(url).await.unwrap()
}

/// No test may hang.
pub(crate) async fn within_a_minute<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), test).await.expect("the test ends within a minute")
}
