//! Environments that stay open while their sessions wait: for a message, for results of the client, for a resume.
//!
//! They are in the memory of one process, and lost with it. Each session's are closed when the session is over or goes
//! on elsewhere, after a while without use, when a provider needs their place, and when the process stops.

use crate::{
    engine::Shared,
    notifier::{Snapshot, Watch},
    toolbox::{self, OpenEnvironment},
};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, OrganizationId, SessionId};
use quarterdeck_environments::{ParkedEnvironments, Parking, TakeOver};
use quarterdeck_store::ReplicaId;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The environments that outlive workers, of all sessions of this process.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<SessionId, Entry>,
    /// How often something was lent or parked.
    count: u64,
}

/// The environments of one session. They stand here from the moment that a worker has them: its next worker may begin
/// before this one has noticed that it is done.
#[derive(Debug)]
struct Entry {
    environments: Vec<Arc<OpenEnvironment>>,
    /// Which lending or parking this is; of those that wait the lowest has waited longest.
    number: u64,
    /// Set while nobody works with them; ends the task that looks after them.
    waiting: Option<DropGuard>,
}

impl Parked {
    /// Notes which of its environments a worker has that may outlive it. Returns the number of this lending.
    pub(crate) fn lend(&self, id: SessionId, environments: &[Arc<OpenEnvironment>]) -> u64 {
        let environments: Vec<_> = environments.iter().filter(|open| stays(open)).cloned().collect();
        let mut sessions = self.lock();
        sessions.count += 1;
        let number = sessions.count;
        if !environments.is_empty() {
            sessions.by_id.insert(id, Entry { environments, number, waiting: None });
        }
        number
    }

    /// Takes back what was lent, from a worker that ends; what may wait waits, unless the next worker has it already.
    /// Returns what is to be closed.
    pub(crate) fn give_back(
        &self,
        shared: &Arc<Shared>,
        watch: &Watch,
        (number, environments): (u64, Vec<Arc<OpenEnvironment>>),
        may_wait: bool,
    ) -> Vec<Arc<OpenEnvironment>> {
        let mut to_close: Vec<_> = environments.into_iter().filter(|open| !stays(open)).collect();
        if !may_wait {
            to_close.extend(self.take_if(watch.id(), number));
            return to_close;
        }
        let taken = CancellationToken::new();
        if let Some(number) = self.park(watch.id(), number, &taken) {
            shared.workers.spawn(look_after(Arc::clone(shared), watch.again(), number, taken));
        }
        to_close
    }

    /// None when the next worker has them.
    fn park(&self, id: SessionId, lent: u64, taken: &CancellationToken) -> Option<u64> {
        let mut sessions = self.lock();
        sessions.count += 1;
        let number = sessions.count;
        let entry = sessions.by_id.get_mut(&id).filter(|entry| entry.number == lent)?;
        entry.number = number;
        entry.waiting = Some(taken.clone().drop_guard());
        Some(number)
    }

    /// The environments of a session, for its next worker.
    pub(crate) fn take(&self, id: SessionId) -> Vec<Arc<OpenEnvironment>> {
        self.lock().by_id.remove(&id).map(|entry| entry.environments).unwrap_or_default()
    }

    fn take_if(&self, id: SessionId, number: u64) -> Vec<Arc<OpenEnvironment>> {
        let mut sessions = self.lock();
        if sessions.by_id.get(&id).is_none_or(|entry| entry.number != number) {
            return Vec::new();
        }
        sessions.by_id.remove(&id).map(|entry| entry.environments).unwrap_or_default()
    }

    fn take_oldest(&self, kind: EnvironmentKind) -> Vec<Arc<OpenEnvironment>> {
        let mut sessions = self.lock();
        let has_kind = |entry: &Entry| entry.environments.iter().any(|open| open.environment.kind() == kind);
        let waiting = sessions.by_id.iter().filter(|(_, entry)| entry.waiting.is_some() && has_kind(entry));
        let oldest = waiting.min_by_key(|(_, entry)| entry.number).map(|(id, _)| *id);
        let taken = oldest.and_then(|id| sessions.by_id.remove(&id));
        taken.map(|entry| entry.environments).unwrap_or_default()
    }

    /// Takes an environment that waits from its session, for another one of the same organization.
    fn take_over(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> TakeOver {
        let mut sessions = self.lock();
        let place_in = |session: &SessionId, entry: &Entry| {
            let is_session = session.to_string() == id;
            entry.environments.iter().position(|open| {
                open.is_meant(organization, kind, id) || is_session && open.belongs_to(organization, kind)
            })
        };
        let found = sessions.by_id.iter().find_map(|(session, entry)| Some((*session, place_in(session, entry)?)));
        let Some((session, place)) = found else { return TakeOver::Unknown };
        let Some(entry) = sessions.by_id.get_mut(&session).filter(|entry| entry.waiting.is_some()) else {
            return TakeOver::InUse;
        };
        let open = entry.environments.remove(place);
        if entry.environments.is_empty() {
            sessions.by_id.remove(&session);
        }
        TakeOver::Taken(Arc::clone(&open.environment))
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stays(open: &OpenEnvironment) -> bool {
    open.environment.parking() == Parking::Keep
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
    toolbox::close(shared.parked.take_if(watch.id(), number)).await;
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
        toolbox::close(evicted).await;
        is_any
    }

    fn take_over(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> TakeOver {
        self.0.parked.take_over(organization, kind, id)
    }
}
