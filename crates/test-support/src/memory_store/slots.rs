//! Slots: who gets one, and who waits. The rules are the store's; here is only what is counted.

use super::{
    MemoryStore,
    tables::{Row, Tables},
};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp};
use quarterdeck_core::{State, Transition};
use quarterdeck_store::{
    Admission, Backlog, Commit, CommitSlot, Creation, Error, NewOrganization, NewSession, Organization, Organizations,
    Queued, SlotUsage,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An organization.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: Uuid,
    limit: Option<u64>,
    created_at: Timestamp,
}

impl Known {
    pub(super) fn new(id: Uuid, limit: Option<u64>, created_at: Timestamp) -> Self {
        Self { id, limit, created_at }
    }
}

/// How a session begins.
pub(super) struct Beginning {
    pub(super) transition: Transition,
    pub(super) creation: Creation,
    /// What its idempotency key repeats.
    pub(super) response: Option<String>,
}

impl Tables {
    pub(super) fn standing_of(&self, organization: OrganizationId) -> SlotUsage {
        let of_organization = || self.rows.values().filter(|row| row.session.organization == organization);
        let known = self.organizations.values().find(|known| known.id == organization.0);
        SlotUsage {
            active: of_organization().filter(|row| row.session.state.holds_slot()).count() as u64,
            queued: of_organization().filter(|row| row.session.state == State::Queued).count() as u64,
            limit: known.and_then(|known| known.limit),
        }
    }

    pub(super) fn admit(&self, new: &NewSession) -> Result<Beginning, Error> {
        let response = new.idempotency.as_ref().map(|idempotency| idempotency.response.clone());
        let started = Beginning { transition: new.transition.clone(), creation: Creation::Created, response };
        let Admission::Asked { limits, queued } = &new.admission else { return Ok(started) };
        let mut slot_usage = self.standing_of(new.transition.session.organization);
        match (slot_usage.take(*limits), queued) {
            (Ok(()), _) => Ok(started),
            (Err(refusal), None) => Err(Error::Refused(refusal)),
            (Err(_), Some(queued)) => {
                slot_usage.wait(*limits).map_err(Error::Refused)?;
                let Queued { transition, response } = (**queued).clone();
                Ok(Beginning { transition, creation: Creation::Queued, response })
            }
        }
    }

    /// Whether the slot that a commit asks for is there.
    pub(super) fn grant(&self, commit: &Commit) -> Result<(), Error> {
        let session = &commit.transition.session;
        let mut slot_usage = self.standing_of(session.organization);
        let has_parent = self.rows.get(&session.id.0).is_some_and(|row| row.new.parent.is_some());
        match commit.slot {
            CommitSlot::Keep => Ok(()),
            CommitSlot::Take(_) if has_parent => Ok(()),
            CommitSlot::Take(limits) => slot_usage.take(limits).map_err(Error::Refused),
            CommitSlot::Promote(limits) => slot_usage.promote(limits).map_err(Error::Refused),
        }
    }

    pub(super) fn live_sessions(&self, organization: Option<OrganizationId>) -> Vec<(String, u64)> {
        let mut live: BTreeMap<&str, u64> = BTreeMap::new();
        let is_meant = |row: &&Row| organization.is_none_or(|wanted| row.session.organization == wanted);
        for row in self.rows.values().filter(is_meant).filter(|row| !matches!(row.session.state, State::Ended(_))) {
            *live.entry(row.session.state.status().as_str()).or_default() += 1;
        }
        live.into_iter().map(|(status, count)| (status.to_owned(), count)).collect()
    }

    pub(super) fn backlog(&self, default_limit: u64, count: usize) -> Backlog {
        let mut waiting: Vec<&Row> = self.rows.values().filter(|row| row.session.state == State::Queued).collect();
        waiting.sort_by_key(|row| (row.session.created_at, row.session.id.0));
        let mut room: BTreeMap<Uuid, u64> = BTreeMap::new();
        let mut next = Vec::new();
        for row in &waiting {
            let organization = row.session.organization;
            let room = room.entry(organization.0).or_insert_with(|| {
                let slot_usage = self.standing_of(organization);
                slot_usage.limit(default_limit).saturating_sub(slot_usage.active)
            });
            if *room > 0 {
                *room -= 1;
                next.push(row.stored());
            }
        }
        next.truncate(count);
        Backlog { waiting: waiting.len() as u64, next }
    }
}

#[async_trait]
impl Organizations for MemoryStore {
    async fn create_organization(&self, organization: NewOrganization) -> Result<bool, Error> {
        let NewOrganization { id, name, limit, created_at } = organization;
        let mut tables = self.tables()?;
        let is_new = !tables.organizations.contains_key(&name);
        tables.organizations.entry(name).or_insert_with(|| Known::new(id, limit, created_at));
        Ok(is_new)
    }

    async fn organizations(&self) -> Result<Vec<Organization>, Error> {
        let tables = self.tables()?;
        let organization = |(name, known): (&String, &Known)| Organization {
            id: OrganizationId(known.id),
            name: name.clone(),
            users: tables.users.keys().filter(|(organization, _)| *organization == known.id).count() as u64,
            keys: tables.working_keys(known.id),
            slot_usage: tables.standing_of(OrganizationId(known.id)),
            created_at: known.created_at,
        };
        Ok(tables.organizations.iter().map(organization).collect())
    }

    async fn limit_organization(&self, name: &str, limit: Option<u64>) -> Result<bool, Error> {
        let mut tables = self.tables()?;
        let known = tables.organizations.get_mut(name);
        Ok(known.map(|known| known.limit = limit).is_some())
    }
}
