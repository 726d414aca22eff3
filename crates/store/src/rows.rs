//! Rows as plain values, and what they become; nothing above the store sees a row.

use crate::{
    Claimed, CommitLease, Entry, Error, KeyRecord, Lease, NewSession, Note, Organization, Owner, Rating, ReplicaId,
    Revision, SessionRecord, SlotUsage, StoredSession, SummaryRow, Version, seal,
};
use chrono::Datelike;
use quarterdeck_api::{Answer, OrganizationId, Reference, SessionId, SessionRequest, Timestamp, UserId, UserMessage};
use quarterdeck_core::{LoggedEvent, Session, Transition};
use serde_json::value::RawValue;
use std::sync::Arc;
use uuid::Uuid;

/// `version, projection, owner, epoch`.
pub(crate) type SessionRow = (i64, String, Option<Uuid>, i64);
/// `version, projection, agent_revision, request`.
pub(crate) type RecordRow = (i64, String, Option<i64>, String);
/// `id, version, projection, agent_name, agent_revision, first_message, group_id, parent_session_id`.
pub(crate) type ListRow = (Uuid, i64, String, String, Option<i64>, Option<String>, Option<String>, Option<Uuid>);
/// `event_index, type, body`.
pub(crate) type EventRow = (i64, String, String);
/// `id, version, projection, epoch, taken_over`.
pub(crate) type ClaimRow = (Uuid, i64, String, i64, bool);
/// `id, organization, user, prefix, created_at, revoked_at`.
pub(crate) type KeyRow = (Uuid, String, String, String, Timestamp, Option<Timestamp>);
/// `name, id, version, spec, created_at`.
pub(crate) type EntryRow = (String, Uuid, i64, String, Timestamp);
/// `session_id, user_id, body, given_at`.
pub(crate) type RatingRow = (Uuid, Uuid, String, Timestamp);
/// `number, created_by, created_at, message, restored_from`.
pub(crate) type RevisionRow = (i64, Uuid, Timestamp, Option<String>, Option<i64>);

/// `active, queued, max_concurrent_sessions`.
pub(crate) type SlotUsageRow = (i64, i64, Option<i64>);
/// `id, name, created_at, users, keys, active, queued, max_concurrent_sessions`.
pub(crate) type OrganizationRow = (Uuid, String, Timestamp, i64, i64, i64, i64, Option<i64>);

/// The column is the truth for the version: a claim moves it without writing the projection.
pub(crate) fn session(id: Uuid, version: i64, projection: &str) -> Result<Session, Error> {
    let mut session: Session = serde_json::from_str(projection).map_err(|cause| corrupt("sessions", id, &cause))?;
    session.version = version.unsigned_abs();
    Ok(session)
}

pub(crate) fn stored(id: Uuid, (version, projection, owner, epoch): &SessionRow) -> Result<StoredSession, Error> {
    let owner = Owner { replica: owner.map(ReplicaId), epoch: *epoch };
    Ok(StoredSession { session: session(id, *version, projection)?, owner })
}

fn claimed(replica: ReplicaId, row: ClaimRow) -> Result<Claimed, Error> {
    let (id, version, projection, epoch, taken_over) = row;
    Ok(Claimed { session: session(id, version, &projection)?, lease: Lease { replica, epoch }, taken_over })
}

/// What was claimed, and the ids of what cannot be read: it must not keep the others from being run.
pub(crate) fn readable(replica: ReplicaId, rows: Vec<ClaimRow>) -> (Vec<Claimed>, Vec<Uuid>) {
    let mut unreadable = Vec::new();
    let mut readable = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.0;
        match claimed(replica, row) {
            Ok(claimed) => readable.push(claimed),
            Err(error) => {
                tracing::error!(session.id = %id, %error, "session {id} cannot be run");
                unreadable.push(id);
            }
        }
    }
    (readable, unreadable)
}

pub(crate) fn record(id: Uuid, (version, projection, revision, request): RecordRow) -> Result<SessionRecord, Error> {
    let request = seal::opened(request);
    if seal::is_sealed(&request) {
        let cause = serde::de::Error::custom("it is sealed with another --secret-key");
        return Err(corrupt("session_requests", id, &cause));
    }
    let request: SessionRequest =
        serde_json::from_str(&request).map_err(|cause| corrupt("session_requests", id, &cause))?;
    Ok(SessionRecord {
        session: session(id, version, &projection)?,
        request: Arc::new(request),
        agent_revision: revision,
    })
}

/// Without what lists do not show and may be large.
pub(crate) fn summary(
    (id, version, projection, agent, agent_revision, first_message, group_id, parent): ListRow,
) -> Result<SummaryRow, Error> {
    let session = Session { answer: None, ..session(id, version, &projection)? };
    let first_message = first_message.map(|text| summed_up(id, text)).transpose()?;
    Ok(SummaryRow { session, agent, agent_revision, first_message, group_id, parent: parent.map(SessionId) })
}

/// Earlier versions stored the whole message.
fn summed_up(id: Uuid, message: String) -> Result<Box<RawValue>, Error> {
    if message.len() <= UserMessage::SUMMARY_CHARS_MAX {
        return raw("session_requests", id, message);
    }
    let whole: UserMessage = serde_json::from_str(&message).map_err(|cause| corrupt("session_requests", id, &cause))?;
    raw("session_requests", id, json(&whole.summary()))
}

