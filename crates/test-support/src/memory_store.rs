//! A store in memory that several replicas share, as they share a Postgres.
//!
//! It behaves as the real engines do, which the conformance suite of `quarterdeck-store` proves, and it is
//! deterministic: nothing waits, nothing is random, and equal times are ordered by id. Leases follow tokio's clock,
//! which is to it what the database's own clock is to Postgres, so a test may pause it.
//!
//! It also keeps a [`Journal`] of every change of a session, with what the row was before, for tests that check
//! afterwards what was allowed to happen.

mod catalog;
mod journal;
mod listing;
mod memories;
mod scripts;
mod sharing;
mod sign_ins;
mod slots;
mod tables;

pub use journal::{Change, Journal, RowState, What};

use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId, Timestamp, UserMessage};
use quarterdeck_core::LoggedEvent;
use quarterdeck_store::{
    Backlog, Caller, Claimed, Commit, CreateOutcome, Creation, Error, EventFilter, EventLog, INBOX_PORTION,
    IdempotencyKeys, KeyHash, KeyRecord, Keys, LOG_PORTION, Lease, Leases, ListPage, NewKey, NewSession, Notices,
    Owned, ReplicaId, SessionFilter, SessionRecord, SessionRecords, SlotUsage, Slots, Store, StoredSession, SummaryRow,
};
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tables::Tables;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Notices that may wait for a listener before some count as lost, as on Postgres.
const NOTICE_CAPACITY: usize = 4_096;

/// One process's connection to a store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    closed: Arc<AtomicBool>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { tables: Arc::default(), closed: Arc::default() }
    }

    /// A connection of another process to the same store.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), closed: Arc::default() }
    }

    /// Looks at what has happened so far. The store stands still meanwhile.
    pub fn with_journal<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&lock(&self.tables).journal)
    }

    /// A session, without a call.
    pub fn peek(&self, id: SessionId) -> Option<StoredSession> {
        lock(&self.tables).rows.get(&id.0).map(tables::Row::stored)
    }

    /// The log and the inbox of a session, without a call.
    pub fn peek_log(&self, id: SessionId) -> (Vec<LoggedEvent>, Vec<UserMessage>) {
        let tables = lock(&self.tables);
        let row = tables.rows.get(&id.0);
        row.map(|row| (row.log.clone(), row.inbox.values().cloned().collect())).unwrap_or_default()
    }

    /// Whether the lease of this replica holds.
    pub fn lives(&self, replica: ReplicaId) -> bool {
        lock(&self.tables).lives(replica)
    }

    fn tables(&self) -> Result<MutexGuard<'_, Tables>, Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("the store is closed".into()));
        }
        Ok(lock(&self.tables))
    }
}

/// Nothing panics while it holds the lock.
fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for MemoryStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "a test's memory".into()
    }

    async fn ping(&self) -> Result<(), Error> {
        self.tables().map(drop)
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        lock(&self.tables).listeners.retain(|listener| !Arc::ptr_eq(&listener.closed, &self.closed));
    }

    async fn create(&self, session: NewSession) -> CreateOutcome {
        self.tables()?.create(session)
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        self.tables()?.commit(commit)
    }

    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, Error> {
        Ok(self.tables()?.rows.get(&id.0).map(tables::Row::stored))
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        self.tables()?.sweep(now);
        Ok(())
    }

    async fn listen(&self) -> Result<Notices, Error> {
        let (sender, notices) = mpsc::channel(NOTICE_CAPACITY);
        let listener = tables::Listener { sender, lost: false, closed: Arc::clone(&self.closed) };
        self.tables()?.listeners.push(listener);
        Ok(notices)
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>, Error> {
        let tables = self.tables()?;
        let log = tables.rows.get(&id.0).map_or(&[][..], |row| &row.log);
        let mut bytes = 0;
        let fits = |event: &&LoggedEvent| {
            bytes += event.json.get().len();
            bytes <= LOG_PORTION as usize || event.index == from
        };
        Ok(log.iter().skip(size(from)).take(size(limit)).take_while(fits).cloned().collect())
    }

    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<ListPage<Arc<RawValue>>, Error> {
        Ok(listing::events(&*self.tables()?, id, &filter))
    }

    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>, Error> {
        let tables = self.tables()?;
        let Some(row) = tables.rows.get(&id.0) else { return Ok(Vec::new()) };
        let mut bytes = 0;
        let fits = |(number, message): &(&u64, &UserMessage)| {
            bytes += message.weight();
            bytes <= INBOX_PORTION as usize || **number == from
        };
        Ok(row.inbox.range(from..).take_while(fits).map(|(_, message)| message.clone()).collect())
    }
}

#[async_trait]
impl IdempotencyKeys for MemoryStore {
    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>, Error> {
        Ok(self.tables()?.answered(organization, key, request_hash, now))
    }
}

#[async_trait]
impl Keys for MemoryStore {
    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>, Error> {
        Ok(self.tables()?.caller(hash))
    }

    async fn create_key(&self, key: NewKey) -> Result<(), Error> {
        self.tables()?.create_key(key);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, Error> {
        Ok(self.tables()?.key_records())
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool, Error> {
        Ok(self.tables()?.revoke_key(id, now))
    }
}

#[async_trait]
impl Leases for MemoryStore {
    async fn claim(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<Claimed>, Error> {
        Ok(self.tables()?.claim(replica, now, size(limit.into())))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let tables = self.tables()?;
        let free = tables.rows.values().filter(|row| row.owner.replica.is_none());
        Ok(free.filter_map(tables::Row::due_at).min())
    }

    async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool, Error> {
        Ok(self.tables()?.release(id, lease, version))
    }

    async fn owned(&self, replica: ReplicaId) -> Result<Vec<Owned>, Error> {
        Ok(self.tables()?.owned(replica))
    }

    async fn renew(&self, replica: ReplicaId, lease: Duration) -> Result<(), Error> {
        self.tables()?.renew(replica, lease);
        Ok(())
    }

    async fn retire(&self, replica: ReplicaId) -> Result<(), Error> {
        self.tables()?.retire(replica);
        Ok(())
    }
}

#[async_trait]
impl SessionRecords for MemoryStore {
    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>, Error> {
        Ok(self.tables()?.rows.get(&id.0).map(tables::Row::record))
    }

    async fn sessions(
        &self,
        organization: OrganizationId,
        filter: SessionFilter,
    ) -> Result<ListPage<SummaryRow>, Error> {
        Ok(listing::sessions(&*self.tables()?, organization, &filter))
    }
}

#[async_trait]
impl Slots for MemoryStore {
    async fn slot_usage(&self, organization: OrganizationId) -> Result<SlotUsage, Error> {
        Ok(self.tables()?.standing_of(organization))
    }

    async fn live_sessions(&self, organization: Option<OrganizationId>) -> Result<Vec<(String, u64)>, Error> {
        Ok(self.tables()?.live_sessions(organization))
    }

    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog, Error> {
        Ok(self.tables()?.backlog(default_limit, size(count.into())))
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
