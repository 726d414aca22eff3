//! Queries that both engines accept. This file is compiled once for each.

use super::{
    Db, Pool,
    totals::{Totals, index_condition},
};
use crate::{
    Caller, Creation, Error, EventFilter, KeyHash, KeyRecord, Lease, Listing, NewKey, Owned, ReplicaId, SessionFilter,
    SessionRecord, SummaryRow,
    rows::{self, EventRow, KeyRow, ListRow, RecordRow},
};
use futures_util::TryStreamExt;
use quarterdeck_api::{OrganizationId, SessionId, Timestamp, UserId, UserMessage};
use quarterdeck_core::LoggedEvent;
use serde_json::value::RawValue;
use sqlx::QueryBuilder;
use std::sync::Arc;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Error>;

pub(crate) async fn caller(pool: &Pool, hash: KeyHash) -> Result<Option<Caller>> {
    let row: Option<(Uuid, Uuid)> =
        sqlx::query_as("SELECT organization_id, user_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL")
            .bind(&hash.0[..])
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(organization, user)| Caller { organization: OrganizationId(organization), user: UserId(user) }))
}

pub(crate) async fn create_key(pool: &Pool, key: NewKey) -> Result<()> {
    let [key_id, organization_id, user_id] = key.ids;
    let mut transaction = pool.begin().await?;
    sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
        .bind(organization_id)
        .bind(&key.organization)
        .bind(key.created_at)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO users (id, organization_id, name, created_at) \
         SELECT $1, id, $2, $3 FROM organizations WHERE name = $4 ON CONFLICT (organization_id, name) DO NOTHING",
    )
    .bind(user_id)
    .bind(&key.user)
    .bind(key.created_at)
    .bind(&key.organization)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO api_keys (id, organization_id, user_id, hash, prefix, created_at) \
         SELECT $1, o.id, u.id, $2, $3, $4 FROM organizations o JOIN users u ON u.organization_id = o.id \
         WHERE o.name = $5 AND u.name = $6 ON CONFLICT (hash) DO NOTHING",
    )
    .bind(key_id)
    .bind(&key.hash.0[..])
    .bind(&key.prefix)
    .bind(key.created_at)
    .bind(&key.organization)
    .bind(&key.user)
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

pub(crate) async fn keys(pool: &Pool) -> Result<Vec<KeyRecord>> {
    let rows: Vec<KeyRow> = sqlx::query_as(
        "SELECT k.id, o.name, u.name, k.prefix, k.created_at, k.revoked_at FROM api_keys k \
         JOIN organizations o ON o.id = k.organization_id JOIN users u ON u.id = k.user_id \
         ORDER BY k.created_at, k.id",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(rows::key).collect())
}

pub(crate) async fn revoke_key(pool: &Pool, id: Uuid, now: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id)
        .bind(now)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn record(pool: &Pool, id: SessionId) -> Result<Option<SessionRecord>> {
    let row: Option<RecordRow> = sqlx::query_as(
        "SELECT s.version, s.projection, s.agent_revision, r.request FROM sessions s \
         JOIN session_requests r ON r.session_id = s.id WHERE s.id = $1",
    )
    .bind(id.0)
    .fetch_optional(pool)
    .await?;
    row.map(|row| rows::record(id.0, row)).transpose()
}

/// Lists leave out longer first messages, in characters. This version stores none; the first ones stored pictures, too.
const FIRST_MESSAGE_MAX: i64 = 1024 * 1024;

pub(crate) async fn sessions(
    pool: &Pool,
    totals: &Totals,
    organization: OrganizationId,
    filter: SessionFilter,
) -> Result<Listing<SummaryRow>> {
    let total = totals.count(pool, organization, &filter).await?;
    if total == 0 {
        // The whole index would be read to find nothing.
        return Ok(Listing { items: Vec::new(), total });
    }
    let order =
        if filter.ascending { " ORDER BY s.created_at, s.id" } else { " ORDER BY s.created_at DESC, s.id DESC" };
    let mut page = QueryBuilder::<Db>::new("WITH page AS (SELECT s.id");
    push_matching(&mut page, organization, &filter, "");
    page.push(index_condition(&filter.statuses));
    page.push(order).push(" LIMIT ").push_bind(filter.limit).push(" OFFSET ").push_bind(filter.offset);
    page.push(
        ") SELECT s.id, s.version, s.projection, s.agent_name, s.agent_revision, \
         CASE WHEN length(r.first_message) <= ",
    );
    page.push_bind(FIRST_MESSAGE_MAX);
    page.push(
        " THEN r.first_message END, s.group_id, s.parent_session_id \
         FROM page JOIN sessions s ON s.id = page.id JOIN session_requests r ON r.session_id = s.id",
    );
    page.push(order);
    let mut rows = page.build_query_as::<ListRow>().fetch(pool);
    let mut items = Vec::new();
    // One after another, since what is left of a row is much smaller than the row.
    while let Some(row) = rows.try_next().await? {
        match rows::summary(row) {
            Ok(summary) => items.push(summary),
            Err(error) => tracing::error!(%error, "a session cannot be listed"),
        }
    }
    Ok(Listing { items, total })
}