pub(crate) fn event(id: Uuid, (index, type_name, body): EventRow) -> Result<LoggedEvent, Error> {
    let json: Arc<RawValue> = Arc::from(raw("events", id, body)?);
    Ok(LoggedEvent { index: index.unsigned_abs(), type_name: type_name.into(), json })
}

pub(crate) fn message(id: Uuid, body: &str) -> Result<UserMessage, Error> {
    serde_json::from_str(body).map_err(|cause| corrupt("inbox", id, &cause))
}

pub(crate) fn key((id, organization, user, prefix, created_at, revoked_at): KeyRow) -> KeyRecord {
    KeyRecord { id, organization, user, prefix, created_at, revoked_at }
}

pub(crate) fn entry((name, id, number, spec, created_at): EntryRow) -> Entry {
    Entry { name, version: Version { entry: id, number }, spec: seal::opened(spec), created_at }
}

pub(crate) fn revision((number, author, at, message, restored_from): RevisionRow) -> Revision {
    Revision { number, note: Note { author: UserId(author), at, message, restored_from } }
}

pub(crate) fn rating((session, author, body, at): RatingRow) -> Result<Rating, Error> {
    let feedback = serde_json::from_str(&body).map_err(|cause| corrupt("feedback", session, &cause))?;
    Ok(Rating { feedback, author: UserId(author), at })
}

pub(crate) fn slot_usage((active, queued, limit): SlotUsageRow) -> SlotUsage {
    let limit = limit.map(i64::unsigned_abs);
    SlotUsage { active: active.unsigned_abs(), queued: queued.unsigned_abs(), limit }
}

pub(crate) fn organization((id, name, at, users, keys, active, queued, limit): OrganizationRow) -> Organization {
    Organization {
        id: OrganizationId(id),
        name,
        users: users.unsigned_abs(),
        keys: keys.unsigned_abs(),
        slot_usage: slot_usage((active, queued, limit)),
        created_at: at,
    }
}

pub(crate) fn raw(table: &'static str, id: Uuid, text: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|cause| corrupt(table, id, &cause))
}

fn corrupt(table: &'static str, id: Uuid, cause: &serde_json::Error) -> Error {
    Error::Corrupt { table, id: id.to_string(), cause: cause.to_string() }
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "only strings are keys, so the stored types always serialize")]
    serde_json::to_string(value).expect("a stored type serializes")
}

/// How long [`json`] is.
pub(crate) fn length<T: serde::Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and neither can a stored type.
    drop(serde_json::to_writer(&mut count, value));
    count.0
}

pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Who runs a session from the start: nobody while it waits for a slot.
pub(crate) fn first_owner(new: &NewSession, transition: &Transition) -> Option<Uuid> {
    new.owner.filter(|_| transition.session.state.holds_slot()).map(|owner| owner.0)
}

/// When a worker must look after it. `SQLite` compares times as text, which goes wrong after the year 9999:
/// what is due later than that never is.
pub(crate) fn due_at(session: &Session) -> Option<Timestamp> {
    session.due_at().filter(|due| due.year() <= 9_999)
}

/// What `search` looks through and for: lower case, so that the database need not know Unicode, and without
/// NUL, which Postgres refuses in a text and `SQLite` takes for its end. Of a long text only the beginning is searched.
pub(crate) fn searchable(text: &str) -> String {
    let end = text.char_indices().nth(SEARCHED_MAX).map_or(text.len(), |(end, _)| end);
    text[..end].to_lowercase().replace('\0', "\u{fffd}")
}

/// Characters of a text that `search` looks through.
pub(crate) const SEARCHED_MAX: usize = 8 * 1024;

pub(crate) fn answer_text(session: &Session) -> Option<String> {
    match session.answer.as_ref()? {
        Answer::Text(text) => Some(searchable(text)),
        Answer::Object(object) => Some(searchable(&json(object))),
    }
}

pub(crate) fn first_message(request: &SessionRequest) -> Option<UserMessage> {
    request.messages.as_ref()?.to_vec().into_iter().next()
}

pub(crate) fn agent_name(request: &SessionRequest) -> &str {
    match &request.agent {
        Reference::Name(name) => name,
        Reference::Inline(agent) => &agent.name,
    }
}

/// How a commit's lease reads as columns of its row.
pub(crate) struct LeaseColumns {
    pub(crate) epochs: i64,
    pub(crate) set_owner: bool,
    pub(crate) owner: Option<Uuid>,
    pub(crate) held_epoch: Option<i64>,
    pub(crate) held_by: Option<Uuid>,
}

impl LeaseColumns {
    pub(crate) fn of(lease: CommitLease) -> Self {
        let keep = Self { epochs: 0, set_owner: false, owner: None, held_epoch: None, held_by: None };
        match lease {
            CommitLease::Leave => keep,
            CommitLease::Hold(lease) => Self { held_epoch: Some(lease.epoch), held_by: Some(lease.replica.0), ..keep },
            CommitLease::Release(lease) => {
                Self { set_owner: true, held_epoch: Some(lease.epoch), held_by: Some(lease.replica.0), ..keep }
            }
            CommitLease::Take(replica) => Self { epochs: 1, set_owner: true, owner: Some(replica.0), ..keep },
        }
    }
}
