//! A batch on Postgres: one statement, so one round trip and no open transaction in between.
//!
//! Every kind of row is a set of arrays; the statement's text never changes, so it is prepared once.

use super::{CHANNEL, Connection, lock_of};
use crate::{
    Admission, Commit, Error, NewSession,
    committer::{Verdict, Write},
    rows::{self, LeaseColumns},
    seal,
};
use quarterdeck_api::{OrganizationId, SessionId, Timestamp};
use quarterdeck_core::Transition;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
};
use uuid::Uuid;

/// A notification may carry less than 8,000 bytes; a session takes up to 54.
const NOTICES_IN_ONE: usize = 140;

/// The statement. `$before` is a query that comes first, and nothing is applied unless `$condition` holds.
///
/// The guard is in `advanced`: a row moves only from the version and, for a worker, in the epoch that was
/// decided on. What belongs to a session that did not move is left out.
macro_rules! statement {
    ($before:literal, $condition:literal) => {
        concat!(
            "WITH ",
            $before,
            "advanced AS ( \
        UPDATE sessions SET version = v.version, status = v.status, projection = v.projection, due_at = v.due_at, \
            finished_at = v.finished_at, answer_text = v.answer_text, epoch = sessions.epoch + v.epochs, \
            owner = CASE WHEN v.set_owner THEN v.owner ELSE sessions.owner END \
        FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], \
                    $7::text[], $8::bigint[], $9::boolean[], $10::uuid[], $11::bigint[], $12::uuid[]) \
            AS v (id, version, status, projection, due_at, finished_at, answer_text, epochs, set_owner, owner, \
                  held_epoch, held_by) \
        WHERE sessions.id = v.id AND sessions.version = v.version - 1 \
            AND (v.held_epoch IS NULL OR (sessions.epoch = v.held_epoch AND sessions.owner = v.held_by)) \
            AND ",
            $condition,
            " \
        RETURNING sessions.id), \
    created AS ( \
        INSERT INTO sessions (id, organization_id, user_id, version, status, projection, owner, epoch, due_at, \
            agent, agent_name, agent_revision, group_id, parent_session_id, created_at) \
        SELECT * FROM UNNEST($13::uuid[], $14::uuid[], $15::uuid[], $16::bigint[], $17::text[], $18::text[], \
            $19::uuid[], $20::bigint[], $21::timestamptz[], $22::text[], $23::text[], $24::bigint[], $25::text[], \
            $26::uuid[], $27::timestamptz[]) WHERE ",
            $condition,
            " \
        RETURNING id), \
    requested AS ( \
        INSERT INTO session_requests (session_id, request, first_message, first_message_text, delete_after_min, \
            delete_screenshot_after_min) \
        SELECT * FROM UNNEST($13::uuid[], $28::text[], $29::text[], $30::text[], $42::bigint[], $43::bigint[]) \
        WHERE ",
            $condition,
            "), \
    applied AS (SELECT id FROM advanced UNION ALL SELECT id FROM created), \
    logged AS ( \
        INSERT INTO events (session_id, event_index, type, body) \
        SELECT e.* FROM UNNEST($31::uuid[], $32::bigint[], $33::text[], $34::text[]) \
            AS e (session_id, event_index, type, body) WHERE e.session_id IN (SELECT id FROM applied)), \
    accepted AS ( \
        INSERT INTO inbox (session_id, number, message) \
        SELECT m.* FROM UNNEST($35::uuid[], $36::bigint[], $37::text[]) AS m (session_id, number, message) \
        WHERE m.session_id IN (SELECT id FROM applied)), \
    delivered AS ( \
        DELETE FROM inbox USING UNNEST($38::uuid[], $39::bigint[]) AS d (session_id, through) \
        WHERE inbox.session_id = d.session_id AND inbox.number < d.through \
            AND d.session_id IN (SELECT id FROM applied)), \
    announced AS (SELECT pg_notify($40, payload) FROM UNNEST($41::text[]) AS n (payload)) \
    SELECT ",
            $condition,
            ", ARRAY(SELECT id FROM applied), (SELECT COUNT(*) FROM announced)"
        )
    };
}

/// Applies what it is given.
const APPLY: &str = statement!("", "TRUE");

/// Applies what it is given if the organizations have room for all of the new sessions, else nothing. See migration 13.
const APPLY_IF_ROOM: &str = statement!(
    "room AS MATERIALIZED ( \
        SELECT quarterdeck_has_room($44::bigint[], $45::uuid[], $46::bigint[], $47::bigint[]) AS is_there), ",
    "(SELECT is_there FROM room)"
);

/// Applies the writes that `verdicts` lets through; says which sessions did not move.
pub(crate) async fn apply(
    connection: &mut Connection,
    writes: &[&Write],
    mut verdicts: Vec<Verdict>,
) -> Result<Vec<Verdict>, Error> {
    let mut arrays = Arrays::default();
    for (write, verdict) in writes.iter().zip(&verdicts) {
        match (write, write.outcome(verdict)) {
            (Write::Create(new), Some(transition)) => arrays.create(new, transition),
            (Write::Commit(commit), Some(_)) => arrays.advance(commit),
            (Write::Create(_) | Write::Commit(_), None) => {}
        }
    }
    let applied = arrays.run(connection, None).await?.unwrap_or_default();
    conflicts_told(writes, &mut verdicts, &applied);
    Ok(verdicts)
}

