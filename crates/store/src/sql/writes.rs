//! The statements of a batch. Both engines accept the same text; this file is compiled once for each.

use super::{Connection, Db};
use crate::{
    Commit, CommitLease, Idempotency, NewSession,
    committer::{Verdict, Write},
    rows,
};
use quarterdeck_api::{OrganizationId, SessionId};
use quarterdeck_core::Transition;
use sqlx::QueryBuilder;
use std::collections::HashSet;
use uuid::Uuid;

/// Binds in one statement stay below what both engines allow (32,766 and 65,535).
const ROWS_MAX: usize = 1_000;
/// An idempotency key protects for 24 hours (contract: sessions, "Idempotency-Key").
const KEY_LIFE: chrono::TimeDelta = chrono::TimeDelta::hours(24);

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Applies all of them inside the caller's transaction.
pub(crate) async fn apply(connection: &mut Connection, writes: &[&Write]) -> Result<Vec<Verdict>> {
    let mut verdicts = claim_keys(connection, writes).await?;
    let mut creations = Vec::new();
    let mut commits = Vec::new();
    for (write, verdict) in writes.iter().zip(&verdicts) {
        match write {
            Write::Create(new) if *verdict == Verdict::Applied => creations.push(&**new),
            Write::Create(_) => {}
            Write::Commit(commit) => commits.push(&**commit),
        }
    }
    insert_sessions(connection, &creations).await?;
    let advanced = advance_sessions(connection, &commits).await?;
    for (write, verdict) in writes.iter().zip(&mut verdicts) {
        if matches!(write, Write::Commit(_)) && !advanced.contains(&write.session()) {
            *verdict = Verdict::Conflict;
        }
    }
    let applied: Vec<&Transition> = writes
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Verdict::Applied)
        .map(|(write, _)| write.transition())
        .collect();
    insert_events(connection, &applied).await?;
    insert_messages(connection, &applied).await?;
    delete_messages(connection, &applied).await?;
    Ok(verdicts)
}

async fn claim_keys(connection: &mut Connection, writes: &[&Write]) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(writes.len());
    for write in writes {
        verdicts.push(match write {
            Write::Create(new) => match &new.idempotency {
                Some(idempotency) => claim_key(connection, new, idempotency).await?,
                None => Verdict::Applied,
            },
            Write::Commit(_) => Verdict::Applied,
        });
    }
    Ok(verdicts)
}

async fn claim_key(connection: &mut Connection, new: &NewSession, idempotency: &Idempotency) -> Result<Verdict> {
    let session = &new.transition.session;
    let claimed: Option<Uuid> = sqlx::query_scalar(
        "INSERT INTO idempotency_keys (organization_id, key, request_hash, session_id, response, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (organization_id, key) DO UPDATE \
         SET request_hash = excluded.request_hash, session_id = excluded.session_id, \
             response = excluded.response, created_at = excluded.created_at \
         WHERE idempotency_keys.created_at <= $7 \
         RETURNING session_id",
    )
    .bind(session.organization.0)
    .bind(&idempotency.key)
    .bind(&idempotency.request_hash[..])
    .bind(session.id.0)
    .bind(&idempotency.response)
    .bind(session.created_at)
    .bind(session.created_at - KEY_LIFE)
    .fetch_optional(&mut *connection)
    .await?;
    match claimed {
        Some(_) => Ok(Verdict::Applied),
        None => replay(connection, session.organization, idempotency).await,
    }
}

async fn replay(
    connection: &mut Connection,
    organization: OrganizationId,
    idempotency: &Idempotency,
) -> Result<Verdict> {
    let (hash, response): (Vec<u8>, String) = sqlx::query_as(
        "SELECT request_hash, response FROM idempotency_keys WHERE organization_id = $1 AND key = $2",
    )
    .bind(organization.0)
    .bind(&idempotency.key)
    .fetch_one(connection)
    .await?;
    Ok(if hash == idempotency.request_hash { Verdict::Replayed(response) } else { Verdict::KeyReused })
}

async fn insert_sessions(connection: &mut Connection, creations: &[&NewSession]) -> Result<()> {
    if creations.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO sessions (id, organization_id, user_id, version, status, projection, owner, epoch, due_at, \
         agent, agent_name, agent_revision, group_id, parent_session_id, created_at) ",
    );
    query.push_values(creations, |mut row, new| {
        let session = &new.transition.session;
        row.push_bind(session.id.0)
            .push_bind(session.organization.0)
            .push_bind(session.user.0)
            .push_bind(rows::int(session.version))
            .push_bind(session.state.status().as_str())
            .push_bind(rows::json(session))
            .push_bind(new.owner.map(|owner| owner.0))
            .push_bind(i64::from(new.owner.is_some()))
            .push_bind(session.due_at())
            .push_bind(new.agent_reference.clone())
            .push_bind(rows::agent_name(&new.request).to_owned())
            .push_bind(new.agent_revision)
            .push_bind(new.request.group_id.clone())
            .push_bind(new.parent.map(|parent| parent.0))
            .push_bind(session.created_at);
    });
    query.build().execute(&mut *connection).await?;
    insert_requests(connection, creations).await
}

