//! Lets go of what is kept in memory past its time: a cache that nobody asks does not look by itself.

use super::reconciler::Reconciler;
use crate::shared::Shared;
use quarterdeck_store::Error;
use std::time::Duration;

/// How often.
const CACHES_INTERVAL: Duration = Duration::from_secs(15);

/// The caches of the engine and of the runner.
pub(super) struct Caches<'a>(pub(super) &'a Shared);

impl Reconciler for Caches<'_> {
    const FAILURE: &'static str = "could not let go of what is kept in memory";

    async fn step(&mut self) -> Result<Duration, Error> {
        if let Some(recent) = &self.0.recent {
            recent.run_pending_tasks();
        }
        self.0.runner.let_go();
        Ok(self.interval())
    }

    fn interval(&self) -> Duration {
        CACHES_INTERVAL
    }
}
