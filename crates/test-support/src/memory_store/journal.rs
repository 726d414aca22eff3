//! What happened to sessions, one entry for every change that took effect.

use quarterdeck_api::{SessionId, Status};
use quarterdeck_store::{CommitLease, Lease, Owner, ReplicaId};
use tokio::time::Instant;

/// All changes, in the order in which they took effect.
pub type Journal = Vec<Change>;

/// A change that took effect.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// The session.
    pub session: SessionId,
    /// What was done to it.
    pub what: What,
    /// Where it stood; none before its creation.
    pub before: Option<RowState>,
    /// Where it stands.
    pub after: RowState,
    /// The index of the first event that was appended, and how many were.
    pub appended: (u64, u64),
}

/// What was done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was created.
    Created,
    /// A change was committed.
    Committed(CommitLease),
    /// A replica took it.
    Claimed {
        /// Who.
        by: ReplicaId,
        /// Whether from an owner who died.
        taken_over: bool,
    },
    /// Its owner let go of it.
    Released(Lease),
    /// Its owner let go of all it had.
    Retired(ReplicaId),
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowState {
    /// Its status.
    pub status: Status,
    /// Its version.
    pub version: u64,
    /// Who owns it.
    pub owner: Owner,
    /// The length of its log.
    pub log_length: u64,
    /// Steps taken in it.
    pub steps: u64,
}
