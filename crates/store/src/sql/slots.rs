//! The statements that count slots. Both engines accept the same text; this file is compiled once for each.
//!
//! The conditions on `status` must read as in the indexes of migration 4, or the indexes are not used.

use super::{Connection, Db, Engine, Pool, read};
use crate::{
    Backlog, Error, SlotUsage, Slots,
    admission::{Asker, Found},
    committer::Write,
    rows,
};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId};
use sqlx::QueryBuilder;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// What a session of this status takes from its organization (`State::holds_slot` in the core).
macro_rules! active {
    ($organization:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM sessions s WHERE s.organization_id = ",
            $organization,
            " AND s.status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results'))"
        )
    };
}
pub(crate) use active;

macro_rules! queued {
    ($organization:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM sessions s WHERE s.organization_id = ",
            $organization,
            " AND s.status = 'queued')"
        )
    };
}
pub(crate) use queued;

const STANDING: &str = concat!(
    "SELECT ",
    active!("$1"),
    ", ",
    queued!("$1"),
    ", (SELECT o.max_concurrent_sessions FROM organizations o WHERE o.id = $1)"
);

/// Two queries in one, so that each uses its index.
const LIVE: &str = "SELECT status, COUNT(*) FROM sessions \
         WHERE status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results') GROUP BY status \
     UNION ALL SELECT status, COUNT(*) FROM sessions WHERE status = 'queued' GROUP BY status";

/// The same of one organization.
const LIVE_OF_ONE: &str = "SELECT status, COUNT(*) FROM sessions WHERE organization_id = $1 \
         AND status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results') GROUP BY status \
     UNION ALL SELECT status, COUNT(*) FROM sessions WHERE organization_id = $1 AND status = 'queued' GROUP BY status";

const WAITING: &str = "SELECT COUNT(*) FROM sessions WHERE status = 'queued'";

/// Of each organization as many of its oldest as it has slots free.
const NEXT_IN_LINE: &str = concat!(
    "WITH waiting AS ( \
         SELECT id, organization_id, created_at, ROW_NUMBER() OVER ( \
             PARTITION BY organization_id ORDER BY created_at, id) AS place \
         FROM sessions WHERE status = 'queued'), \
     room AS ( \
         SELECT w.organization_id, COALESCE(o.max_concurrent_sessions, $1) - ",
    active!("w.organization_id"),
    " AS slots \
         FROM (SELECT DISTINCT organization_id FROM waiting) w LEFT JOIN organizations o ON o.id = w.organization_id) \
     SELECT s.id, s.version, s.projection, s.owner, s.epoch \
     FROM waiting w JOIN room ON room.organization_id = w.organization_id JOIN sessions s ON s.id = w.id \
     WHERE w.place <= room.slots ORDER BY w.created_at, w.id LIMIT $2"
);

#[async_trait]
impl Slots for Engine {
    async fn slot_usage(&self, organization: OrganizationId) -> Result<SlotUsage, Error> {
        read(|| async {
            let slot_usage = sqlx::query_as(STANDING).bind(organization.0);
            Ok(rows::slot_usage(slot_usage.fetch_one(self.reader()).await?))
        })
        .await
    }

    async fn live_sessions(&self, organization: Option<OrganizationId>) -> Result<Vec<(String, u64)>, Error> {
        read(|| async {
            let query = match organization {
                None => sqlx::query_as(LIVE),
                Some(organization) => sqlx::query_as(LIVE_OF_ONE).bind(organization.0),
            };
            let rows: Vec<(String, i64)> = query.fetch_all(self.reader()).await?;
            Ok(rows.into_iter().map(|(status, count)| (status, count.unsigned_abs())).collect())
        })
        .await
    }

    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog, Error> {
        read(|| backlog(self, default_limit, count)).await
    }
}

