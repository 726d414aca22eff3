//! The rows, and what each method does to them.

use super::{
    journal::{Change, Journal, RowState, What},
    slots::{Beginning, Known},
};
use chrono::{Datelike, TimeDelta};
use quarterdeck_api::{OrganizationId, SessionId, Timestamp, UserId, UserMessage};
use quarterdeck_core::{LoggedEvent, Session, Transition};
use quarterdeck_store::{
    Caller, Claimed, Commit, CommitLease, CreateOutcome, Creation, Error, Idempotency, KeyHash, KeyRecord, Lease,
    NewKey, NewSession, Notice, Owned, Owner, ReplicaId, SessionRecord, SignedIn, StoredSession,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};
use uuid::Uuid;

/// As long as the engines for production keep them.
const KEY_TTL: TimeDelta = TimeDelta::hours(24);
const REPLICA_TTL: Duration = Duration::from_hours(24);

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<Uuid, Row>,
    pub(super) idempotency: BTreeMap<(Uuid, String), UsedKey>,
    pub(super) scripts: BTreeMap<String, String>,
    /// When each replica's lease runs out.
    replicas: BTreeMap<Uuid, Instant>,
    keys: Vec<Key>,
    pub(super) organizations: BTreeMap<String, Known>,
    pub(super) users: BTreeMap<(Uuid, String), Uuid>,
    pub(super) catalog: super::catalog::Shelves,
    pub(super) said: super::sharing::Said,
    pub(super) sign_ins: Vec<super::sign_ins::SignIn>,
    pub(super) memories: super::memories::Remembering,
    pub(super) listeners: Vec<Listener>,
    pub(super) journal: Journal,
}

/// A session with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) session: Session,
    pub(super) owner: Owner,
    pub(super) new: NewSession,
    pub(super) log: Vec<LoggedEvent>,
    pub(super) inbox: BTreeMap<u64, UserMessage>,
}

#[derive(Debug)]
pub(super) struct UsedKey {
    request_hash: [u8; 32],
    response: String,
    created_at: Timestamp,
}

#[derive(Debug)]
struct Key {
    hash: KeyHash,
    caller: Caller,
    record: KeyRecord,
}

/// Who hears of changes.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) sender: mpsc::Sender<Notice>,
    /// Whether something could not be delivered.
    pub(super) lost: bool,
    /// Of the connection that it belongs to.
    pub(super) closed: Arc<AtomicBool>,
}

impl Row {
    pub(super) fn stored(&self) -> StoredSession {
        StoredSession { session: self.session.clone(), owner: self.owner }
    }

    pub(super) fn record(&self) -> SessionRecord {
        SessionRecord {
            session: self.session.clone(),
            request: Arc::clone(&self.new.request),
            agent_revision: self.new.agent_revision,
        }
    }

    /// What is due after the year 9999 never is, as in the other engines.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.session.due_at().filter(|due| due.year() <= 9_999)
    }

    fn slot_usage(&self) -> RowState {
        RowState {
            status: self.session.state.status(),
            version: self.session.version,
            owner: self.owner,
            log_length: self.session.log_length,
            steps: self.session.steps,
        }
    }

    /// The guard of every change: the version it was decided on and, for a worker, the lease it was given.
    fn admits(&self, commit: &Commit) -> bool {
        let on_this_version = self.session.version.checked_add(1) == Some(commit.transition.session.version);
        on_this_version
            && match commit.lease {
                CommitLease::Leave | CommitLease::Take(_) => true,
                CommitLease::Hold(lease) | CommitLease::Release(lease) => self.is_held_by(lease),
            }
    }

    fn is_held_by(&self, lease: Lease) -> bool {
        self.owner == Owner { replica: Some(lease.replica), epoch: lease.epoch }
    }

    fn log(&mut self, transition: Transition) {
        self.log.extend(transition.events);
        self.inbox.extend(transition.accepted);
        if transition.delivers {
            self.inbox = self.inbox.split_off(&transition.session.inbox.delivered);
        }
        self.session = transition.session;
    }

    fn give_to(&mut self, replica: Option<ReplicaId>, epochs: i64) {
        self.owner = Owner { replica, epoch: self.owner.epoch + epochs };
    }
}

