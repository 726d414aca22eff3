//! Finds sessions that are due and that nobody runs.
//!
//! A timer is a session that falls due in the future; a crashed replica's session is one whose owner's lease
//! has run out; a new session is one that is due at once. All three are claimed here, in the same way.

use super::reconciler::Reconciler;
use crate::{
    meter,
    shared::Shared,
    worker::{self, Hold},
};
use quarterdeck_store::{Claimed, Error};
use std::{sync::Arc, time::Duration};

/// Sessions claimed in one go, so that replicas share a backlog.
const CLAIM_MAX: usize = 64;

/// The search for sessions that are due.
pub(super) struct Claims<'a>(pub(super) &'a Arc<Shared>);

impl Reconciler for Claims<'_> {
    const FAILURE: &'static str = "could not look for work";

    async fn step(&mut self) -> Result<Duration, Error> {
        claim(self.0).await?;
        Ok(until_next_due(self.0).await)
    }

    fn interval(&self) -> Duration {
        self.0.settings.poll_interval
    }
}

/// Claims as much as there is room for.
async fn claim(shared: &Arc<Shared>) -> Result<(), Error> {
    if shared.fenced.get() {
        return Ok(()); // nothing could be recorded
    }
    loop {
        let permits: Vec<_> = std::iter::from_fn(|| worker::permit(shared)).take(CLAIM_MAX).collect();
        if permits.is_empty() {
            return Ok(());
        }
        let limit = u32::try_from(permits.len()).unwrap_or(u32::MAX);
        let _claiming = shared.claiming();
        let claimed = shared.store.claim(shared.replica, shared.clock.now(), limit).await?;
        let all_used = claimed.len() == permits.len();
        for (permit, Claimed { session, lease, taken_over }) in permits.into_iter().zip(claimed) {
            let id = session.id;
            meter::claimed(&session);
            tracing::debug!(session.id = %id, epoch = lease.epoch, taken_over, "claimed session {id}");
            if taken_over {
                let organization = session.organization.0;
                tracing::info!(session.id = %id, %organization, "took over session {id}");
            }
            let watch = shared.notifier.watch(id);
            shared.notifier.forget(id);
            worker::spawn(shared, Some(permit), watch, Hold { lease, taken_over, assignment: None });
        }
        if !all_used {
            return Ok(());
        }
    }
}

/// Sleeps to the next timer, but never so long that a lost notice would be felt.
async fn until_next_due(shared: &Shared) -> Duration {
    let poll = shared.settings.poll_interval;
    match shared.store.next_due().await {
        Ok(Some(due)) => (due - shared.clock.now()).to_std().unwrap_or(poll).min(poll),
        Ok(None) | Err(_) => poll,
    }
}