async fn backlog(engine: &Engine, default_limit: u64, count: u32) -> Result<Backlog, Error> {
    let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(engine.reader()).await?;
    if waiting == 0 {
        return Ok(Backlog::default());
    }
    let next = sqlx::query_as(NEXT_IN_LINE).bind(rows::int(default_limit)).bind(i64::from(count));
    let rows: Vec<(Uuid, i64, String, Option<Uuid>, i64)> = next.fetch_all(engine.reader()).await?;
    let mut next = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for (id, version, projection, owner, epoch) in rows {
        match rows::stored(id, &(version, projection, owner, epoch)) {
            Ok(stored) => next.push(stored),
            Err(error) => {
                tracing::error!(session.id = %id, %error, "session {id} cannot be started");
                unreadable.push(id);
            }
        }
    }
    take_out(engine.writer(), &unreadable).await?;
    Ok(Backlog { waiting: waiting.unsigned_abs(), next })
}

/// They must not stay first in line for ever.
async fn take_out(pool: &Pool, unreadable: &[Uuid]) -> Result<(), Error> {
    for id in unreadable {
        let take_out = "UPDATE sessions SET status = 'failed', due_at = NULL, version = version + 1 WHERE id = $1";
        sqlx::query(take_out).bind(id).execute(pool).await?;
    }
    Ok(())
}

/// Counts for the writes that ask. On Postgres their organizations are locked, and no other process can count until
/// this transaction has ended.
pub(crate) async fn count(
    connection: &mut Connection,
    writes: &[&Write],
    asked: &BTreeSet<OrganizationId>,
) -> Result<Found, sqlx::Error> {
    Ok(Found { slot_usages: slot_usages(connection, asked).await?, askers: askers(connection, writes).await? })
}

async fn slot_usages(
    connection: &mut Connection,
    asked: &BTreeSet<OrganizationId>,
) -> Result<HashMap<OrganizationId, SlotUsage>, sqlx::Error> {
    let mut query = QueryBuilder::<Db>::new("WITH asked (id) AS (");
    query.push_values(asked, |mut row, organization| {
        row.push_bind(organization.0);
    });
    query.push(concat!(
        ") SELECT asked.id, ",
        active!("asked.id"),
        ", ",
        queued!("asked.id"),
        ", (SELECT o.max_concurrent_sessions FROM organizations o WHERE o.id = asked.id) FROM asked"
    ));
    let rows: Vec<(Uuid, i64, i64, Option<i64>)> = query.build_query_as().fetch_all(connection).await?;
    let slot_usage = |(id, active, queued, limit)| (OrganizationId(id), rows::slot_usage((active, queued, limit)));
    Ok(rows.into_iter().map(slot_usage).collect())
}

/// Restarts and promotions that are not too late. Their rows are locked, so that none takes a slot and then turns out
/// to be a conflict.
async fn askers(connection: &mut Connection, writes: &[&Write]) -> Result<HashMap<SessionId, Asker>, sqlx::Error> {
    let commits: Vec<_> = writes
        .iter()
        .filter(|write| matches!(write, Write::Commit(_)) && write.asks())
        .map(|write| &write.transition().session)
        .collect();
    if commits.is_empty() {
        return Ok(HashMap::new());
    }
    let mut query = QueryBuilder::<Db>::new("WITH asking (id, version) AS (");
    query.push_values(commits, |mut row, session| {
        row.push_bind(session.id.0).push_bind(rows::int(session.version));
    });
    query.push(
        ") SELECT s.id, s.parent_session_id FROM sessions s JOIN asking ON s.id = asking.id \
         WHERE s.version = asking.version - 1 ORDER BY s.id",
    );
    query.push(super::LOCK_SESSIONS);
    let rows: Vec<(Uuid, Option<Uuid>)> = query.build_query_as().fetch_all(connection).await?;
    let asker = |(id, parent): (Uuid, Option<Uuid>)| (SessionId(id), Asker { has_parent: parent.is_some() });
    Ok(rows.into_iter().map(asker).collect())
}
