//! The store port: what the engine and the server ask of a store, in their own words.

use crate::{Admission, Catalog, Error, Limits, Memories, Notices, Organizations, Scripts, Sharing, SignIns, Standing};
use async_trait::async_trait;
use quarterdeck_api::{Agent, OrganizationId, SessionId, SessionRequest, Status, Timestamp, UserId, UserMessage};
use quarterdeck_core::{LoggedEvent, Session, Transition};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaId(pub Uuid);

/// Who calls: the organization and user that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The organization; every query is scoped by it.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
}

/// The SHA-256 of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A key to store. The organization and the user are made when they are new.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Ids for the key, and for the organization and user should they be new.
    pub ids: [Uuid; 3],
    /// The organization's name.
    pub organization: String,
    /// The user's name.
    pub user: String,
    /// The key's hash.
    pub hash: KeyHash,
    /// Its first characters, to recognize it by.
    pub prefix: String,
    /// Now.
    pub created_at: Timestamp,
}

/// A stored key, without anything it could be rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: Uuid,
    /// The organization's name.
    pub organization: String,
    /// The user's name.
    pub user: String,
    /// Its first characters.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

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

/// A session as it stands in the store.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// Its projection.
    pub session: Session,
    /// Who owns its run.
    pub owner: Owner,
}

/// Everything about a session but its log.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its projection.
    pub session: Session,
    /// The resolved request, secrets included.
    pub request: Arc<SessionRequest>,
    /// The catalog revision used.
    pub agent_revision: Option<i64>,
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

/// Replay protection of a creation.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the request's body.
    pub request_hash: [u8; 32],
    /// What creation answers with, to be repeated word for word.
    pub response: String,
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

/// The queued sessions of all organizations.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    /// How many there are.
    pub waiting: u64,
    /// Those that have a slot free, oldest first.
    pub next: Vec<StoredSession>,
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

/// Which sessions to list. All parts must match.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only these statuses; empty: all.
    pub statuses: Vec<Status>,
    /// Only sessions of these catalog agents; empty: all.
    pub agents: Vec<String>,
    /// Only this label.
    pub group_id: Option<String>,
    /// Only those that work for this session.
    pub parent: Option<SessionId>,
    /// Only those whose first message or answer contains this, case ignored.
    pub search: Option<String>,
    /// Created strictly before.
    pub created_before: Option<Timestamp>,
    /// Created strictly after.
    pub created_after: Option<Timestamp>,
    /// Ended strictly before.
    pub finished_before: Option<Timestamp>,
    /// Ended strictly after.
    pub finished_after: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// How many to skip.
    pub offset: i64,
    /// How many to return.
    pub limit: i64,
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many match in all.
    pub total: u64,
}

/// One line of a session listing.
#[derive(Clone, Debug)]
pub struct SummaryRow {
    /// Its projection.
    pub session: Session,
    /// The agent's name: the catalog's, or the inline agent's own.
    pub agent: String,
    /// The catalog revision used.
    pub agent_revision: Option<i64>,
    /// The first message as lists show it ([`UserMessage::summary`]), as JSON.
    pub first_message: Option<Box<RawValue>>,
    /// Its label.
    pub group_id: Option<String>,
    /// The session that it works for.
    pub parent: Option<SessionId>,
}

/// Which events to page through.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only this type.
    pub type_name: Option<String>,
    /// Newest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: i64,
    /// How many to return.
    pub limit: i64,
}

/// Durable state, the catalogs included. Every method is atomic; every read sees what was acknowledged before it began.
#[async_trait]
pub trait Store: Catalog + Memories + Organizations + Scripts + Sharing + SignIns {
    /// Whether other processes may share this store.
    fn is_shared(&self) -> bool;

    /// What it is, for people: engine and place, without secrets.
    fn describe(&self) -> String;

    /// Answers when the store can be read, and written as far as it says so itself.
    async fn ping(&self) -> Result<(), Error>;

    /// Stops the committer once what waits is committed, and closes the connections.
    async fn close(&self);

    /// Who a key belongs to; none when it is unknown or revoked.
    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>, Error>;

    /// Stores a key; storing the same hash again changes nothing.
    async fn create_key(&self, key: NewKey) -> Result<(), Error>;

    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, Error>;

    /// Revokes a key; false when there is none with this id that still works.
    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool, Error>;

    /// Creates a session.
    async fn create(&self, session: NewSession) -> CreateOutcome;

    /// Commits a change. Returns once it is durable.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;

    /// A session, whoever owns it.
    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, Error>;

    /// A session with its request.
    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>, Error>;

    /// A page of an organization's sessions, without those that cannot be read.
    async fn sessions(&self, organization: OrganizationId, filter: SessionFilter)
    -> Result<Listing<SummaryRow>, Error>;

    /// How many sessions an organization has; none for one that is not known.
    async fn standing(&self, organization: OrganizationId) -> Result<Standing, Error>;

    /// How many sessions, of one organization or of all, are in each status that is no end; statuses of none are left out.
    async fn live_sessions(&self, organization: Option<OrganizationId>) -> Result<Vec<(String, u64)>, Error>;

    /// Who waits for a slot, and at most `count` of those that can have one. `default_limit` is for organizations
    /// without a limit of their own.
    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog, Error>;

    /// Events from an index on, at most `limit`: as many as take some megabytes, and at least one if there is one.
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>, Error>;

    /// A page of events: all that are asked for, or as many as take 32 MiB, and at least one if there is one.
    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<Listing<Arc<RawValue>>, Error>;

    /// Messages of the inbox from a number on, in order: all, or as many as take a few megabytes, and at least one.
    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>, Error>;

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

    /// What a creation under this key was answered in the last 24 hours: [`Creation::Replayed`], or with another hash
    /// of the request [`Creation::KeyReused`].
    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>, Error>;

    /// Removes what nobody will ask for again: idempotency keys past their day, replicas long gone.
    async fn sweep(&self, now: Timestamp) -> Result<(), Error>;

    /// Changes made by other processes; silent on a store that is not shared.
    async fn listen(&self) -> Result<Notices, Error>;
}
