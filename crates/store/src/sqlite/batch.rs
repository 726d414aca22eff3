//! A batch on `SQLite`: a few statements of many rows.
//!
//! Rows go in groups of powers of two, so that there are few different statements and each is prepared once.

use super::{Connection, Db, writes};
use crate::{
    Commit, NewSession,
    admission::asked,
    committer::{Verdict, Write},
    rows::{self, LeaseColumns},
    seal,
};
use quarterdeck_api::SessionId;
use quarterdeck_core::Transition;
use sqlx::QueryBuilder;
use std::collections::HashSet;
use uuid::Uuid;

/// Rows in one statement: with 15 binds each they stay below the 32,766 that are allowed.
const ROWS_MAX: usize = 256;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Applies all of them inside the caller's transaction.
pub(crate) async fn apply(connection: &mut Connection, writes: &[&Write]) -> Result<Vec<Verdict>> {
    let mut verdicts = writes::judge(connection, writes, &asked(writes)).await?;
    let mut creations = Vec::new();
    let mut commits = Vec::new();
    for (write, verdict) in writes.iter().zip(&verdicts) {
        match (write, write.outcome(verdict)) {
            (Write::Create(new), Some(transition)) => creations.push((&**new, transition)),
            (Write::Commit(commit), Some(_)) => commits.push(&**commit),
            (Write::Create(_) | Write::Commit(_), None) => {}
        }
    }
    insert_sessions(connection, &creations).await?;
    let advanced = advance_sessions(connection, &commits).await?;
    for (write, verdict) in writes.iter().zip(&mut verdicts) {
        let is_late = matches!(write, Write::Commit(_)) && !advanced.contains(&write.session());
        if is_late && *verdict == Verdict::Applied {
            *verdict = Verdict::Conflict;
        }
    }
    let applied: Vec<&Transition> =
        writes.iter().zip(&verdicts).filter_map(|(write, verdict)| write.outcome(verdict)).collect();
    insert_events(connection, &applied).await?;
    insert_messages(connection, &applied).await?;
    delete_messages(connection, &applied).await?;
    Ok(verdicts)
}

async fn insert_sessions(connection: &mut Connection, creations: &[(&NewSession, &Transition)]) -> Result<()> {
    for group in groups(creations) {
        insert_session_rows(connection, group).await?;
        insert_requests(connection, group).await?;
    }
    Ok(())
}

async fn insert_session_rows(connection: &mut Connection, creations: &[(&NewSession, &Transition)]) -> Result<()> {
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO sessions (id, organization_id, user_id, version, status, projection, owner, epoch, due_at, \
         agent, agent_name, agent_revision, group_id, parent_session_id, created_at) ",
    );
    query.push_values(creations, |mut row, (new, transition)| {
        let session = &transition.session;
        let owner = rows::first_owner(new, transition);
        row.push_bind(session.id.0)
            .push_bind(session.organization.0)
            .push_bind(session.user.0)
            .push_bind(rows::int(session.version))
            .push_bind(session.state.status().as_str())
            .push_bind(rows::json(session))
            .push_bind(owner)
            .push_bind(i64::from(owner.is_some()))
            .push_bind(rows::due_at(session))
            .push_bind(new.agent_reference.clone())
            .push_bind(rows::agent_name(&new.request).to_owned())
            .push_bind(new.agent_revision)
            .push_bind(new.request.group_id.clone())
            .push_bind(new.parent.map(|parent| parent.0))
            .push_bind(session.created_at);
    });
    query.build().execute(connection).await?;
    Ok(())
}

async fn insert_requests(connection: &mut Connection, creations: &[(&NewSession, &Transition)]) -> Result<()> {
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO session_requests (session_id, request, first_message, first_message_text, delete_after_min, \
         delete_screenshot_after_min) ",
    );
    query.push_values(creations, |mut row, (new, _)| {
        let first = rows::first_message(&new.request);
        row.push_bind(new.transition.session.id.0)
            .push_bind(seal::sealed(&rows::json(&*new.request)).into_owned())
            .push_bind(first.as_ref().map(|message| rows::json(&message.clone().summary())))
            .push_bind(first.map(|message| rows::searchable(&message.message)))
            .push_bind(new.transition.session.settings.retention.delete_after_min)
            .push_bind(new.transition.session.settings.retention.delete_screenshot_after_min);
    });
    query.build().execute(connection).await?;
    Ok(())
}

/// The guard: a row moves only from the version and, for a worker, in the epoch that was decided on.
async fn advance_sessions(connection: &mut Connection, commits: &[&Commit]) -> Result<HashSet<SessionId>> {
    let mut advanced = HashSet::new();
    for group in groups(commits) {
        advanced.extend(advance_group(connection, group).await?);
    }
    Ok(advanced)
}

async fn advance_group(connection: &mut Connection, commits: &[&Commit]) -> Result<impl Iterator<Item = SessionId>> {
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
            .push_bind(rows::due_at(session))
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
    Ok(ids.into_iter().map(SessionId))
}

async fn insert_events(connection: &mut Connection, applied: &[&Transition]) -> Result<()> {
    let events: Vec<_> = applied.iter().flat_map(|t| t.events.iter().map(|event| (t.session.id.0, event))).collect();
    for group in groups(&events) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO events (session_id, event_index, type, body) ");
        query.push_values(group, |mut row, (id, event)| {
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
    for group in groups(&messages) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO inbox (session_id, number, message) ");
        query.push_values(group, |mut row, (id, (number, message))| {
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

/// Splits rows into groups of powers of two, the largest first.
fn groups<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = rows.len().min(ROWS_MAX).checked_ilog2().map(|power| 1 << power)?;
        let (group, rest) = rows.split_at(size);
        rows = rest;
        Some(group)
    })
}