impl Tables {
    pub(super) fn create(&mut self, new: NewSession) -> CreateOutcome {
        refuse_nul(&new)?;
        if let Some(used) = self.used_key(&new) {
            return Ok(used);
        }
        let id = new.transition.session.id;
        if self.rows.contains_key(&id.0) {
            return Err(refused(id, "it exists"));
        }
        let Beginning { transition, creation, response } = self.admit(&new)?;
        if let Some(Idempotency { key, request_hash, .. }) = new.idempotency.clone() {
            let session = &transition.session;
            let response = response.unwrap_or_default();
            let used = UsedKey { request_hash, response, created_at: session.created_at };
            self.idempotency.insert((session.organization.0, key), used);
        }
        let owner = new.owner.filter(|_| creation == Creation::Created);
        let owner = Owner { replica: owner, epoch: i64::from(owner.is_some()) };
        let events = transition.events.len() as u64;
        let session = transition.session.clone();
        let mut row = Row { session, owner, new, log: Vec::new(), inbox: BTreeMap::new() };
        row.log(transition);
        let after = row.slot_usage();
        self.rows.insert(id.0, row);
        self.note(id, What::Created, None, after, (0, events));
        self.announce(id, after.version);
        Ok(creation)
    }

    fn used_key(&self, new: &NewSession) -> Option<Creation> {
        let session = &new.transition.session;
        let Idempotency { key, request_hash, .. } = new.idempotency.as_ref()?;
        self.answered(session.organization, key, *request_hash, session.created_at)
    }

    pub(super) fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Option<Creation> {
        let used = self.idempotency.get(&(organization.0, key.to_owned()))?;
        if used.created_at <= now - KEY_TTL {
            return None;
        }
        let same = used.request_hash == request_hash;
        Some(if same { Creation::Replayed(used.response.clone()) } else { Creation::KeyReused })
    }

    pub(super) fn commit(&mut self, commit: Commit) -> Result<(), Error> {
        let id = commit.transition.session.id;
        if !self.rows.get(&id.0).is_some_and(|row| row.admits(&commit)) {
            return Err(Error::Conflict(id));
        }
        self.grant(&commit)?;
        let row = self.rows.get_mut(&id.0).ok_or(Error::Conflict(id))?;
        let before = row.slot_usage();
        let first = commit.transition.events.first().map_or(before.log_length, |event| event.index);
        let appended = (first, commit.transition.events.len() as u64);
        row.log(commit.transition);
        match commit.lease {
            CommitLease::Leave | CommitLease::Hold(_) => {}
            CommitLease::Release(_) => row.give_to(None, 0),
            CommitLease::Take(replica) => row.give_to(Some(replica), 1),
        }
        let after = row.slot_usage();
        self.note(id, What::Committed(commit.lease), Some(before), after, appended);
        self.announce(id, after.version);
        Ok(())
    }

    /// The longest due first.
    pub(super) fn claim(&mut self, replica: ReplicaId, now: Timestamp, limit: usize) -> Vec<Claimed> {
        let is_free = |owner: Owner| owner.replica.is_none_or(|owner| !self.lives(owner));
        let mut due: Vec<(Timestamp, Uuid)> = self
            .rows
            .iter()
            .filter_map(|(id, row)| row.due_at().filter(|due| *due <= now && is_free(row.owner)).map(|due| (due, *id)))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        due.into_iter().filter_map(|(_, id)| self.hand_to(replica, id)).collect()
    }

    fn hand_to(&mut self, replica: ReplicaId, id: Uuid) -> Option<Claimed> {
        let row = self.rows.get_mut(&id)?;
        let before = row.slot_usage();
        let taken_over = before.owner.replica.is_some();
        row.session.version += 1;
        row.give_to(Some(replica), 1);
        let (session, lease) = (row.session.clone(), Lease { replica, epoch: row.owner.epoch });
        let after = row.slot_usage();
        self.note(session.id, What::Claimed { by: replica, taken_over }, Some(before), after, none(after));
        Some(Claimed { session, lease, taken_over })
    }

    pub(super) fn release(&mut self, id: SessionId, lease: Lease, version: u64) -> bool {
        let Some(row) = self.rows.get_mut(&id.0) else { return false };
        if !row.is_held_by(lease) || row.session.version != version {
            return false;
        }
        self.let_go(id, What::Released(lease));
        true
    }

    fn let_go(&mut self, id: SessionId, what: What) {
        let Some(row) = self.rows.get_mut(&id.0) else { return };
        let before = row.slot_usage();
        row.session.version += 1;
        row.give_to(None, 0);
        let after = row.slot_usage();
        self.note(id, what, Some(before), after, none(after));
    }

    pub(super) fn owned(&self, replica: ReplicaId) -> Vec<Owned> {
        let owned = self.rows.values().filter(|row| row.owner.replica == Some(replica) && row.due_at().is_some());
        let mut owned: Vec<&Row> = owned.collect();
        owned.sort_by_key(|row| (row.due_at(), row.session.id.0));
        let owned = owned.into_iter().map(|row| Owned {
            session: row.session.id,
            lease: Lease { replica, epoch: row.owner.epoch },
            version: row.session.version,
        });
        owned.collect()
    }

