//! The engine as a whole: what it is made of, how it starts and how it stops.

use crate::{Clock, EngineSettings, Sessions, background, meter, shared::Shared};
use quarterdeck_agent::Runner;
use quarterdeck_store::{Blobs, Error, Store};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long the environments' provider may take to end what it holds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Runs sessions.
pub struct Engine {
    shared: Arc<Shared>,
    background: tokio::task::JoinHandle<()>,
}

impl Engine {
    /// Starts it: from now on, sessions that are due are run.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn start(
        store: Arc<dyn Store>,
        blobs: Blobs,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Result<Self, Error> {
        meter::workers_max(settings.workers_max);
        let shared = Arc::new(Shared::new(store, blobs, runner, clock, settings));
        let background = background::start(Arc::clone(&shared)).await?;
        tracing::info!("sessions run here as replica {}", shared.replica.0);
        Ok(Self { shared, background })
    }

    /// The door for callers.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.shared))
    }

    /// Cancelled once the server begins to stop: long waits end now.
    pub fn draining(&self) -> CancellationToken {
        self.shared.draining.clone()
    }

    /// Stops: takes no new work, lets running steps finish for a while, hands the rest over.
    pub async fn stop(self) {
        self.shared.draining.cancel();
        self.shared.workers.close();
        let patient = tokio::time::timeout(self.shared.settings.drain_grace, self.shared.workers.wait());
        let in_time = patient.await.is_ok();
        self.shared.stopping.cancel();
        if !in_time {
            self.shared.workers.wait().await;
        }
        drop(self.background.await);
        let ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.shared.settings.environments.shutdown()).await;
        if ended.is_err() {
            tracing::warn!("the environments did not end in time");
        }
        if let Err(error) = self.shared.store.retire(self.shared.replica).await {
            tracing::warn!(%error, "could not hand sessions over; they are taken over when the lease runs out");
        }
    }
}
