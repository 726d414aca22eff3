//! Finds sessions that this process owns without knowing it, and gives them back.

use super::reconciler::Reconciler;
use crate::shared::Shared;
use quarterdeck_store::{Error, Owned};
use std::time::Duration;

/// The search for lost claims: when the answer to a claim or a commit is lost, this process may own a session and not
/// know it; then nobody would run it while this process lives.
pub(super) struct LostClaims<'a> {
    shared: &'a Shared,
    /// Owned and not run, the last time it was looked for.
    suspected: Vec<Owned>,
}

impl<'a> LostClaims<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, suspected: Vec::new() }
    }

    /// What it owns and does not run, now and the last time it looked, is lost.
    async fn give_back(&mut self) -> Result<(), Error> {
        let Shared { store, replica, work_due, .. } = self.shared;
        let owned = store.owned(*replica).await;
        let before = std::mem::take(&mut self.suspected);
        let is_run = |owned: &Owned| self.shared.held().contains(&(owned.session, owned.lease.epoch));
        let idle: Vec<Owned> = owned?.into_iter().filter(|owned| !is_run(owned)).collect();
        let was_idle =
            |one: &&Owned| before.iter().any(|known| (known.session, known.lease) == (one.session, one.lease));
        for Owned { session, lease, version } in idle.iter().filter(was_idle) {
            tracing::warn!(session.id = %session, epoch = lease.epoch, "nobody here runs session {session}; letting go");
            if let Err(error) = self.shared.release(*session, *lease, *version).await {
                tracing::warn!(session.id = %session, %error, "could not let go of session {session}");
            }
            work_due.notify_one();
        }
        self.suspected = idle;
        Ok(())
    }
}

impl Reconciler for LostClaims<'_> {
    const FAILURE: &'static str = "could not look for sessions whose claim was lost";

    async fn step(&mut self) -> Result<Duration, Error> {
        if !self.shared.fenced.get() {
            self.give_back().await?;
        }
        Ok(self.interval())
    }

    fn interval(&self) -> Duration {
        self.shared.settings.lease / 4
    }
}
