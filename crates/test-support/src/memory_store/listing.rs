//! Pages of sessions and of events.

use super::tables::{Row, Tables};
use quarterdeck_api::{Answer, OrganizationId, Reference, SessionId, SessionRequest, UserMessage};
use quarterdeck_core::{LoggedEvent, Session};
use quarterdeck_store::{EventFilter, ListPage, SessionFilter, SummaryRow};
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

pub(super) fn sessions(tables: &Tables, organization: OrganizationId, filter: &SessionFilter) -> ListPage<SummaryRow> {
    let of_organization = tables.rows.values().filter(|row| row.session.organization == organization);
    let mut rows: Vec<&Row> = of_organization.filter(|row| matches(row, filter)).collect();
    rows.sort_by_key(|row| (row.session.created_at, row.session.id.0));
    if !filter.ascending {
        rows.reverse();
    }
    page(rows, filter.offset, filter.limit, summary)
}

pub(super) fn events(tables: &Tables, id: SessionId, filter: &EventFilter) -> ListPage<Arc<RawValue>> {
    let log = tables.rows.get(&id.0).map_or(&[][..], |row| &row.log);
    let wanted = |event: &&LoggedEvent| filter.type_name.as_ref().is_none_or(|name| **name == *event.type_name);
    let mut events: Vec<&LoggedEvent> = log.iter().filter(wanted).collect();
    if filter.descending {
        events.reverse();
    }
    page(events, filter.offset, filter.limit, |event| Arc::clone(&event.json))
}

/// A part of what matches.
pub(super) fn page<T, U>(all: Vec<T>, offset: i64, limit: i64, show: impl FnMut(T) -> U) -> ListPage<U> {
    let total = all.len() as u64;
    let size = |number: i64| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
    let items = all.into_iter().skip(size(offset)).take(size(limit)).map(show).collect();
    ListPage { items, total }
}

fn matches(row: &Row, filter: &SessionFilter) -> bool {
    let session = &row.session;
    let is_any = |all: &[_], one| all.is_empty() || all.contains(&one);
    filter.user.is_none_or(|user| user == session.user)
        && is_any(&filter.statuses, session.state.status())
        && (filter.agents.is_empty()
            || filter.agents.contains(&agent_name(row))
            || row.new.agent_reference.as_ref().is_some_and(|agent| filter.agents.contains(agent)))
        && filter.group_id.as_ref().is_none_or(|group| row.new.request.group_id.as_ref() == Some(group))
        && filter.parent.is_none_or(|parent| row.new.parent == Some(parent))
        && filter.created_before.is_none_or(|bound| session.created_at < bound)
        && filter.created_after.is_none_or(|bound| session.created_at > bound)
        && filter.finished_before.is_none_or(|bound| session.finished_at.is_some_and(|at| at < bound))
        && filter.finished_after.is_none_or(|bound| session.finished_at.is_some_and(|at| at > bound))
        && filter.search.as_ref().is_none_or(|search| is_found(row, &searchable(search)))
}

/// As the other engines: so many characters of a text are searched.
const SEARCHED_MAX: usize = 8 * 1024;

fn is_found(row: &Row, search: &str) -> bool {
    let said = first_message(&row.new.request).map(|message| searchable(&message.message));
    let answered = row.session.answer.as_ref().map(|answer| match answer {
        Answer::Text(text) => searchable(text),
        Answer::Object(object) => searchable(&serde_json::to_string(object).unwrap_or_default()),
    });
    let beginning = |text: String| text.chars().take(SEARCHED_MAX).collect::<String>();
    said.into_iter().chain(answered).map(beginning).any(|text| text.contains(search))
}

fn summary(row: &Row) -> SummaryRow {
    SummaryRow {
        session: Session { answer: None, ..row.session.clone() },
        agent: agent_name(row),
        agent_revision: row.new.agent_revision,
        first_message: first_message(&row.new.request).and_then(|message| to_raw_value(&message.summary()).ok()),
        group_id: row.new.request.group_id.clone(),
        parent: row.new.parent,
    }
}

fn agent_name(row: &Row) -> String {
    match &row.new.request.agent {
        Reference::Name(name) => name.clone(),
        Reference::Inline(agent) => agent.name.clone(),
    }
}

fn first_message(request: &SessionRequest) -> Option<UserMessage> {
    request.messages.as_ref()?.to_vec().into_iter().next()
}

/// As the other engines search: case ignored in any script, and without the character that Postgres refuses.
fn searchable(text: &str) -> String {
    text.to_lowercase().replace('\0', "\u{fffd}")
}
