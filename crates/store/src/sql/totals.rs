//! How many sessions match a filter, without counting again what cannot have changed.
//!
//! What a filter asks of a session is either fixed at its creation (organization, user, agent, label, parent, when) or
//! changes with its status. Of the fixed part, the count up to a mark is remembered: a later total is that count and
//! the sessions created since. Nearly all sessions end as `completed`, so those are what is left of all when the others
//! are taken away, which small indexes hold.
//!
//! Only test mode deletes sessions, in one process, and has their counts forgotten ([`Totals::forget`]); what else comes to
//! delete some has to reach every process.

use super::{Db, Pool, sessions::push_matching};
use crate::{Error, SessionFilter};
use moka::sync::Cache;
use quarterdeck_api::{OrganizationId, Status, Timestamp};
use sqlx::QueryBuilder;

/// Filters whose counts are remembered.
const REMEMBERED: u64 = 10_000;
/// Statuses of sessions that have not ended, as the condition of an index says it.
const LIVE: &str = " AND s.status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results')";
const QUEUED: &str = " AND s.status = 'queued'";
/// Statuses of those that ended without an answer, as the condition of an index says it.
const UNANSWERED: &str = " AND s.status IN ('failed', 'timed_out', 'interrupted')";
/// All statuses but `completed`, in the groups that have an index each.
const UNCOMPLETED: [(&str, &[Status]); 3] = [
    (LIVE, &[Status::Pending, Status::Running, Status::Paused, Status::Idle, Status::AwaitingToolResults]),
    (QUEUED, &[Status::Queued]),
    (UNANSWERED, &[Status::Failed, Status::TimedOut, Status::Interrupted]),
];

/// The part of a filter that a session matches for ever or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fixed {
    organization: OrganizationId,
    user: Option<uuid::Uuid>,
    agents: Vec<String>,
    group_id: Option<String>,
    parent: Option<uuid::Uuid>,
    created_before: Option<Timestamp>,
    created_after: Option<Timestamp>,
}

impl Fixed {
    fn of(organization: OrganizationId, filter: &SessionFilter) -> Self {
        Self {
            organization,
            user: filter.user.map(|user| user.0),
            agents: filter.agents.clone(),
            group_id: filter.group_id.clone(),
            parent: filter.parent.map(|parent| parent.0),
            created_before: filter.created_before,
            created_after: filter.created_after,
        }
    }
}

/// The sessions up to a mark that match a filter's fixed part.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    /// By the number that the engine gives to a session with its creation: all below are counted, and none of them is
    /// still on its way.
    mark: i64,
    count: u64,
}

/// The counts that this process remembers.
#[derive(Debug)]
pub(crate) struct Totals(Cache<Fixed, Settled>);

impl Default for Totals {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Totals {
    /// How many sessions match a filter that does not have them all counted ([`is_counted`]).
    pub(crate) async fn count(
        &self,
        pool: &Pool,
        organization: OrganizationId,
        filter: &SessionFilter,
    ) -> Result<u64, Error> {
        if filter.statuses.is_empty() {
            return self.count_fixed(pool, organization, filter).await;
        }
        let is_complement = filter.statuses.contains(&Status::Completed);
        let mut counted = 0;
        for (condition, statuses) in UNCOMPLETED {
            let wanted = |status: &&Status| filter.statuses.contains(status) != is_complement;
            let statuses: Vec<Status> = statuses.iter().filter(wanted).copied().collect();
            if !statuses.is_empty() {
                let part = SessionFilter { statuses, ..filter.clone() };
                counted += count_where(pool, organization, &part, condition).await?;
            }
        }
        if is_complement {
            return Ok(self.count_fixed(pool, organization, filter).await?.saturating_sub(counted));
        }
        Ok(counted)
    }

    /// Forgets all counts, after sessions were deleted: on `SQLite` new ones may get the numbers of those, whose ever they
    /// were.
    pub(crate) fn forget(&self) {
        self.0.invalidate_all();
    }

    async fn count_fixed(
        &self,
        pool: &Pool,
        organization: OrganizationId,
        filter: &SessionFilter,
    ) -> Result<u64, Error> {
        let fixed = Fixed::of(organization, filter);
        let known = self.0.get(&fixed).unwrap_or_default();
        let mut query = QueryBuilder::<Db>::new(super::COUNT_SINCE);
        let filter = SessionFilter { statuses: Vec::new(), ..filter.clone() };
        push_matching(&mut query, organization, &filter, if known.mark > 0 { super::NO_INDEX } else { "" });
        query.push(super::SINCE).push_bind(known.mark);
        let (settled, unsettled, mark): (i64, i64, i64) = query.build_query_as().fetch_one(pool).await?;
        let settled = known.count + settled.unsigned_abs();
        self.0.insert(fixed, Settled { mark, count: settled });
        Ok(settled + unsettled.unsigned_abs())
    }
}

/// Whether a filter asks for what no count can be kept of: texts, and when sessions ended.
pub(crate) fn is_counted(filter: &SessionFilter) -> bool {
    filter.search.is_some() || filter.finished_before.is_some() || filter.finished_after.is_some()
}

/// A condition that goes with a filter's statuses, so that an index of just those is used; empty when there is none.
pub(crate) fn index_condition(statuses: &[Status]) -> &'static str {
    let holds_all = |(_, group): &&(&str, &[Status])| statuses.iter().all(|status| group.contains(status));
    let found = (!statuses.is_empty()).then(|| UNCOMPLETED.iter().find(holds_all)).flatten();
    found.map_or("", |(condition, _)| condition)
}

async fn count_where(
    pool: &Pool,
    organization: OrganizationId,
    filter: &SessionFilter,
    condition: &'static str,
) -> Result<u64, Error> {
    let mut query = QueryBuilder::<Db>::new("SELECT COUNT(*)");
    push_matching(&mut query, organization, filter, "");
    query.push(condition);
    let count: i64 = query.build_query_scalar().fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}
