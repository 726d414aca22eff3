//! The statements that read sessions. Both engines accept the same text; this file is compiled once for each.

use super::{Db, Engine, Result, read, totals::index_condition};
use crate::{
    ListPage, SessionFilter, SessionRecord, SessionRecords, SummaryRow,
    rows::{self, ListRow, RecordRow},
};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use quarterdeck_api::{OrganizationId, SessionId};
use sqlx::QueryBuilder;

/// Lists leave out longer first messages, in characters. This version stores none; the first ones stored pictures, too.
const FIRST_MESSAGE_MAX: i64 = 1024 * 1024;

const RECORD: &str = "SELECT s.version, s.projection, s.agent_revision, r.request FROM sessions s \
     JOIN session_requests r ON r.session_id = s.id WHERE s.id = $1";

#[async_trait]
impl SessionRecords for Engine {
    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>> {
        read(|| async {
            let row: Option<RecordRow> = sqlx::query_as(RECORD).bind(id.0).fetch_optional(self.reader()).await?;
            row.map(|row| rows::record(id.0, row)).transpose()
        })
        .await
    }

    async fn sessions(&self, organization: OrganizationId, filter: SessionFilter) -> Result<ListPage<SummaryRow>> {
        read(|| page(self, organization, &filter)).await
    }
}

async fn page(engine: &Engine, organization: OrganizationId, filter: &SessionFilter) -> Result<ListPage<SummaryRow>> {
    let total = engine.totals.count(engine.reader(), organization, filter).await?;
    if total == 0 {
        // The whole index would be read to find nothing.
        return Ok(ListPage { items: Vec::new(), total });
    }
    let order =
        if filter.ascending { " ORDER BY s.created_at, s.id" } else { " ORDER BY s.created_at DESC, s.id DESC" };
    let mut page = QueryBuilder::<Db>::new("WITH page AS (SELECT s.id");
    push_matching(&mut page, organization, filter, "");
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
    let mut rows = page.build_query_as::<ListRow>().fetch(engine.reader());
    let mut items = Vec::new();
    // One after another, since what is left of a row is much smaller than the row.
    while let Some(row) = rows.try_next().await? {
        match rows::summary(row) {
            Ok(summary) => items.push(summary),
            Err(error) => tracing::error!(%error, "a session cannot be listed"),
        }
    }
    Ok(ListPage { items, total })
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