    pub(super) fn lives(&self, replica: ReplicaId) -> bool {
        self.replicas.get(&replica.0).is_some_and(|expires| *expires > Instant::now())
    }

    pub(super) fn renew(&mut self, replica: ReplicaId, lease: Duration) {
        self.replicas.insert(replica.0, Instant::now() + lease);
    }

    pub(super) fn retire(&mut self, replica: ReplicaId) {
        let owned = self.rows.values().filter(|row| row.owner.replica == Some(replica));
        for id in owned.map(|row| row.session.id).collect::<Vec<_>>() {
            self.let_go(id, What::Retired(replica));
        }
        self.replicas.remove(&replica.0);
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.idempotency.retain(|_, used| used.created_at > now - KEY_TTL);
        self.replicas.retain(|_, expires| expires.elapsed() < REPLICA_TTL);
    }

    pub(super) fn caller(&self, hash: KeyHash) -> Option<Caller> {
        let key = self.keys.iter().find(|key| key.hash == hash && key.record.revoked_at.is_none());
        key.map(|key| key.caller)
    }

    /// The key that works and is looked for, with whom it belongs to.
    pub(super) fn key_in_use(&self, is_it: impl Fn(Uuid, KeyHash) -> bool) -> Option<SignedIn> {
        let key = self.keys.iter().find(|key| key.record.revoked_at.is_none() && is_it(key.record.id, key.hash))?;
        let KeyRecord { id, organization, user, prefix, .. } = key.record.clone();
        Some(SignedIn { caller: key.caller, key_id: id, key_prefix: prefix, organization, user })
    }

    pub(super) fn create_key(&mut self, key: NewKey) {
        let NewKey { ids: [id, organization_id, user_id], organization, user, hash, prefix, created_at } = key;
        let known = self.organizations.entry(organization.clone());
        let organization_id = known.or_insert_with(|| Known::new(organization_id, None, created_at)).id;
        let user_id = *self.users.entry((organization_id, user.clone())).or_insert(user_id);
        if self.keys.iter().any(|key| key.hash == hash) {
            return;
        }
        let caller = Caller { organization: OrganizationId(organization_id), user: UserId(user_id) };
        let record = KeyRecord { id, organization, user, prefix, created_at, revoked_at: None };
        self.keys.push(Key { hash, caller, record });
    }

    pub(super) fn working_keys(&self, organization: Uuid) -> u64 {
        let works = |key: &&Key| key.caller.organization.0 == organization && key.record.revoked_at.is_none();
        self.keys.iter().filter(works).count() as u64
    }

    pub(super) fn key_records(&self) -> Vec<KeyRecord> {
        let mut records: Vec<_> = self.keys.iter().map(|key| key.record.clone()).collect();
        records.sort_by_key(|record| (record.created_at, record.id));
        records
    }

    pub(super) fn revoke_key(&mut self, id: Uuid, now: Timestamp) -> bool {
        let working = |key: &&mut Key| key.record.id == id && key.record.revoked_at.is_none();
        let key = self.keys.iter_mut().find(working);
        key.map(|key| key.record.revoked_at = Some(now)).is_some()
    }

    fn note(
        &mut self,
        session: SessionId,
        what: What,
        before: Option<RowState>,
        after: RowState,
        appended: (u64, u64),
    ) {
        self.journal.push(Change { at: Instant::now(), session, what, before, after, appended });
    }

    /// What a listener has no room for is lost, and it is told so when there is.
    fn announce(&mut self, id: SessionId, version: u64) {
        self.listeners.retain_mut(|listener| {
            let notice = if listener.lost { Notice::Lost } else { Notice::Changed(id, version) };
            let sent = listener.sender.try_send(notice);
            listener.lost = matches!(sent, Err(TrySendError::Full(_)));
            !matches!(sent, Err(TrySendError::Closed(_)))
        });
    }
}

fn none(slot_usage: RowState) -> (u64, u64) {
    (slot_usage.log_length, 0)
}

/// Not every database keeps that character in a text.
fn refuse_nul(new: &NewSession) -> Result<(), Error> {
    let labels = [&new.agent_reference, &new.request.group_id];
    if labels.into_iter().flatten().any(|label| label.contains('\0')) {
        return Err(refused(new.transition.session.id, "a label holds a NUL"));
    }
    Ok(())
}

fn refused(id: SessionId, cause: &str) -> Error {
    Error::Corrupt { table: "sessions", id: id.to_string(), cause: cause.into() }
}
