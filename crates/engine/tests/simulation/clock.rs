//! Time and ids of a replica: tokio's clock, which tests may stop, and a wall that need not agree with others'.

use chrono::{DateTime, TimeDelta};
use quarterdeck_api::Timestamp;
use quarterdeck_engine::Clock;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use tokio::time::Instant;
use uuid::Uuid;

/// What all replicas have in common.
#[derive(Debug)]
pub(crate) struct Time {
    begun: Instant,
    ticks: AtomicU64,
}

impl Time {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), ticks: AtomicU64::new(0) })
    }

    /// No two readings are the same, as on real machines: equal events are the same event.
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    /// The true time, in whole milliseconds.
    pub(crate) fn wall(&self) -> Timestamp {
        noon() + TimeDelta::milliseconds(i64::try_from(self.begun.elapsed().as_millis()).unwrap())
    }

    pub(crate) fn seconds(&self, at: Instant) -> f64 {
        (at - self.begun).as_secs_f64()
    }
}

#[derive(Debug)]
pub(crate) struct SkewedClock {
    time: Arc<Time>,
    skew_ms: AtomicI64,
    first_id: OnceLock<Uuid>,
}

impl SkewedClock {
    pub(crate) fn new(time: Arc<Time>, skew_ms: i64) -> Self {
        Self { time, skew_ms: AtomicI64::new(skew_ms), first_id: OnceLock::new() }
    }

    /// The first id that was made: an engine's own.
    pub(crate) fn first_id(&self) -> Option<Uuid> {
        self.first_id.get().copied()
    }

    pub(crate) fn jump_to(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}

fn noon() -> Timestamp {
    DateTime::from_timestamp(1_767_268_800, 0).unwrap()
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let tick = i64::try_from(self.time.tick() % 1_000).unwrap();
        self.time.wall() + TimeDelta::milliseconds(self.skew_ms.load(Ordering::Relaxed)) + TimeDelta::microseconds(tick)
    }

    fn id(&self) -> Uuid {
        let milliseconds = self.time.begun.elapsed().as_millis();
        let id = Uuid::from_u128(milliseconds << 80 | 0x7 << 76 | 0x8 << 60 | u128::from(self.time.tick()));
        self.first_id.get_or_init(|| id);
        id
    }

    fn random(&self) -> [u8; 32] {
        [0; 32]
    }
}
