//! A store that fails on purpose: it stands before any other store, and puts faults around every call.
//!
//! What a call meets is a [`Plan`], taken from a script ([`Faults::script`]) or drawn from a seed ([`Faults::draw`]).
//! Apart from that the whole connection may be [cut or hung](Link): a process cut off from its database, a process
//! that is frozen, and, when it is never let go again, a process that was killed.

mod plan;

pub use plan::{Failure, Faults, Link, Method, Odds, Outcome, Plan};

use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId, Timestamp, UserMessage};
use quarterdeck_core::LoggedEvent;
use quarterdeck_store::{
    Backlog, Caller, Catalog, Claimed, Commit, Content, CreateOutcome, Creation, Entry, EntryFilter, Error,
    EventFilter, EventLog, IdempotencyKeys, KeyHash, KeyRecord, Keys, Lease, Leases, ListPage, Memories, Memory,
    NewEntry, NewKey, NewOrganization, NewSession, Note, Notice, Notices, Organization, Organizations, Owned, Proof,
    Rated, Rating, Remembered, ReplicaId, Revision, Scripts, SessionFilter, SessionRecord, SessionRecords, Share,
    Sharing, Shelf, SignIns, SignedIn, SlotUsage, Slots, Store, StoredSession, SummaryRow, TokenHash, Version,
};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};
use uuid::Uuid;

/// Notices on their way to a listener.
const NOTICE_CAPACITY: usize = 4_096;

type Result<T> = std::result::Result<T, Error>;

/// One process's connection to a store, and the faults on it.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