/// What is counted or passed over is found by indexes alone, as far as the filter allows. `hint` stands before the column of
/// the organization.
pub(crate) fn push_matching(
    query: &mut QueryBuilder<Db>,
    organization: OrganizationId,
    filter: &SessionFilter,
    hint: &'static str,
) {
    query.push(" FROM sessions s");
    if filter.search.is_some() {
        query.push(" JOIN session_requests r ON r.session_id = s.id");
    }
    query.push(" WHERE ").push(hint).push("s.organization_id = ").push_bind(organization.0);
    if let Some(user) = filter.user {
        query.push(" AND s.user_id = ").push_bind(user.0);
    }
    push_any(query, " AND s.status IN (", filter.statuses.iter().map(|status| status.as_str().to_owned()));
    if !filter.agents.is_empty() {
        // By the name it was asked for, and by the one that lists show.
        push_any(query, " AND (s.agent IN (", filter.agents.iter().cloned());
        push_any(query, " OR s.agent_name IN (", filter.agents.iter().cloned());
        query.push(")");
    }
    if let Some(group) = &filter.group_id {
        query.push(" AND s.group_id = ").push_bind(group.clone());
    }
    if let Some(parent) = filter.parent {
        query.push(" AND s.parent_session_id = ").push_bind(parent.0);
    }
    for (condition, bound) in [
        (" AND s.created_at < ", filter.created_before),
        (" AND s.created_at > ", filter.created_after),
        (" AND s.finished_at < ", filter.finished_before),
        (" AND s.finished_at > ", filter.finished_after),
    ] {
        if let Some(bound) = bound {
            query.push(condition).push_bind(bound);
        }
    }
    if let Some(search) = &filter.search {
        let text = rows::searchable(search);
        for (opening, column) in [(" AND (", "r.first_message_text"), (" OR ", "s.answer_text")] {
            // What was stored before texts were cut is long.
            query.push(opening).push(super::POSITION).push("(substr(").push(column);
            query.push(format!(", 1, {}), ", rows::SEARCHED_MAX));
            query.push_bind(text.clone()).push(") > 0");
        }
        query.push(")");
    }
}

fn push_any(query: &mut QueryBuilder<Db>, opening: &str, values: impl ExactSizeIterator<Item = String>) {
    if values.len() == 0 {
        return;
    }
    query.push(opening);
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

/// Characters of events that are read at once, unless one alone has more.
const LOG_PORTION: i64 = 16 * 1024 * 1024;

pub(crate) async fn events(pool: &Pool, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "SELECT event_index, type, body FROM ( \
             SELECT event_index, type, body, SUM(length(body)) OVER (ORDER BY event_index) AS total FROM ( \
                 SELECT event_index, type, body FROM events WHERE session_id = $1 AND event_index >= $2 \
                 ORDER BY event_index LIMIT $3) AS next) AS added \
         WHERE total <= $4 OR event_index = $2 ORDER BY event_index",
    )
    .bind(id.0)
    .bind(rows::int(from))
    .bind(rows::int(limit))
    .bind(LOG_PORTION)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| rows::event(id.0, row)).collect()
}

pub(crate) async fn events_page(pool: &Pool, id: SessionId, filter: EventFilter) -> Result<Listing<Arc<RawValue>>> {
    let total = count_events(pool, id, filter.type_name.as_deref()).await?;
    let mut query = QueryBuilder::<Db>::new("SELECT event_index, type, body FROM events WHERE session_id = ");
    query.push_bind(id.0);
    match &filter.type_name {
        Some(type_name) => {
            query.push(" AND type = ").push_bind(type_name.clone());
            query.push(if filter.descending { " ORDER BY event_index DESC" } else { " ORDER BY event_index" });
            query.push(" LIMIT ").push_bind(filter.limit).push(" OFFSET ").push_bind(filter.offset);
        }
        None => push_range(&mut query, &filter, total),
    }
    let mut rows = query.build_query_as::<EventRow>().fetch(pool);
    let (mut items, mut room) = (Vec::new(), PAGE_MAX_BYTES);
    while let Some(row) = rows.try_next().await? {
        let event = rows::event(id.0, row)?.json;
        let left = room.checked_sub(event.get().len());
        if left.is_none() && !items.is_empty() {
            break;
        }
        room = left.unwrap_or_default();
        items.push(event);
    }
    Ok(Listing { items, total: total.unsigned_abs() })
}

/// Bytes of events on a page, unless one alone has more.
const PAGE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Indexes are dense, so a page of the whole log is a range: the last page costs what the first does.
fn push_range(query: &mut QueryBuilder<Db>, filter: &EventFilter, total: i64) {
    let (from, to) = if filter.descending {
        let to = total.saturating_sub(filter.offset);
        (to.saturating_sub(filter.limit), to)
    } else {
        (filter.offset, filter.offset.saturating_add(filter.limit))
    };
    query.push(" AND event_index >= ").push_bind(from).push(" AND event_index < ").push_bind(to);
    query.push(if filter.descending { " ORDER BY event_index DESC" } else { " ORDER BY event_index" });
}

