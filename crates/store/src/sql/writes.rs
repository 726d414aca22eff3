//! What is decided before a batch is written, and what a lost connection left behind. Both engines accept the same text; this file is
//! compiled once for each.

use super::{Connection, idempotency_keys, slots};
use crate::{
    admission::decide,
    committer::{Landed, Verdict, Write},
    rows,
};
use quarterdeck_api::OrganizationId;
use quarterdeck_core::Transition;
use std::collections::BTreeSet;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A first verdict for each write: idempotency keys are claimed, then slots given.
pub(crate) async fn judge(
    connection: &mut Connection,
    writes: &[&Write],
    asked: &BTreeSet<OrganizationId>,
) -> Result<Vec<Verdict>> {
    let mut verdicts = idempotency_keys::claim(connection, writes).await?;
    if !asked.is_empty() {
        let found = slots::count(connection, writes, asked).await?;
        decide(writes, &mut verdicts, found);
        idempotency_keys::amend(connection, writes, &verdicts).await?;
    }
    Ok(verdicts)
}

/// What `write` turned into, if the log (or the inbox, for a change without events) holds what it would have written.
pub(crate) async fn landed(connection: &mut Connection, write: &Write) -> Result<Landed> {
    match (holds(connection, write.transition()).await?, write.queued()) {
        (Some(true), _) => Ok(Landed::As(Verdict::Applied)),
        (None, _) => Ok(Landed::Unknown),
        (Some(false), Some(queued)) if holds(connection, &queued.transition).await? == Some(true) => {
            Ok(Landed::As(Verdict::Queued))
        }
        (Some(false), _) => Ok(Landed::Nowhere),
    }
}

/// Whether the store holds what the transition wrote; none when that cannot be told any more. Events carry
/// microseconds, so equal text is the same event. The last one tells also which of two beginnings a session had: they
/// differ in their ends.
async fn holds(connection: &mut Connection, transition: &Transition) -> Result<Option<bool>> {
    let id = transition.session.id.0;
    if let Some(event) = transition.events.last() {
        let body: Option<String> =
            sqlx::query_scalar("SELECT body FROM events WHERE session_id = $1 AND event_index = $2")
                .bind(id)
                .bind(rows::int(event.index))
                .fetch_optional(connection)
                .await?;
        return Ok(Some(body.as_deref() == Some(event.json.get())));
    }
    let row: Option<(i64, String)> = sqlx::query_as("SELECT version, projection FROM sessions WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some((version, projection)) = row else { return Ok(Some(false)) };
    let written = rows::int(transition.session.version);
    let Some((number, message)) = transition.accepted.first() else { return Ok(Some(version == written)) };
    let stored: Option<String> = sqlx::query_scalar("SELECT message FROM inbox WHERE session_id = $1 AND number = $2")
        .bind(id)
        .bind(rows::int(*number))
        .fetch_optional(connection)
        .await?;
    if version < written || stored.is_some() {
        return Ok(Some(version >= written && stored == Some(rows::json(message))));
    }
    // It is not in the inbox: it never was, or it was delivered since, this one or another of the same number.
    let was_delivered = rows::session(id, version, &projection).is_ok_and(|now| now.inbox.delivered > *number);
    Ok(if was_delivered { None } else { Some(false) })
}
