//! Environments that stay open while their sessions wait: for a message, for results of the client, for a resume.
//!
//! They are in the memory of one process, and lost with it.

use futures_util::future::join_all;
use quarterdeck_api::{EnvironmentKind, OrganizationId, SessionId};
use quarterdeck_environments::{Environment, Parking, TakeOver};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32},
    },
    time::Duration,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long they may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An environment, open. It may outlive the worker that opened it.
#[derive(Debug)]
pub(crate) struct OpenEnvironment {
    /// Its place among the environments of the agent.
    pub(crate) place: usize,
    pub(crate) kind: EnvironmentKind,
    pub(crate) organization: OrganizationId,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) runner_session_id: Uuid,
    /// The ids under which the log names its starts.
    pub(crate) ids: Mutex<Vec<Uuid>>,
    /// How many of its starts the log names.
    pub(crate) announced: AtomicU32,
    pub(crate) looked_at: AtomicBool,
}

impl OpenEnvironment {
    /// Whether an organization means this one by an id that the log gave to it.
    fn is_meant(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> bool {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        self.belongs_to(organization, kind) && ids.iter().any(|own| own.to_string() == id)
    }

    /// Whether it is an organization's, and of a kind.
    fn belongs_to(&self, organization: OrganizationId, kind: EnvironmentKind) -> bool {
        self.organization == organization && self.kind == kind
    }

    /// Whether it may wait for its session without a worker.
    pub(crate) fn may_park(&self) -> bool {
        self.environment.parking() == Parking::Keep
    }
}

/// Lets go of what environments hold outside of this process.
pub(crate) async fn close(environments: Vec<Arc<OpenEnvironment>>) {
    let closing = join_all(environments.iter().map(|open| open.environment.close()));
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

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
        let environments: Vec<_> = environments.iter().filter(|open| open.may_park()).cloned().collect();
        let mut sessions = self.lock();
        sessions.count += 1;
        let number = sessions.count;
        if !environments.is_empty() {
            sessions.by_id.insert(id, Entry { environments, number, waiting: None });
        }
        number
    }

    /// None when the next worker has them.
    pub(crate) fn park(&self, id: SessionId, lent: u64, taken: &CancellationToken) -> Option<u64> {
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

    pub(crate) fn take_if(&self, id: SessionId, number: u64) -> Vec<Arc<OpenEnvironment>> {
        let mut sessions = self.lock();
        if sessions.by_id.get(&id).is_none_or(|entry| entry.number != number) {
            return Vec::new();
        }
        sessions.by_id.remove(&id).map(|entry| entry.environments).unwrap_or_default()
    }

    pub(crate) fn take_oldest(&self, kind: EnvironmentKind) -> Vec<Arc<OpenEnvironment>> {
        let mut sessions = self.lock();
        let has_kind = |entry: &Entry| entry.environments.iter().any(|open| open.environment.kind() == kind);
        let waiting = sessions.by_id.iter().filter(|(_, entry)| entry.waiting.is_some() && has_kind(entry));
        let oldest = waiting.min_by_key(|(_, entry)| entry.number).map(|(id, _)| *id);
        let taken = oldest.and_then(|id| sessions.by_id.remove(&id));
        taken.map(|entry| entry.environments).unwrap_or_default()
    }

    /// Takes an environment that waits from its session, for another one of the same organization.
    pub(crate) fn take_over(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> TakeOver {
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