async fn count_events(pool: &Pool, id: SessionId, type_name: Option<&str>) -> Result<i64> {
    let Some(type_name) = type_name else {
        let last: Option<i64> = sqlx::query_scalar("SELECT MAX(event_index) FROM events WHERE session_id = $1")
            .bind(id.0)
            .fetch_one(pool)
            .await?;
        return Ok(last.map_or(0, |last| last + 1));
    };
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM events WHERE session_id = $1 AND type = $2")
        .bind(id.0)
        .bind(type_name)
        .fetch_one(pool)
        .await?)
}

/// Characters of messages that are read at once, unless one alone has more.
const INBOX_PORTION: i64 = 4 * 1024 * 1024;

pub(crate) async fn inbox(pool: &Pool, id: SessionId, from: u64) -> Result<Vec<UserMessage>> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT message FROM ( \
             SELECT number, message, SUM(length(message)) OVER (ORDER BY number) AS total \
             FROM inbox WHERE session_id = $1 AND number >= $2) AS waiting \
         WHERE total <= $3 OR number = $2 ORDER BY number",
    )
    .bind(id.0)
    .bind(rows::int(from))
    .bind(INBOX_PORTION)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|body| rows::message(id.0, body)).collect()
}

pub(crate) async fn next_due(pool: &Pool) -> Result<Option<Timestamp>> {
    Ok(sqlx::query_scalar("SELECT MIN(due_at) FROM sessions WHERE due_at IS NOT NULL AND owner IS NULL")
        .fetch_one(pool)
        .await?)
}

pub(crate) async fn release(pool: &Pool, id: SessionId, lease: Lease, version: u64) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE sessions SET owner = NULL, version = version + 1 \
         WHERE id = $1 AND owner = $2 AND epoch = $3 AND version = $4",
    )
    .bind(id.0)
    .bind(lease.replica.0)
    .bind(lease.epoch)
    .bind(rows::int(version))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn owned(pool: &Pool, replica: ReplicaId) -> Result<Vec<Owned>> {
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "SELECT id, epoch, version FROM sessions WHERE due_at IS NOT NULL AND owner = $1 ORDER BY due_at, id",
    )
    .bind(replica.0)
    .fetch_all(pool)
    .await?;
    let owned = |(id, epoch, version): (Uuid, i64, i64)| Owned {
        session: SessionId(id),
        lease: Lease { replica, epoch },
        version: version.unsigned_abs(),
    };
    Ok(rows.into_iter().map(owned).collect())
}

/// Nobody owns these any more, and nobody will look at them by himself.
pub(crate) async fn park(pool: &Pool, ids: &[Uuid]) -> Result<()> {
    for id in ids {
        let park = "UPDATE sessions SET owner = NULL, due_at = NULL, version = version + 1 WHERE id = $1";
        sqlx::query(park).bind(id).execute(pool).await?;
    }
    Ok(())
}

pub(crate) async fn answered(
    pool: &Pool,
    organization: OrganizationId,
    key: &str,
    request_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Creation>> {
    let row: Option<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT request_hash, response FROM idempotency_keys \
         WHERE organization_id = $1 AND key = $2 AND created_at > $3",
    )
    .bind(organization.0)
    .bind(key)
    .bind(now - super::writes::KEY_LIFE)
    .fetch_optional(pool)
    .await?;
    let answer =
        |(hash, response)| if hash == request_hash { Creation::Replayed(response) } else { Creation::KeyReused };
    Ok(row.map(answer))
}

/// Removes some of the keys whose time is over; whether there may be more. A few at a time: who writes must not wait.
pub(crate) async fn sweep_keys(pool: &Pool, now: Timestamp) -> Result<bool> {
    const SLICE: u32 = 500;
    let removed = sqlx::query(
        "DELETE FROM idempotency_keys WHERE (organization_id, key) IN ( \
             SELECT organization_id, key FROM idempotency_keys WHERE created_at <= $1 LIMIT $2)",
    )
    .bind(now - super::writes::KEY_LIFE)
    .bind(i64::from(SLICE))
    .execute(pool)
    .await?
    .rows_affected();
    Ok(removed >= u64::from(SLICE))
}

/// Lets go of what somebody has to look at. All else is asked for by a command, and claimed then: its owner is gone.
pub(crate) async fn retire(pool: &Pool, replica: ReplicaId) -> Result<()> {
    sqlx::query("UPDATE sessions SET owner = NULL, version = version + 1 WHERE due_at IS NOT NULL AND owner = $1")
        .bind(replica.0)
        .execute(pool)
        .await?;
    sqlx::query("DELETE FROM replicas WHERE id = $1").bind(replica.0).execute(pool).await?;
    Ok(())
}
