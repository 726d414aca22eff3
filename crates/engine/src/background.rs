//! What goes on while nobody asks for anything: this process's lease, sessions that are due, the queue, notices of other
//! processes, and what is out of date.
//!
//! There is no table of jobs: work is a row with a due time. What looks for it again and again is a [`Reconciler`].

mod caches;
mod claims;
mod lease;
mod lost_claims;
mod notices;
mod queue;
mod reconciler;
mod upkeep;

use crate::shared::Shared;
use caches::Caches;
use claims::Claims;
use lost_claims::LostClaims;
use quarterdeck_store::Error;
use queue::Queue;
use reconciler::reconcile;
use std::sync::Arc;
use tokio::{task::JoinHandle, time::Instant};
use upkeep::Upkeep;

/// Starts all of it. It ends by itself when the engine drains; the lease is kept until the engine stops.
///
/// # Errors
/// When the store cannot be reached.
pub(crate) async fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, Error> {
    let renewed = Instant::now();
    shared.store.renew(shared.replica, shared.settings.lease).await?;
    let notices = shared.store.listen().await?;
    Ok(tokio::spawn(async move {
        let draining = &shared.draining;
        tokio::join!(
            lease::keep(&shared, renewed),
            notices::hear(&shared, notices),
            reconcile(Claims(&shared), &shared.work_due, draining),
            reconcile(LostClaims::new(&shared), &reconciler::NEVER, draining),
            reconcile(Upkeep(&shared), &reconciler::NEVER, draining),
            reconcile(Caches(&shared), &reconciler::NEVER, draining),
            reconcile(Queue::new(&shared), &shared.queue.look, draining),
        );
    }))
}
