//! Parks environments when their worker ends, and looks after them while they wait.
//!
//! Each session's are closed when the session is over or goes on elsewhere, after a while without use, when a provider
//! needs their place, and when the process stops.

use crate::{
    notifier::{Snapshot, Watch},
    shared::{OpenEnvironment, Shared, close},
};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, OrganizationId};
use quarterdeck_environments::{ParkedEnvironments, TakeOver};
use quarterdeck_store::ReplicaId;
use std::{fmt, sync::Arc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Takes back what was lent, from a worker that ends; what may wait waits, unless the next worker has it already.
/// Returns what is to be closed.
pub(crate) fn give_back(
    shared: &Arc<Shared>,
    watch: &Watch,
    (number, environments): (u64, Vec<Arc<OpenEnvironment>>),
    may_wait: bool,
) -> Vec<Arc<OpenEnvironment>> {
    let mut to_close: Vec<_> = environments.into_iter().filter(|open| !open.may_park()).collect();
    if !may_wait {
        to_close.extend(shared.parked.take_if(watch.id(), number));
        return to_close;
    }
    let taken = CancellationToken::new();
    if let Some(number) = shared.parked.park(watch.id(), number, &taken) {
        shared.workers.spawn(look_after(Arc::clone(shared), watch.again(), number, taken));
    }
    to_close
}

/// Closes what is parked once it is not worth keeping. Ends as well when it is taken.
async fn look_after(shared: Arc<Shared>, mut watch: Watch, number: u64, taken: CancellationToken) {
    tokio::select! {
        biased;
        () = taken.cancelled() => return,
        () = shared.draining.cancelled() => {}
        () = until_over(&mut watch, shared.replica) => {}
        () = sleep(shared.settings.parking_ttl) => {}
    }
    close(shared.parked.take_if(watch.id(), number)).await;
}

async fn until_over(watch: &mut Watch, replica: ReplicaId) {
    while !watch.snapshot_and_update().is_some_and(|seen| is_over(&seen, replica)) {
        watch.changed().await;
    }
}

/// Whether nobody will go on with the session here: it has ended, or another process has it.
pub(crate) fn is_over(seen: &Snapshot, replica: ReplicaId) -> bool {
    seen.session.state.status().is_terminal() || seen.owner.replica.is_some_and(|owner| owner != replica)
}

/// What environments may ask of those that are parked.
pub(crate) struct ParkingLot(pub(crate) Arc<Shared>);

impl fmt::Debug for ParkingLot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParkingLot")
    }
}

#[async_trait]
impl ParkedEnvironments for ParkingLot {
    async fn evict(&self, kind: EnvironmentKind) -> bool {
        let evicted = self.0.parked.take_oldest(kind);
        let is_any = !evicted.is_empty();
        close(evicted).await;
        is_any
    }

    fn take_over(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> TakeOver {
        self.0.parked.take_over(organization, kind, id)
    }
}
