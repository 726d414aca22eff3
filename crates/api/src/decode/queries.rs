//! The query parameters of every route.

use super::datetimes::datetime;
use super::json::Value;
use super::place::Place;
use super::query::{DecodeQuery, Query};
use super::scalars::{at_least, boolean, integer, integer_in, plain, sized, uuid, word};
use super::sorting::{Sort, SortField, ascending, descending, sort};
use crate::{EnvironmentKind, Status, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

/// Which part of a listing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The page, from 1.
    pub page: u64,
    /// Entries on a page.
    pub size: u64,
}

impl Paging {
    /// How many entries come before the page.
    pub fn offset(self) -> u64 {
        (self.page - 1).saturating_mul(self.size)
    }

    fn decode(query: &Query<'_>, default: u64, most: i64) -> Option<Self> {
        let natural =
            |least, most| move |value: &Value<'_>, at: &Place<'_>| unsigned(integer_in(least, most)(value, at)?);
        let page = query.or("page", 1, natural(1, i64::MAX));
        let size = query.or("size", default, natural(1, most));
        Some(Self { page: page?, size: size? })
    }
}

fn unsigned(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

/// Whose sessions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Owner {
    /// The caller's, in any organization.
    Me,
    /// The caller's, in this organization.
    MeInOrganization,
    /// The organization's.
    Organization,
    /// The caller's and the organization's.
    MeOrOrganization,
}

impl Owner {
    const WORDS: [(&'static str, Self); 4] = [
        ("me", Self::Me),
        ("me-in-organization", Self::MeInOrganization),
        ("organization", Self::Organization),
        ("me-or-organization", Self::MeOrOrganization),
    ];
}

/// `GET /sessions`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionListQuery {
    /// Whose.
    pub owner: Owner,
    /// In any of these states; empty for all.
    pub status: Vec<Status>,
    /// Of any of these agents; empty for all.
    pub agent: Vec<String>,
    /// With this label.
    pub group_id: Option<String>,
    /// Working for this session.
    pub parent_session_id: Option<String>,
    /// Started by this schedule.
    pub schedule_id: Option<Uuid>,
    /// With this text in the first message or the answer.
    pub search: Option<String>,
    /// Accepted before.
    pub created_before: Option<Timestamp>,
    /// Accepted after.
    pub created_after: Option<Timestamp>,
    /// Ended before.
    pub finished_before: Option<Timestamp>,
    /// Ended after.
    pub finished_after: Option<Timestamp>,
    /// Whether each entry says how far it came and what it used.
    pub include_summary: bool,
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<SessionSort>>,
}

/// What sessions are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionSort {
    /// When they were accepted.
    CreatedAt,
}

/// A word that says how sessions are sorted.
pub type SessionOrder = Sort<SessionSort>;

impl SortField for SessionSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] = &[("created_at", "-created_at", Self::CreatedAt)];
}

impl DecodeQuery for SessionListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let statuses = Status::ALL.map(|status| (status.as_str(), status));
        let owner =
            query.or("owner", Owner::MeInOrganization, |value, at| word("literal_error", &Owner::WORDS, value, at));
        let status = query.list("status", |value, at| word("enum", &statuses, value, at));
        let agent = query.list("agent", plain);
        let group_id = query.optional("group_id", plain);
        let parent_session_id = query.optional("parent_session_id", plain);
        let schedule_id = query.optional("schedule_id", uuid);
        let search = query.optional("search", plain);
        let created_before = query.optional("created_before", datetime);
        let created_after = query.optional("created_after", datetime);
        let finished_before = query.optional("finished_before", datetime);
        let finished_after = query.optional("finished_after", datetime);
        let include_summary =
            query.or("include", false, |value, at| word("literal_error", &[("summary", true)], value, at));
        let paging = Paging::decode(query, 10, 100);
        let sort = sort(query, descending(SessionSort::CreatedAt));
        Some(Self {
            owner: owner?,
            status: status?,
            agent: agent?,
            group_id: group_id?,
            parent_session_id: parent_session_id?,
            schedule_id: schedule_id?,
            search: search?,
            created_before: created_before?,
            created_after: created_after?,
            finished_before: finished_before?,
            finished_after: finished_after?,
            include_summary: include_summary?,
            paging: paging?,
            sort: sort?,
        })
    }
}

/// `GET /sessions/{id}/changes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// The first event wanted.
    pub from_index: u64,
    /// At most so many events.
    pub limit: Option<u64>,
    /// Whether events are wanted at all.
    pub include_events: bool,
    /// How long to wait for the first new one.
    pub wait_for_seconds: u64,
}

impl DecodeQuery for ChangesQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let from_index = query.or("from_index", 0, |value, at| unsigned(integer(value, at)?.max(0)));
        let limit = query.optional("limit", |value, at| unsigned(at_least(0)(value, at)?));
        let include_events = query.or("include_events", true, boolean);
        let wait_for_seconds = query.or("wait_for_seconds", 0, |value, at| unsigned(integer_in(0, 60)(value, at)?));
        Some(Self {
            from_index: from_index?,
            limit: limit?,
            include_events: include_events?,
            wait_for_seconds: wait_for_seconds?,
        })
    }
}

/// `GET /sessions/{id}/events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsQuery {
    /// Which part.
    pub paging: Paging,
    /// In which order; ties go by index.
    pub sort: Vec<Sort<EventSort>>,
    /// Of this type only.
    pub event_type: Option<String>,
}

/// What events are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSort {
    /// When they happened.
    Timestamp,
}

/// A word that says how events are sorted.
pub type EventOrder = Sort<EventSort>;

impl SortField for EventSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] = &[("timestamp", "-timestamp", Self::Timestamp)];
}