async fn insert_requests(connection: &mut Connection, creations: &[&NewSession]) -> Result<()> {
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO session_requests (session_id, request, first_message, first_message_text) ",
    );
    query.push_values(creations, |mut row, new| {
        let first = rows::first_message(&new.request);
        row.push_bind(new.transition.session.id.0)
            .push_bind(rows::json(&*new.request))
            .push_bind(first.as_ref().map(rows::json))
            .push_bind(first.map(|message| message.message.to_lowercase()));
    });
    query.build().execute(connection).await?;
    Ok(())
}

/// The guard: a row moves only from the version and, for a worker, in the epoch that was decided on.
async fn advance_sessions(connection: &mut Connection, commits: &[&Commit]) -> Result<HashSet<SessionId>> {
    if commits.is_empty() {
        return Ok(HashSet::new());
    }
    let mut query = QueryBuilder::<Db>::new(
        "UPDATE sessions SET version = v.column2, status = v.column3, projection = v.column4, due_at = v.column5, \
         finished_at = v.column6, answer_text = v.column7, epoch = sessions.epoch + v.column8, \
         owner = CASE WHEN v.column9 = 1 THEN v.column10 ELSE sessions.owner END FROM (",
    );
    query.push_values(commits, |mut row, commit| {
        let session = &commit.transition.session;
        let lease = LeaseColumns::of(commit.lease);
        row.push_bind(session.id.0)
            .push_bind(rows::int(session.version))
            .push_bind(session.state.status().as_str())
            .push_bind(rows::json(session))
            .push_bind(session.due_at())
            .push_bind(session.finished_at)
            .push_bind(rows::answer_text(session))
            .push_bind(lease.epochs)
            .push_bind(i64::from(lease.set_owner))
            .push_bind(lease.owner)
            .push_bind(lease.held_epoch)
            .push_bind(lease.held_by);
    });
    query.push(
        ") AS v WHERE sessions.id = v.column1 AND sessions.version = v.column2 - 1 \
         AND (v.column11 IS NULL OR (sessions.epoch = v.column11 AND sessions.owner = v.column12)) \
         RETURNING sessions.id",
    );
    let ids: Vec<Uuid> = query.build_query_scalar().fetch_all(connection).await?;
    Ok(ids.into_iter().map(SessionId).collect())
}

/// How a commit's lease reads as columns of its `VALUES` row.
struct LeaseColumns {
    epochs: i64,
    set_owner: bool,
    owner: Option<Uuid>,
    held_epoch: Option<i64>,
    held_by: Option<Uuid>,
}

impl LeaseColumns {
    fn of(lease: CommitLease) -> Self {
        let keep = Self { epochs: 0, set_owner: false, owner: None, held_epoch: None, held_by: None };
        match lease {
            CommitLease::Leave => keep,
            CommitLease::Hold(lease) => {
                Self { held_epoch: Some(lease.epoch), held_by: Some(lease.replica.0), ..keep }
            }
            CommitLease::Release(lease) => {
                Self { set_owner: true, held_epoch: Some(lease.epoch), held_by: Some(lease.replica.0), ..keep }
            }
            CommitLease::Take(replica) => Self { epochs: 1, set_owner: true, owner: Some(replica.0), ..keep },
        }
    }
}

async fn insert_events(connection: &mut Connection, applied: &[&Transition]) -> Result<()> {
    let events: Vec<_> =
        applied.iter().flat_map(|t| t.events.iter().map(|event| (t.session.id.0, event))).collect();
    for chunk in events.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO events (session_id, event_index, type, body) ");
        query.push_values(chunk, |mut row, (id, event)| {
            row.push_bind(*id)
                .push_bind(rows::int(event.index))
                .push_bind(&*event.type_name)
                .push_bind(event.json.get());
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_messages(connection: &mut Connection, applied: &[&Transition]) -> Result<()> {
    let messages: Vec<_> =
        applied.iter().flat_map(|t| t.accepted.iter().map(|message| (t.session.id.0, message))).collect();
    for chunk in messages.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO inbox (session_id, number, message) ");
        query.push_values(chunk, |mut row, (id, (number, message))| {
            row.push_bind(*id).push_bind(rows::int(*number)).push_bind(rows::json(message));
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Delivered messages are in the log now.
async fn delete_messages(connection: &mut Connection, applied: &[&Transition]) -> Result<()> {
    for transition in applied.iter().filter(|t| t.delivers) {
        sqlx::query("DELETE FROM inbox WHERE session_id = $1 AND number < $2")
            .bind(transition.session.id.0)
            .bind(rows::int(transition.session.inbox.delivered))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Whether the log (or the inbox, for a change without events) holds what the transition wrote. Events carry
/// microseconds, so equal text is the same event.
pub(crate) async fn landed(connection: &mut Connection, transition: &Transition) -> Result<bool> {
    let id = transition.session.id.0;
    if let Some(event) = transition.events.first() {
        let body: Option<String> =
            sqlx::query_scalar("SELECT body FROM events WHERE session_id = $1 AND event_index = $2")
                .bind(id)
                .bind(rows::int(event.index))
                .fetch_optional(connection)
                .await?;
        return Ok(body.as_deref() == Some(event.json.get()));
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM sessions WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some((number, message)) = transition.accepted.first() else {
        return Ok(version == Some(rows::int(transition.session.version)));
    };
    let stored: Option<String> = sqlx::query_scalar("SELECT message FROM inbox WHERE session_id = $1 AND number = $2")
        .bind(id)
        .bind(rows::int(*number))
        .fetch_optional(connection)
        .await?;
    Ok(version >= Some(rows::int(transition.session.version)) && stored == Some(rows::json(message)))
}