/// Applies the writes in one round trip if those that ask for slots are creations, and all get one; otherwise none of
/// them.
pub(crate) async fn apply_if_room(
    connection: &mut Connection,
    writes: &[&Write],
) -> Result<Option<Vec<Verdict>>, Error> {
    let mut arrays = Arrays::default();
    for write in writes {
        match write {
            Write::Create(new) => arrays.create(new, &new.transition),
            Write::Commit(commit) => arrays.advance(commit),
        }
    }
    let Some(applied) = arrays.run(connection, Some(&Asked::of(writes))).await? else { return Ok(None) };
    let mut verdicts = vec![Verdict::Applied; writes.len()];
    conflicts_told(writes, &mut verdicts, &applied);
    Ok(Some(verdicts))
}

fn conflicts_told(writes: &[&Write], verdicts: &mut [Verdict], applied: &HashSet<SessionId>) {
    for (write, verdict) in writes.iter().zip(verdicts) {
        if write.outcome(verdict).is_some() && !applied.contains(&write.session()) {
            *verdict = Verdict::Conflict;
        }
    }
}

/// The slots that creations ask for, by organization.
#[derive(Default)]
struct Asked {
    locks: BTreeSet<i64>,
    asking: Vec<Uuid>,
    wanted: Vec<i64>,
    concurrent: Vec<i64>,
}

impl Asked {
    fn of(writes: &[&Write]) -> Self {
        let mut by_organization: BTreeMap<OrganizationId, (u64, u64)> = BTreeMap::new();
        for write in writes {
            let Write::Create(new) = write else { continue };
            let Admission::Asked { limits, .. } = &new.admission else { continue };
            let organization = new.transition.session.organization;
            let (wanted, concurrent) = by_organization.entry(organization).or_insert((0, limits.concurrent));
            (*wanted, *concurrent) = (*wanted + 1, limits.concurrent.min(*concurrent));
        }
        let mut asked = Self::default();
        for (organization, (wanted, concurrent)) in by_organization {
            asked.locks.insert(lock_of(organization));
            asked.asking.push(organization.0);
            asked.wanted.push(rows::int(wanted));
            asked.concurrent.push(rows::int(concurrent));
        }
        asked
    }
}

/// The rows of a batch, by column.
#[derive(Default)]
struct Arrays<'a> {
    advanced: MovedRows,
    created: NewRows,
    logged: (Vec<Uuid>, Vec<i64>, Vec<&'a str>, Vec<&'a str>),
    accepted: (Vec<Uuid>, Vec<i64>, Vec<String>),
    delivered: (Vec<Uuid>, Vec<i64>),
    announced: Vec<(SessionId, u64)>,
}

#[derive(Default)]
struct MovedRows {
    id: Vec<Uuid>,
    version: Vec<i64>,
    status: Vec<&'static str>,
    projection: Vec<String>,
    due_at: Vec<Option<Timestamp>>,
    finished_at: Vec<Option<Timestamp>>,
    answer_text: Vec<Option<String>>,
    epochs: Vec<i64>,
    set_owner: Vec<bool>,
    owner: Vec<Option<Uuid>>,
    held_epoch: Vec<Option<i64>>,
    held_by: Vec<Option<Uuid>>,
}

#[derive(Default)]
struct NewRows {
    id: Vec<Uuid>,
    organization: Vec<Uuid>,
    user: Vec<Uuid>,
    version: Vec<i64>,
    status: Vec<&'static str>,
    projection: Vec<String>,
    owner: Vec<Option<Uuid>>,
    epoch: Vec<i64>,
    due_at: Vec<Option<Timestamp>>,
    agent: Vec<Option<String>>,
    agent_name: Vec<String>,
    agent_revision: Vec<Option<i64>>,
    group_id: Vec<Option<String>>,
    parent: Vec<Option<Uuid>>,
    created_at: Vec<Timestamp>,
    request: Vec<String>,
    first_message: Vec<Option<String>>,
    first_message_text: Vec<Option<String>>,
    delete_after_min: Vec<Option<i64>>,
    delete_screenshot_after_min: Vec<Option<i64>>,
}

impl<'a> Arrays<'a> {
    fn advance(&mut self, commit: &'a Commit) {
        let session = &commit.transition.session;
        let lease = LeaseColumns::of(commit.lease);
        let columns = &mut self.advanced;
        columns.id.push(session.id.0);
        columns.version.push(rows::int(session.version));
        columns.status.push(session.state.status().as_str());
        columns.projection.push(rows::json(session));
        columns.due_at.push(rows::due_at(session));
        columns.finished_at.push(session.finished_at);
        columns.answer_text.push(rows::answer_text(session));
        columns.epochs.push(lease.epochs);
        columns.set_owner.push(lease.set_owner);
        columns.owner.push(lease.owner);
        columns.held_epoch.push(lease.held_epoch);
        columns.held_by.push(lease.held_by);
        self.log(&commit.transition);
    }

