//! The store port: what the engine and the server ask of a store, in their own words.

use crate::{
    Admission, Catalog, Error, EventLog, Idempotency, IdempotencyKeys, Keys, Lease, Leases, Limits, Memories, Notices,
    Organizations, Owner, ReplicaId, Scripts, SessionRecords, Sharing, SignIns, Slots,
};
use async_trait::async_trait;
use quarterdeck_api::{Agent, SessionId, SessionRequest, Timestamp};
use quarterdeck_core::{Session, Transition};
use std::sync::Arc;

/// A session as it stands in the store.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// Its projection.
    pub session: Session,
    /// Who owns its run.
    pub owner: Owner,
}

/// A session to create.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its first state and events.
    pub transition: Transition,
    /// The resolved request, secrets included.
    pub request: Arc<SessionRequest>,
    /// The agent of that request.
    pub agent: Arc<Agent>,
    /// The catalog name it was asked for by.
    pub agent_reference: Option<String>,
    /// The catalog revision used.
    pub agent_revision: Option<i64>,
    /// The session it works for.
    pub parent: Option<SessionId>,
    /// Who runs it from the start; none leaves it to be claimed.
    pub owner: Option<ReplicaId>,
    /// Replay protection.
    pub idempotency: Option<Idempotency>,
    /// Whether it needs a free slot.
    pub admission: Admission,
}

/// What came of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The session exists now.
    Created,
    /// It exists, and waits for a slot: [`crate::Queued`] was written.
    Queued,
    /// It existed: the key was used before, with the same body. This was answered.
    Replayed(String),
    /// The key was used before, with another body. Nothing was created.
    KeyReused,
}

/// What came of a creation, or why it failed.
pub type CreateOutcome = Result<Creation, Error>;

/// How a commit touches the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitLease {
    /// A handler's commit: whoever owns the session keeps it.
    Leave,
    /// A worker's commit: refused when the epoch has moved.
    Hold(Lease),
    /// A worker's last commit: as `Hold`, and the session is let go.
    Release(Lease),
    /// A handler's commit on a session nobody owns: this replica runs it from now on.
    Take(ReplicaId),
}

/// Whether a commit needs one of its organization's slots. If it gets none, it fails with [`Error::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitSlot {
    /// The session keeps its slot, gives it back, or goes on without.
    Keep,
    /// An ended session takes a slot that nobody waits for. One that works for another session gets it in any case.
    Take(Limits),
    /// A queued session takes a free slot.
    Promote(Limits),
}

/// A change to a session.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The change; it was decided on the version below its own.
    pub transition: Transition,
    /// What becomes of the lease.
    pub lease: CommitLease,
    /// What becomes of the slot.
    pub slot: CommitSlot,
}

/// Durable state: how sessions are written, and a port for each noun besides. Every method is atomic; every read sees what was
/// acknowledged before it began.
#[async_trait]
pub trait Store:
    Catalog
    + EventLog
    + IdempotencyKeys
    + Keys
    + Leases
    + Memories
    + Organizations
    + Scripts
    + SessionRecords
    + Sharing
    + SignIns
    + Slots
{
    /// Whether other processes may share this store.
    fn is_shared(&self) -> bool;

    /// What it is, for people: engine and place, without secrets.
    fn describe(&self) -> String;

    /// Answers when the store can be read, and written as far as it says so itself.
    async fn ping(&self) -> Result<(), Error>;

    /// Stops the committer once what waits is committed, and closes the connections.
    async fn close(&self);

    /// Creates a session.
    async fn create(&self, session: NewSession) -> CreateOutcome;

    /// Commits a change. Returns once it is durable.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;

    /// A session, whoever owns it.
    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, Error>;

    /// Removes what nobody will ask for again: idempotency keys past their day, replicas long gone.
    async fn sweep(&self, now: Timestamp) -> Result<(), Error>;

    /// Changes made by other processes; silent on a store that is not shared.
    async fn listen(&self) -> Result<Notices, Error>;
}
