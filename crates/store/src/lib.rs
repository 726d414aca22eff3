//! Durable state: the [`Store`] port and its two engines, embedded `SQLite` and Postgres.
//!
//! A session is a row (its projection) and an append-only log of events. Both change only together, in one
//! atomic [`Commit`] that names the version it was decided on; whoever comes second gets
//! [`Error::Conflict`] and decides again. What is acknowledged is on disk.
//!
//! Commits that wait at the same time share one database transaction (`committer`): many small commits are
//! the workload. Both engines behave the same, which one conformance suite proves on both.
//!
//! What may happen to a session is decided in `quarterdeck-core`. The one rule that is here is who gets a slot
//! (`admission`), since it has to be counted in the transaction that writes.

#![expect(
    clippy::duplicate_mod,
    reason = "the statements that both engines accept are written once, and compiled for each"
)]

mod admission;
mod blobs;
mod catalog;
mod committer;
mod error;
mod events;
mod idempotency_keys;
mod keys;
mod leases;
mod memories;
mod migrations;
mod notice;
mod organizations;
mod port;
mod postgres;
mod private;
mod rows;
mod scripts;
mod seal;
mod sessions;
mod sharing;
mod sign_ins;
mod slots;
mod sqlite;
mod url;

pub use admission::{Admission, Limits, Queued, Refusal, Standing};
pub use blobs::{BlobClass, BlobName, Blobs, Located, OpenBlobsError, PutError, ServedAs};
pub use catalog::{Catalog, Content, Details, Entry, EntryFilter, EntryKey, NewEntry, Note, Revision, Shelf, Version};
pub use error::Error;
pub use events::{EVENTS_PAGE_MAX, EventFilter, EventLog, INBOX_PORTION, LOG_PORTION};
pub use idempotency_keys::{Idempotency, IdempotencyKeys};
pub use keys::{Caller, KeyHash, KeyRecord, Keys, NewKey};
pub use leases::{Claimed, Lease, Leases, Owned, Owner, ReplicaId};
pub use memories::{Memories, Memory, Remembered};
pub use notice::{Notice, Notices};
pub use organizations::{NewOrganization, Organization, Organizations};
pub use port::{Commit, CommitLease, CommitSlot, CreateOutcome, Creation, NewSession, Store, StoredSession};
pub use scripts::Scripts;
pub use seal::{SecretKey, set_secret_keys};
pub use sessions::{Listing, SessionFilter, SessionRecord, SessionRecords, SummaryRow};
pub use sharing::{Rated, Rating, Share, Sharing};
pub use sign_ins::{LINK_TTL, Proof, SIGN_IN_IDLE, SIGN_IN_MAX, SIGN_INS_PER_KEY, SignIns, SignedIn, TokenHash};
pub use slots::{Backlog, Slots};
pub use url::{
    CONNECTIONS, OpenError, database_file, file_url, open, open_beside, open_for_tests, open_with, pending_migrations,
};