    fn create(&mut self, new: &'a NewSession, transition: &'a Transition) {
        let session = &transition.session;
        let owner = rows::first_owner(new, transition);
        let first = rows::first_message(&new.request);
        let columns = &mut self.created;
        columns.id.push(session.id.0);
        columns.organization.push(session.organization.0);
        columns.user.push(session.user.0);
        columns.version.push(rows::int(session.version));
        columns.status.push(session.state.status().as_str());
        columns.projection.push(rows::json(session));
        columns.owner.push(owner);
        columns.epoch.push(i64::from(owner.is_some()));
        columns.due_at.push(rows::due_at(session));
        columns.agent.push(new.agent_reference.clone());
        columns.agent_name.push(rows::agent_name(&new.request).to_owned());
        columns.agent_revision.push(new.agent_revision);
        columns.group_id.push(new.request.group_id.clone());
        columns.parent.push(new.parent.map(|parent| parent.0));
        columns.created_at.push(session.created_at);
        columns.request.push(seal::sealed(&rows::json(&*new.request)).into_owned());
        columns.first_message.push(first.as_ref().map(|message| rows::json(&message.clone().summary())));
        columns.first_message_text.push(first.map(|message| rows::searchable(&message.message)));
        columns.delete_after_min.push(session.settings.retention.delete_after_min);
        columns.delete_screenshot_after_min.push(session.settings.retention.delete_screenshot_after_min);
        self.log(transition);
    }

    fn log(&mut self, transition: &'a Transition) {
        let id = transition.session.id;
        for event in &transition.events {
            self.logged.0.push(id.0);
            self.logged.1.push(rows::int(event.index));
            self.logged.2.push(&event.type_name);
            self.logged.3.push(event.json.get());
        }
        for (number, message) in &transition.accepted {
            self.accepted.0.push(id.0);
            self.accepted.1.push(rows::int(*number));
            self.accepted.2.push(rows::json(message));
        }
        if transition.delivers {
            self.delivered.0.push(id.0);
            self.delivered.1.push(rows::int(transition.session.inbox.delivered));
        }
        self.announced.push((id, transition.session.version));
    }

    /// Few notifications for many sessions: a notification takes a lock that all commits of the cluster share.
    /// Word of a change that did not happen does no harm.
    fn payloads(&self) -> Vec<String> {
        let payload = |chunk: &[(SessionId, u64)]| {
            chunk.iter().fold(String::new(), |mut payload, (id, version)| {
                // Writing to a string cannot fail.
                let _ = write!(payload, "{}:{version} ", id.0.simple());
                payload
            })
        };
        self.announced.chunks(NOTICES_IN_ONE).map(payload).collect()
    }

    /// Which sessions moved; none when there was no room.
    async fn run(
        &self,
        connection: &mut Connection,
        asked: Option<&Asked>,
    ) -> Result<Option<HashSet<SessionId>>, Error> {
        let (advanced, created) = (&self.advanced, &self.created);
        let query = sqlx::query_as(if asked.is_some() { APPLY_IF_ROOM } else { APPLY })
            .bind(&advanced.id)
            .bind(&advanced.version)
            .bind(&advanced.status)
            .bind(&advanced.projection)
            .bind(&advanced.due_at)
            .bind(&advanced.finished_at)
            .bind(&advanced.answer_text)
            .bind(&advanced.epochs)
            .bind(&advanced.set_owner)
            .bind(&advanced.owner)
            .bind(&advanced.held_epoch)
            .bind(&advanced.held_by)
            .bind(&created.id)
            .bind(&created.organization)
            .bind(&created.user)
            .bind(&created.version)
            .bind(&created.status)
            .bind(&created.projection)
            .bind(&created.owner)
            .bind(&created.epoch)
            .bind(&created.due_at)
            .bind(&created.agent)
            .bind(&created.agent_name)
            .bind(&created.agent_revision)
            .bind(&created.group_id)
            .bind(&created.parent)
            .bind(&created.created_at)
            .bind(&created.request)
            .bind(&created.first_message)
            .bind(&created.first_message_text)
            .bind(&self.logged.0)
            .bind(&self.logged.1)
            .bind(&self.logged.2)
            .bind(&self.logged.3)
            .bind(&self.accepted.0)
            .bind(&self.accepted.1)
            .bind(&self.accepted.2)
            .bind(&self.delivered.0)
            .bind(&self.delivered.1)
            .bind(CHANNEL)
            .bind(self.payloads())
            .bind(&created.delete_after_min)
            .bind(&created.delete_screenshot_after_min);
        let query = match asked {
            Some(asked) => query
                .bind(asked.locks.iter().copied().collect::<Vec<_>>())
                .bind(&asked.asking)
                .bind(&asked.wanted)
                .bind(&asked.concurrent),
            None => query,
        };
        // The count is only there so that the notifications are sent.
        let (is_room, applied, _): (bool, Vec<Uuid>, i64) = query.fetch_one(connection).await?;
        Ok(is_room.then(|| applied.into_iter().map(SessionId).collect()))
    }
}
