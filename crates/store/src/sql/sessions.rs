//! The statements that read sessions. Both engines accept the same text; this file is compiled once for each.

use super::{Db, Engine, Result, read, totals};
use crate::{
    ListPage, SessionFilter, SessionRecord, SessionRecords, SummaryRow,
    rows::{self, ListRow, RecordRow},
};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use quarterdeck_api::{OrganizationId, SessionId};
use sqlx::{Encode, QueryBuilder, Type};
use uuid::Uuid;

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
    let mut page = QueryBuilder::<Db>::new("WITH page AS (SELECT s.id");
    let total = if totals::is_counted(filter) {
        let found = found(engine, organization, filter).await?;
        let number = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let wanted = found.iter().skip(number(filter.offset)).take(number(filter.limit));
        push_any(&mut page, " FROM sessions s WHERE s.id IN (", wanted);
        found.len() as u64
    } else {
        let total = engine.totals.count(engine.reader(), organization, filter).await?;
        push_matching(&mut page, organization, filter, "");
        page.push(totals::index_condition(&filter.statuses));
        let stretch = Stretch::of(filter, total);
        page.push(stretch.order()).push(" LIMIT ").push_bind(stretch.limit).push(" OFFSET ").push_bind(stretch.offset);
        total
    };
    if filter.offset.unsigned_abs() >= total {
        // The whole index would be read to find nothing.
        return Ok(ListPage { items: Vec::new(), total });
    }
    page.push(
        ") SELECT s.id, s.version, s.projection, s.agent_name, s.agent_revision, \
         CASE WHEN length(r.first_message) <= ",
    );
    page.push_bind(FIRST_MESSAGE_MAX);
    page.push(
        " THEN r.first_message END, s.group_id, s.parent_session_id \
         FROM page JOIN sessions s ON s.id = page.id JOIN session_requests r ON r.session_id = s.id",
    );
    page.push(order(filter.ascending));
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

/// Where a page lies in the index, counted from the end of the list that is nearer to it: what comes before it is walked
/// through.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    ascending: bool,
    offset: i64,
    limit: i64,
}

impl Stretch {
    fn of(filter: &SessionFilter, total: u64) -> Self {
        let &SessionFilter { ascending, offset, limit, .. } = filter;
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let left = total.saturating_sub(offset).max(0);
        let behind = left.saturating_sub(limit).max(0);
        if behind >= offset || offset == 0 {
            return Self { ascending, offset, limit };
        }
        Self { ascending: !ascending, offset: behind, limit: limit.min(left) }
    }

    fn order(&self) -> &'static str {
        order(self.ascending)
    }
}

fn order(ascending: bool) -> &'static str {
    if ascending { " ORDER BY s.created_at, s.id" } else { " ORDER BY s.created_at DESC, s.id DESC" }
}

/// All that match, in order, for filters whose totals are not remembered: what is counted anyhow is read only once.
async fn found(engine: &Engine, organization: OrganizationId, filter: &SessionFilter) -> Result<Vec<Uuid>> {
    let mut query = QueryBuilder::<Db>::new("SELECT s.id");
    push_matching(&mut query, organization, filter, "");
    query.push(totals::index_condition(&filter.statuses)).push(order(filter.ascending));
    Ok(query.build_query_scalar().fetch_all(engine.reader()).await?)
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

fn push_any<'v, T>(query: &mut QueryBuilder<Db>, opening: &str, values: impl ExactSizeIterator<Item = T>)
where
    T: Encode<'v, Db> + Type<Db> + 'v,
{
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_from_the_end_that_is_nearer() {
        let stretch = |offset, limit, total| {
            let Stretch { ascending, offset, limit } =
                Stretch::of(&SessionFilter { offset, limit, ..SessionFilter::default() }, total);
            (ascending, offset, limit)
        };
        assert_eq!(stretch(0, 10, 100), (false, 0, 10));
        assert_eq!(stretch(40, 10, 100), (false, 40, 10));
        assert_eq!(stretch(50, 10, 100), (true, 40, 10));
        assert_eq!(stretch(90, 10, 100), (true, 0, 10));
        assert_eq!(stretch(95, 10, 100), (true, 0, 5), "the last page is not full");
        assert_eq!(stretch(100, 10, 100), (true, 0, 0));
        assert_eq!(stretch(0, 10, 3), (false, 0, 10), "one that comes in meanwhile is shown");
        assert_eq!(stretch(i64::MAX - 5, 10, 3), (true, 0, 0));
    }
}
