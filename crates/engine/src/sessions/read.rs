//! What callers read of sessions: one, many, their events, and how many slots are left.

use super::Sessions;
use crate::{SubmitError, sessions::visibility::View};
use quarterdeck_api::SessionId;
use quarterdeck_core::Session;
use quarterdeck_store::{Caller, Error, EventFilter, ListPage, SessionFilter, SessionRecord, SummaryRow};
use serde_json::value::RawValue;
use std::sync::Arc;

/// An organization's slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many sessions may hold one.
    pub limit: u64,
    /// How many do.
    pub active: u64,
    /// How many of its sessions are in each status that is no end; statuses of none are left out.
    pub by_status: Vec<(String, u64)>,
}

impl Sessions {
    /// How many slots the organization has, and uses.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn quota(&self, caller: Caller) -> Result<Quota, Error> {
        let slot_usage = self.shared.store.slot_usage(caller.organization).await?;
        let by_status = self.shared.store.live_sessions(Some(caller.organization)).await?;
        let limit = slot_usage.limit(self.shared.settings.limits.concurrent);
        Ok(Quota { limit, active: slot_usage.active, by_status })
    }

    /// Where a session stands.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn session(&self, caller: Option<Caller>, id: SessionId) -> Result<Arc<Session>, SubmitError> {
        let (snapshot, view) = self.find(caller, id).await?;
        Ok(view.of_session(snapshot.session))
    }

    /// A session with its request.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn record(&self, caller: Option<Caller>, id: SessionId) -> Result<SessionRecord, SubmitError> {
        let record = self.shared.store.record(id).await?;
        let view = self.view(caller, id, record.as_ref().map(|record| record.session.organization)).await?;
        let record = record.ok_or(SubmitError::NotFound(id))?;
        Ok(match view {
            View::Own => record,
            View::Public => SessionRecord { session: record.session.without_causes(), ..record },
        })
    }

    /// A page of the organization's sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, caller: Caller, filter: SessionFilter) -> Result<ListPage<SummaryRow>, Error> {
        let permits = if filter.search.is_some() { &self.shared.searches } else { &*self.shared.reads };
        let permit = permits.acquire(caller.organization).await?;
        let listing = self.shared.store.sessions(caller.organization, filter).await;
        drop(permit);
        listing
    }

    /// A page of a session's events.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn events(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        filter: EventFilter,
    ) -> Result<ListPage<Arc<RawValue>>, SubmitError> {
        let (snapshot, view) = self.find(caller, id).await?;
        let (offset, limit) = (filter.offset.unsigned_abs(), filter.limit.unsigned_abs());
        let _permit = self.shared.reads.acquire(snapshot.session.organization).await?;
        let page = self.shared.store.events_page(id, filter).await?;
        if (page.items.len() as u64) < page.total.saturating_sub(offset).min(limit) {
            return Err(SubmitError::PageTooLarge);
        }
        Ok(ListPage { items: view.of_all(page.items), ..page })
    }
}
