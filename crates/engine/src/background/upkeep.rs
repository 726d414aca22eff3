//! Removes what is out of date.

use super::reconciler::Reconciler;
use crate::shared::Shared;
use quarterdeck_store::Error;
use std::time::Duration;

/// How often.
const UPKEEP_INTERVAL: Duration = Duration::from_hours(1);

/// The removal of what is out of date.
pub(super) struct Upkeep<'a>(pub(super) &'a Shared);

impl Reconciler for Upkeep<'_> {
    const FAILURE: &'static str = "could not remove what is out of date";

    async fn step(&mut self) -> Result<Duration, Error> {
        self.0.store.sweep(self.0.clock.now()).await?;
        Ok(self.interval())
    }

    fn interval(&self) -> Duration {
        UPKEEP_INTERVAL
    }
}
