//! Where time, ids and randomness come from: one place, so that tests can put their own.

use futures_util::future::BoxFuture;
use quarterdeck_api::{OrganizationId, Timestamp};
use uuid::Uuid;

/// Tells the time, and makes ids and secrets.
pub trait Clock: Send + Sync + 'static {
    /// Now, in whole microseconds: that is what every store keeps.
    fn now(&self) -> Timestamp;

    /// A new id; ids made later sort later.
    fn id(&self) -> Uuid;

    /// A new id for something of an organization's.
    fn id_in(&self, _organization: OrganizationId) -> Uuid {
        self.id()
    }

    /// Returns once it is that late.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep((moment - self.now()).to_std().unwrap_or_default()))
    }

    /// 256 random bits that nobody can guess.
    fn random(&self) -> [u8; 32] {
        rand::random()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = chrono::Utc::now();
        Timestamp::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes ids")]
    fn id(&self) -> Uuid {
        // An id holds the time since 1970, and making one panics before.
        if self.now() < Timestamp::UNIX_EPOCH { Uuid::new_v4() } else { Uuid::now_v7() }
    }
}
