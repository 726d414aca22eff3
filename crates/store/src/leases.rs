//! Who runs a session: a replica that holds a lease on it.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{SessionId, Timestamp};
use quarterdeck_core::Session;
use std::time::Duration;
use uuid::Uuid;

/// A server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaId(pub Uuid);

/// Who owns a session's run, and in which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The owner.
    pub replica: ReplicaId,
    /// Grows by one with every claim; a commit of an older epoch is refused.
    pub epoch: i64,
}

/// Who owns a session right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner, if any.
    pub replica: Option<ReplicaId>,
    /// The epoch, whoever owns it.
    pub epoch: i64,
}

/// A session that this replica owns now.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its projection.
    pub session: Session,
    /// The lease.
    pub lease: Lease,
    /// Whether its owner had not let go of it: most likely that process died.
    pub taken_over: bool,
}

/// A session that a replica owns, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The session.
    pub session: SessionId,
    /// The lease.
    pub lease: Lease,
    /// Its version.
    pub version: u64,
}

/// The leases on all sessions. Every method is atomic.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes over sessions that are due and that no living replica owns, the longest due first. What cannot be read
    /// falls due no more.
    async fn claim(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<Claimed>, Error>;

    /// When the next unowned session falls due.
    async fn next_due(&self) -> Result<Option<Timestamp>, Error>;

    /// Lets go of a session that needs no worker, without changing it. False when it has moved on since `version`, or
    /// the lease has: then nothing happened.
    async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool, Error>;

    /// What this replica owns and somebody must look at, now or later: for a process to find what it does not know
    /// of, because an answer was lost.
    async fn owned(&self, replica: ReplicaId) -> Result<Vec<Owned>, Error>;

    /// Extends this replica's lease, and with it the lease on every session it owns.
    async fn renew(&self, replica: ReplicaId, lease: Duration) -> Result<(), Error>;

    /// Lets go of everything this replica owns.
    async fn retire(&self, replica: ReplicaId) -> Result<(), Error>;
}
