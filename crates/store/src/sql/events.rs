//! The statements of logs and inboxes. Both engines accept the same text; this file is compiled once for each.

use super::{Db, Engine, Pool, Result, read};
use crate::{
    EVENTS_PAGE_MAX, EventFilter, EventLog, INBOX_PORTION, LOG_PORTION, ListPage,
    rows::{self, EventRow},
};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use quarterdeck_api::{SessionId, UserMessage};
use quarterdeck_core::LoggedEvent;
use serde_json::value::RawValue;
use sqlx::QueryBuilder;
use std::sync::Arc;

const EVENTS: &str = "SELECT event_index, type, body FROM ( \
         SELECT event_index, type, body, SUM(length(body)) OVER (ORDER BY event_index) AS total FROM ( \
             SELECT event_index, type, body FROM events WHERE session_id = $1 AND event_index >= $2 \
             ORDER BY event_index LIMIT $3) AS next) AS added \
     WHERE total <= $4 OR event_index = $2 ORDER BY event_index";

const INBOX: &str = "SELECT message FROM ( \
         SELECT number, message, SUM(length(message)) OVER (ORDER BY number) AS total \
         FROM inbox WHERE session_id = $1 AND number >= $2) AS waiting \
     WHERE total <= $3 OR number = $2 ORDER BY number";

#[async_trait]
impl EventLog for Engine {
    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>> {
        read(|| async {
            let rows: Vec<EventRow> = sqlx::query_as(EVENTS)
                .bind(id.0)
                .bind(rows::int(from))
                .bind(rows::int(limit))
                .bind(i64::from(LOG_PORTION))
                .fetch_all(self.reader())
                .await?;
            rows.into_iter().map(|row| rows::event(id.0, row)).collect()
        })
        .await
    }

    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<ListPage<Arc<RawValue>>> {
        read(|| page(self.reader(), id, &filter)).await
    }

    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>> {
        read(|| async {
            let query = sqlx::query_scalar(INBOX).bind(id.0).bind(rows::int(from)).bind(i64::from(INBOX_PORTION));
            let rows: Vec<String> = query.fetch_all(self.reader()).await?;
            rows.iter().map(|body| rows::message(id.0, body)).collect()
        })
        .await
    }
}

async fn page(pool: &Pool, id: SessionId, filter: &EventFilter) -> Result<ListPage<Arc<RawValue>>> {
    let total = count(pool, id, filter.type_name.as_deref()).await?;
    let mut query = QueryBuilder::<Db>::new("SELECT event_index, type, body FROM events WHERE session_id = ");
    query.push_bind(id.0);
    match &filter.type_name {
        Some(type_name) => {
            query.push(" AND type = ").push_bind(type_name.clone());
            query.push(if filter.descending { " ORDER BY event_index DESC" } else { " ORDER BY event_index" });
            query.push(" LIMIT ").push_bind(filter.limit).push(" OFFSET ").push_bind(filter.offset);
        }
        None => push_range(&mut query, filter, total),
    }
    let mut rows = query.build_query_as::<EventRow>().fetch(pool);
    let (mut items, mut room) = (Vec::new(), EVENTS_PAGE_MAX);
    while let Some(row) = rows.try_next().await? {
        let event = rows::event(id.0, row)?.json;
        let left = room.checked_sub(event.get().len());
        if left.is_none() && !items.is_empty() {
            break;
        }
        room = left.unwrap_or_default();
        items.push(event);
    }
    Ok(ListPage { items, total: total.unsigned_abs() })
}

async fn count(pool: &Pool, id: SessionId, type_name: Option<&str>) -> Result<i64> {
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