impl FaultyStore {
    /// Puts `faults` before `inner`.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    /// Makes a call, as planned. The call is dropped with this future, unless its plan is to be done late.
    async fn call<T, F>(&self, method: Method, call: impl FnOnce(Arc<dyn Store>) -> F + Send) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let plan = self.faults.next(method);
        self.faults.pass().await?;
        pause(plan.before).await;
        self.faults.pass().await?;
        let call = call(Arc::clone(&self.inner));
        let result = match plan.outcome {
            Outcome::Done => call.await,
            Outcome::NotDone(failure) => Err(failure.error()),
            Outcome::AnswerLost(failure) => {
                drop(call.await);
                Err(failure.error())
            }
            Outcome::DoneLate(failure, late) => {
                tokio::spawn(async move {
                    sleep(late).await;
                    drop(call.await);
                });
                Err(failure.error())
            }
        };
        pause(plan.after).await;
        self.faults.pass().await?;
        result
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// Passes notices on, some late, some not. As from Postgres, whoever misses one is told in the end that it did.
async fn forward(mut notices: Notices, sender: mpsc::Sender<Notice>, faults: Arc<Faults>) {
    while let Some(notice) = notices.recv().await {
        let fate = faults.next(Method::Notice);
        pause(fate.before).await;
        let lost = faults.wait_until_up().await || !matches!(fate.outcome, Outcome::Done);
        pause(fate.after).await;
        if sender.send(if lost { Notice::Lost } else { notice }).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn describe(&self) -> String {
        format!("{}, with faults", self.inner.describe())
    }

    async fn ping(&self) -> Result<()> {
        self.call(Method::Ping, |store| async move { store.ping().await }).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn create(&self, session: NewSession) -> CreateOutcome {
        self.call(Method::Create, move |store| async move { store.create(session).await }).await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        self.call(Method::Commit, move |store| async move { store.commit(commit).await }).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>> {
        self.call(Method::Session, move |store| async move { store.session(id).await }).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<()> {
        self.call(Method::Sweep, move |store| async move { store.sweep(now).await }).await
    }

    async fn listen(&self) -> Result<Notices> {
        let notices = self.call(Method::Listen, |store| async move { store.listen().await }).await?;
        let (sender, heard) = mpsc::channel(NOTICE_CAPACITY);
        let faults = Arc::clone(&self.faults);
        tokio::spawn(async move {
            let closed = sender.clone();
            tokio::select! {
                biased;
                () = closed.closed() => {}
                () = forward(notices, sender, faults) => {}
            }
        });
        Ok(heard)
    }
}

#[async_trait]
impl EventLog for FaultyStore {
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>> {
        self.call(Method::Events, move |store| async move { store.events(id, from, limit).await }).await
    }

    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<ListPage<Arc<RawValue>>> {
        self.call(Method::Events, move |store| async move { store.events_page(id, filter).await }).await
    }

    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>> {
        self.call(Method::Inbox, move |store| async move { store.inbox(id, from).await }).await
    }
}

#[async_trait]
impl IdempotencyKeys for FaultyStore {
    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>> {
        let key = key.to_owned();
        let ask =
            move |store: Arc<dyn Store>| async move { store.answered(organization, &key, request_hash, now).await };
        self.call(Method::Answered, ask).await
    }
}

#[async_trait]
impl Keys for FaultyStore {
    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>> {
        self.call(Method::Keys, move |store| async move { store.caller(hash).await }).await
    }

    async fn create_key(&self, key: NewKey) -> Result<()> {
        self.call(Method::Keys, move |store| async move { store.create_key(key).await }).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.call(Method::Keys, |store| async move { store.keys().await }).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.call(Method::Keys, move |store| async move { store.revoke_key(id, now).await }).await
    }
}

#[async_trait]
impl Leases for FaultyStore {
    async fn claim(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
        self.call(Method::Claim, move |store| async move { store.claim(replica, now, limit).await }).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        self.call(Method::NextDue, |store| async move { store.next_due().await }).await
    }

    async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool> {
        self.call(Method::Release, move |store| async move { store.release(id, lease, version).await }).await
    }

    async fn owned(&self, replica: ReplicaId) -> Result<Vec<Owned>> {
        self.call(Method::Owned, move |store| async move { store.owned(replica).await }).await
    }

    async fn renew(&self, replica: ReplicaId, lease: Duration) -> Result<()> {
        self.call(Method::Renew, move |store| async move { store.renew(replica, lease).await }).await
    }

    async fn retire(&self, replica: ReplicaId) -> Result<()> {
        self.call(Method::Retire, move |store| async move { store.retire(replica).await }).await
    }
}

#[async_trait]
impl SessionRecords for FaultyStore {
    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>> {
        self.call(Method::Record, move |store| async move { store.record(id).await }).await
    }

    async fn sessions(&self, organization: OrganizationId, filter: SessionFilter) -> Result<ListPage<SummaryRow>> {
        self.call(Method::Sessions, move |store| async move { store.sessions(organization, filter).await }).await
    }
}

#[async_trait]
impl Slots for FaultyStore {
    async fn slot_usage(&self, organization: OrganizationId) -> Result<SlotUsage> {
        self.call(Method::Sessions, move |store| async move { store.slot_usage(organization).await }).await
    }

    async fn live_sessions(&self, organization: Option<OrganizationId>) -> Result<Vec<(String, u64)>> {
        self.call(Method::Sessions, move |store| async move { store.live_sessions(organization).await }).await
    }

    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog> {
        self.call(Method::Backlog, move |store| async move { store.backlog(default_limit, count).await }).await
    }
}

#[async_trait]
impl Catalog for FaultyStore {
    async fn add(&self, entry: NewEntry) -> Result<bool> {
        self.call(Method::Catalog, move |store| async move { store.add(entry).await }).await
    }

    async fn change(&self, from: Version, content: Content, note: Note) -> Result<bool> {
        self.call(Method::Catalog, move |store| async move { store.change(from, content, note).await }).await
    }

    async fn remove(&self, on: Shelf, from: Version) -> Result<bool> {
        self.call(Method::Catalog, move |store| async move { store.remove(on, from).await }).await
    }

    async fn entry(&self, on: Shelf, organization: OrganizationId, name: &str) -> Result<Option<Entry>> {
        let name = name.to_owned();
        self.call(Method::Catalog, move |store| async move { store.entry(on, organization, &name).await }).await
    }

    async fn entries(&self, on: Shelf, organization: OrganizationId, filter: EntryFilter) -> Result<ListPage<Entry>> {
        self.call(Method::Catalog, move |store| async move { store.entries(on, organization, filter).await }).await
    }

    async fn files_size(&self, organization: OrganizationId, filter: EntryFilter) -> Result<u64> {
        self.call(Method::Catalog, move |store| async move { store.files_size(organization, filter).await }).await
    }

    async fn revision(&self, organization: OrganizationId, name: &str, number: i64) -> Result<Option<Entry>> {
        let name = name.to_owned();
        self.call(Method::Catalog, move |store| async move { store.revision(organization, &name, number).await }).await
    }

    async fn revisions(&self, agent: Uuid, newest_first: bool, offset: i64, limit: i64) -> Result<ListPage<Revision>> {
        let call =
            move |store: Arc<dyn Store>| async move { store.revisions(agent, newest_first, offset, limit).await };
        self.call(Method::Catalog, call).await
    }
}

#[async_trait]
impl Sharing for FaultyStore {
    async fn rate(&self, rated: Rated, rating: Rating) -> Result<()> {
        self.call(Method::Sharing, move |store| async move { store.rate(rated, rating).await }).await
    }

    async fn rating(&self, rated: Rated) -> Result<Option<Rating>> {
        self.call(Method::Sharing, move |store| async move { store.rating(rated).await }).await
    }

    async fn share(&self, share: Share) -> Result<String> {
        self.call(Method::Sharing, move |store| async move { store.share(share).await }).await
    }

    async fn unshare(&self, session: SessionId) -> Result<()> {
        self.call(Method::Sharing, move |store| async move { store.unshare(session).await }).await
    }

    async fn is_public(&self, session: SessionId) -> Result<bool> {
        self.call(Method::Sharing, move |store| async move { store.is_public(session).await }).await
    }

    async fn session_of_share(&self, token: &str) -> Result<Option<SessionId>> {
        let token = token.to_owned();
        self.call(Method::Sharing, move |store| async move { store.session_of_share(&token).await }).await
    }
}

#[async_trait]
impl Scripts for FaultyStore {
    async fn keep_script(&self, hash: &str, script: &str) -> Result<()> {
        let (hash, script) = (hash.to_owned(), script.to_owned());
        self.call(Method::Sharing, move |store| async move { store.keep_script(&hash, &script).await }).await
    }

    async fn script(&self, hash: &str) -> Result<Option<String>> {
        let hash = hash.to_owned();
        self.call(Method::Sharing, move |store| async move { store.script(&hash).await }).await
    }

    async fn remove_sessions(&self, organization: OrganizationId) -> Result<Vec<SessionId>> {
        self.call(Method::Sharing, move |store| async move { store.remove_sessions(organization).await }).await
    }
}

#[async_trait]
impl SignIns for FaultyStore {
    async fn sign_in(&self, proof: Proof, token: TokenHash, now: Timestamp) -> Result<bool> {
        self.call(Method::Sharing, move |store| async move { store.sign_in(proof, token, now).await }).await
    }

    async fn link_to_sign_in(&self, key: Uuid, token: TokenHash, now: Timestamp) -> Result<bool> {
        self.call(Method::Sharing, move |store| async move { store.link_to_sign_in(key, token, now).await }).await
    }

    async fn signed_in(&self, token: TokenHash, now: Timestamp) -> Result<Option<SignedIn>> {
        self.call(Method::Sharing, move |store| async move { store.signed_in(token, now).await }).await
    }

    async fn sign_out(&self, token: TokenHash) -> Result<()> {
        self.call(Method::Sharing, move |store| async move { store.sign_out(token).await }).await
    }

    async fn sign_out_everywhere(&self, key: Uuid) -> Result<()> {
        self.call(Method::Sharing, move |store| async move { store.sign_out_everywhere(key).await }).await
    }
}

#[async_trait]
impl Memories for FaultyStore {
    async fn recall(&self, memory: &Memory, key: &str) -> Result<Option<String>> {
        let (memory, key) = (memory.clone(), key.to_owned());
        self.call(Method::Memories, move |store| async move { store.recall(&memory, &key).await }).await
    }

    async fn remember(
        &self,
        memory: &Memory,
        key: &str,
        value: &str,
        entries_max: u32,
        now: Timestamp,
    ) -> Result<Remembered> {
        let (memory, key, value) = (memory.clone(), key.to_owned(), value.to_owned());
        let call =
            move |store: Arc<dyn Store>| async move { store.remember(&memory, &key, &value, entries_max, now).await };
        self.call(Method::Memories, call).await
    }

    async fn forget(&self, memory: &Memory, key: &str) -> Result<bool> {
        let (memory, key) = (memory.clone(), key.to_owned());
        self.call(Method::Memories, move |store| async move { store.forget(&memory, &key).await }).await
    }

    async fn memory_keys(&self, memory: &Memory, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let (memory, prefix, after) = (memory.clone(), prefix.to_owned(), after.map(str::to_owned));
        let call = move |store: Arc<dyn Store>| async move {
            store.memory_keys(&memory, &prefix, after.as_deref(), limit).await
        };
        self.call(Method::Memories, call).await
    }
}

#[async_trait]
impl Organizations for FaultyStore {
    async fn create_organization(&self, organization: NewOrganization) -> Result<bool> {
        let call = move |store: Arc<dyn Store>| async move { store.create_organization(organization).await };
        self.call(Method::Organizations, call).await
    }

    async fn organizations(&self) -> Result<Vec<Organization>> {
        self.call(Method::Organizations, |store| async move { store.organizations().await }).await
    }

    async fn limit_organization(&self, name: &str, limit: Option<u64>) -> Result<bool> {
        let name = name.to_owned();
        let call = move |store: Arc<dyn Store>| async move { store.limit_organization(&name, limit).await };
        self.call(Method::Organizations, call).await
    }
}
