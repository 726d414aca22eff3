//! Environments that stay open while their sessions wait: for a message, for results of the client, for a resume.
//!
//! They are in the memory of one process, and lost with it.

use futures_util::future::join_all;
use quarterdeck_api::{EnvironmentKind, SessionId};
use quarterdeck_environments::{Environment, Parking};
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
    pub(crate) environment: Box<dyn Environment>,
    pub(crate) runner_session_id: Uuid,
    /// How many of its starts the log names.
    pub(crate) announced: AtomicU32,
    pub(crate) looked_at: AtomicBool,
}

impl OpenEnvironment {
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

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
