//! Rows as plain values, and what they become; nothing above the store sees a row.

use crate::{Claimed, Error, KeyRecord, Lease, Owner, ReplicaId, SessionRecord, StoredSession, SummaryRow};
use quarterdeck_api::{Answer, Reference, SessionRequest, Timestamp, UserMessage};
use quarterdeck_core::{LoggedEvent, Session};
use serde_json::value::RawValue;
use std::sync::Arc;
use uuid::Uuid;

/// `version, projection, owner, epoch`.
pub(crate) type SessionRow = (i64, String, Option<Uuid>, i64);
/// `version, projection, agent_revision, request`.
pub(crate) type RecordRow = (i64, String, Option<i64>, String);
/// `version, projection, agent_name, agent_revision, first_message`.
pub(crate) type ListRow = (i64, String, String, Option<i64>, Option<String>);
/// `event_index, type, body`.
pub(crate) type EventRow = (i64, String, String);
/// `id, version, projection, epoch`.
pub(crate) type ClaimRow = (Uuid, i64, String, i64);
/// `id, organization, user, prefix, created_at, revoked_at`.
pub(crate) type KeyRow = (Uuid, String, String, String, Timestamp, Option<Timestamp>);

/// The column is the truth for the version: a claim moves it without writing the projection.
pub(crate) fn session(id: Uuid, version: i64, projection: &str) -> Result<Session, Error> {
    let mut session: Session = serde_json::from_str(projection).map_err(|cause| corrupt("sessions", id, &cause))?;
    session.version = version.unsigned_abs();
    Ok(session)
}

pub(crate) fn stored(id: Uuid, (version, projection, owner, epoch): SessionRow) -> Result<StoredSession, Error> {
    let owner = Owner { replica: owner.map(ReplicaId), epoch };
    Ok(StoredSession { session: session(id, version, &projection)?, owner })
}

pub(crate) fn claimed(replica: ReplicaId, (id, version, projection, epoch): ClaimRow) -> Result<Claimed, Error> {
    Ok(Claimed { session: session(id, version, &projection)?, lease: Lease { replica, epoch } })
}

pub(crate) fn record(id: Uuid, (version, projection, revision, request): RecordRow) -> Result<SessionRecord, Error> {
    let request: SessionRequest =
        serde_json::from_str(&request).map_err(|cause| corrupt("session_requests", id, &cause))?;
    Ok(SessionRecord {
        session: session(id, version, &projection)?,
        request: Arc::new(request),
        agent_revision: revision,
    })
}

pub(crate) fn summary((version, projection, agent, revision, first_message): ListRow) -> Result<SummaryRow, Error> {
    let session = session(Uuid::nil(), version, &projection)?;
    let id = session.id.0;
    let first_message = first_message.map(|text| raw("session_requests", id, text)).transpose()?;
    Ok(SummaryRow { session, agent, agent_revision: revision, first_message })
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

pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What `search` looks through: lower case, so that the database need not know Unicode.
pub(crate) fn answer_text(session: &Session) -> Option<String> {
    match session.answer.as_ref()? {
        Answer::Text(text) => Some(text.to_lowercase()),
        Answer::Object(object) => Some(json(object).to_lowercase()),
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
