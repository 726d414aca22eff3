//! One server process: an engine, and its connection to the store with everything that may go wrong on it.

use crate::{
    clock::{SkewedClock, Time},
    runner::SeededRunner,
};
use quarterdeck_engine::{Engine, EngineSettings, Sessions};
use quarterdeck_store::{Blobs, ReplicaId, Store};
use quarterdeck_test_support::{
    faulty_store::{Faults, FaultyStore, Link, Odds},
    memory_store::MemoryStore,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(crate) struct Replica {
    pub(crate) engine: Engine,
    pub(crate) faults: Arc<Faults>,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) door: Door,
}

/// What clients have of a replica.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) number: usize,
    pub(crate) sessions: Sessions,
    /// Cancelled when the process is no more: connections break.
    pub(crate) gone: CancellationToken,
}

impl Replica {
    /// Starts one, as soon as the store lets it.
    pub(crate) async fn start(
        number: usize,
        seed: u64,
        (store, time): (&MemoryStore, &Arc<Time>),
        runner: Arc<SeededRunner>,
        (settings, odds, skew_ms): (EngineSettings, Odds, i64),
    ) -> Self {
        let faults = Arc::new(Faults::new(seed));
        faults.draw(odds);
        loop {
            let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::new(store.connect()), Arc::clone(&faults)));
            let clock = Arc::new(SkewedClock::new(Arc::clone(time), skew_ms));
            let (hands, wall) = (Arc::clone(&runner), Arc::clone(&clock));
            match Engine::start(store, Blobs::in_memory(), hands, wall, settings.clone()).await {
                Ok(engine) => {
                    let door = Door { number, sessions: engine.sessions(), gone: CancellationToken::new() };
                    return Self { engine, faults, clock, door };
                }
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    pub(crate) fn id(&self) -> Option<ReplicaId> {
        self.clock.first_id().map(ReplicaId)
    }

    /// Ends without a word. Nothing of it reaches the store any more, or comes back from there, so that whatever its
    /// tasks would still do, wherever they stand, is seen by nobody.
    pub(crate) fn kill(self) {
        self.faults.set_link(Link::Hung);
        self.door.gone.cancel();
    }

    /// Stops in an orderly way.
    pub(crate) async fn stop(self) {
        self.engine.stop().await;
        self.door.gone.cancel();
    }
}