impl DecodeQuery for EventsQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let paging = Paging::decode(query, 50, 200);
        let sort = sort(query, ascending(EventSort::Timestamp));
        let event_type = query.optional("type", plain);
        Some(Self { paging: paging?, sort: sort?, event_type: event_type? })
    }
}

/// `GET /agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentListQuery {
    /// Of exactly this name.
    pub agent_name: Option<String>,
    /// With this text in the name or description.
    pub search: Option<String>,
    /// Only (true) or none (false) of the reserved ones.
    pub reserved: Option<bool>,
    /// Whether each entry says its revision.
    pub include_revision: bool,
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<AgentSort>>,
}

/// What agents are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentSort {
    /// When they were created.
    CreatedAt,
    /// Their names.
    AgentName,
}

/// A word that says how agents are sorted.
pub type AgentOrder = Sort<AgentSort>;

impl SortField for AgentSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] =
        &[("created_at", "-created_at", Self::CreatedAt), ("agent_name", "-agent_name", Self::AgentName)];
}

impl DecodeQuery for AgentListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let agent_name = query.optional("agent_name", plain);
        let search = query.optional("search", plain);
        let reserved = query.optional("reserved", boolean);
        let include_revision =
            query.or("include", false, |value, at| word("literal_error", &[("revision", true)], value, at));
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(AgentSort::CreatedAt));
        Some(Self {
            agent_name: agent_name?,
            search: search?,
            reserved: reserved?,
            include_revision: include_revision?,
            paging: paging?,
            sort: sort?,
        })
    }
}

/// `GET /agents/{name}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentGetQuery {
    /// Another revision than the current one.
    pub revision: Option<i64>,
    /// Whether names inside are replaced by what they name.
    pub resolve: bool,
}

impl DecodeQuery for AgentGetQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let revision = query.optional("revision", at_least(1));
        let resolve = query.or("resolve", false, boolean);
        Some(Self { revision: revision?, resolve: resolve? })
    }
}

/// `POST /agents`, `PUT` and `PATCH /agents/{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentWriteQuery {
    /// Why the agent is changed; kept with the revision.
    pub message: Option<String>,
}

impl DecodeQuery for AgentWriteQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let message = query.optional("message", |value, at| {
            sized(0..=500, value, at)?;
            plain(value, at)
        });
        Some(Self { message: message? })
    }
}

/// `GET /agents/{name}/revisions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionListQuery {
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<RevisionSort>>,
}

/// What revisions are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionSort {
    /// Their numbers.
    Number,
}

/// A word that says how revisions are sorted.
pub type RevisionOrder = Sort<RevisionSort>;

impl SortField for RevisionSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] = &[("number", "-number", Self::Number)];
}

impl DecodeQuery for RevisionListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(RevisionSort::Number));
        Some(Self { paging: paging?, sort: sort? })
    }
}

/// `GET /environments`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentListQuery {
    /// Of exactly this id.
    pub id: Option<String>,
    /// Of this kind.
    pub kind: Option<EnvironmentKind>,
    /// With this text in the id.
    pub search: Option<String>,
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<EnvironmentSort>>,
}

/// What environments are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentSort {
    /// When they were created.
    CreatedAt,
    /// Their ids.
    Id,
}

/// A word that says how environments are sorted.
pub type EnvironmentOrder = Sort<EnvironmentSort>;

impl SortField for EnvironmentSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] =
        &[("created_at", "-created_at", Self::CreatedAt), ("id", "-id", Self::Id)];
}

impl DecodeQuery for EnvironmentListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let id = query.optional("id", plain);
        let kind = query.optional("kind", |value, at| word("enum", &EnvironmentKind::WORDS, value, at));
        let search = query.optional("search", plain);
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(EnvironmentSort::CreatedAt));
        Some(Self { id: id?, kind: kind?, search: search?, paging: paging?, sort: sort? })
    }
}

/// `GET /skills`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillListQuery {
    /// Of exactly this name.
    pub name: Option<String>,
    /// With this text in the name or description.
    pub search: Option<String>,
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<SkillSort>>,
}

/// What skills are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkillSort {
    /// When they were created.
    CreatedAt,
    /// Their names.
    Name,
}

/// A word that says how skills are sorted.
pub type SkillOrder = Sort<SkillSort>;

impl SortField for SkillSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] =
        &[("created_at", "-created_at", Self::CreatedAt), ("name", "-name", Self::Name)];
}

impl DecodeQuery for SkillListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let name = query.optional("name", plain);
        let search = query.optional("search", plain);
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(SkillSort::CreatedAt));
        Some(Self { name: name?, search: search?, paging: paging?, sort: sort? })
    }
}

/// A listing that is only paged and sorted by age: webhooks and schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainListQuery {
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<PlainSort>>,
}

/// What plain listings are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainSort {
    /// When the entries were created.
    CreatedAt,
}

impl SortField for PlainSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] = &[("created_at", "-created_at", Self::CreatedAt)];
}

impl DecodeQuery for PlainListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(PlainSort::CreatedAt));
        Some(Self { paging: paging?, sort: sort? })
    }
}

/// `GET /schedules/{id}/runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunListQuery {
    /// Which part.
    pub paging: Paging,
    /// In which order.
    pub sort: Vec<Sort<RunSort>>,
}

/// What the runs of a schedule are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSort {
    /// When they were due.
    ScheduledFor,
}

impl SortField for RunSort {
    const WORDS: &'static [(&'static str, &'static str, Self)] =
        &[("scheduled_for", "-scheduled_for", Self::ScheduledFor)];
}

impl DecodeQuery for RunListQuery {
    fn decode(query: &Query<'_>) -> Option<Self> {
        let paging = Paging::decode(query, 10, 1000);
        let sort = sort(query, descending(RunSort::ScheduledFor));
        Some(Self { paging: paging?, sort: sort? })
    }
}
