//! Finds sessions that are due and that nobody runs, and keeps this process's lease.
//!
//! A timer is a session that falls due in the future; a crashed replica's session is one whose owner's lease
//! has run out; a new session is one that is due at once. All three are claimed here, in the same way.

use crate::{
    engine::{STORE_RETRY, Shared},
    meter, queue,
    worker::{self, Hold},
};
use futures_util::{StreamExt, future, stream};
use quarterdeck_api::SessionId;
use quarterdeck_store::{Claimed, Error, Notice, Notices, Owned};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How often what is out of date is removed.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// Changed sessions that are read side by side.
const RELOADS_AT_ONCE: usize = 64;
/// Sessions claimed in one go, so that replicas share a backlog.
const CLAIM_MAX: usize = 64;

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
}

impl Dispatcher {
    pub(crate) async fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, Error> {
        let renewed = Instant::now();
        shared.store.renew(shared.replica, shared.settings.lease).await?;
        let notices = shared.store.listen().await?;
        let dispatcher = Self { shared };
        Ok(tokio::spawn(async move {
            tokio::join!(
                dispatcher.keep_lease(renewed),
                dispatcher.hear(notices),
                dispatcher.dispatch(),
                dispatcher.look_for_strays(),
                dispatcher.sweep(),
                queue::keep_moving(&dispatcher.shared)
            );
        }))
    }

    async fn sweep(&self) {
        let Shared { store, clock, draining, .. } = &*self.shared;
        loop {
            if let Err(error) = store.sweep(clock.now()).await {
                tracing::warn!(%error, "could not remove what is out of date");
            }
            tokio::select! {
                biased;
                () = sleep(SWEEP_INTERVAL) => {}
                () = draining.cancelled() => return,
            }
        }
    }

    async fn dispatch(&self) {
        let Shared { draining, work_due, settings, .. } = &*self.shared;
        while !draining.is_cancelled() {
            let wait = match self.claim().await {
                Ok(()) => self.until_next_due().await,
                Err(error) => {
                    tracing::warn!(%error, "could not look for work");
                    settings.poll_interval
                }
            };
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                () = work_due.notified() => {}
                () = draining.cancelled() => {}
            }
        }
    }

    /// Claims as much as there is room for.
    async fn claim(&self) -> Result<(), Error> {
        let shared = &self.shared;
        if shared.fenced.get() {
            return Ok(()); // nothing could be recorded
        }
        loop {
            let slots: Vec<_> = std::iter::from_fn(|| worker::slot(shared)).take(CLAIM_MAX).collect();
            if slots.is_empty() {
                return Ok(());
            }
            let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let claimed = shared.store.claim(shared.replica, shared.clock.now(), limit).await?;
            let all_used = claimed.len() == slots.len();
            for (slot, Claimed { session, lease, taken_over }) in slots.into_iter().zip(claimed) {
                let id = session.id;
                meter::claimed(&session);
                tracing::debug!(session.id = %id, epoch = lease.epoch, taken_over, "claimed session {id}");
                if taken_over {
                    let organization = session.organization.0;
                    tracing::info!(session.id = %id, %organization, "took over session {id}");
                }
                let watch = shared.notifier.watch(id);
                shared.notifier.forget(id);
                worker::spawn(shared, Some(slot), watch, Hold { lease, taken_over, assignment: None });
            }
            if !all_used {
                return Ok(());
            }
        }
    }

    /// Sleeps to the next timer, but never so long that a lost notice would be felt.
    async fn until_next_due(&self) -> Duration {
        let poll = self.shared.settings.poll_interval;
        match self.shared.store.next_due().await {
            Ok(Some(due)) => (due - self.shared.clock.now()).to_std().unwrap_or(poll).min(poll),
            Ok(None) | Err(_) => poll,
        }
    }

    /// Renews well before the lease runs out. A process that could not renew in time stops its steps, before somebody
    /// else may run its sessions: it counts from when it asked, the database from when it heard.
    async fn keep_lease(&self, mut renewed: Instant) {
        let Shared { store, replica, settings, stopping, fenced, .. } = &*self.shared;
        let lease = settings.lease;
        loop {
            let end = renewed + lease;
            let next = Instant::now() + lease / 4;
            tokio::select! {
                biased;
                () = sleep_until(if fenced.get() { next } else { next.min(end) }) => {}
                // Not when draining begins: the steps that are still running need the lease.
                () = stopping.cancelled() => return,
            }
            let asked = Instant::now();
            if asked >= end && store.is_shared() {
                fenced.set(true);
            }
            let patience = if fenced.get() { lease } else { end - asked };
            match timeout(patience, store.renew(*replica, lease)).await {
                Ok(Ok(())) => {
                    renewed = asked;
                    self.unfence().await;
                }
                Ok(Err(error)) => {
                    meter::lease_not_renewed();
                    tracing::warn!(%error, "could not renew the lease");
                }
                Err(_) => {
                    meter::lease_not_renewed();
                    tracing::warn!("the lease was not renewed in time");
                }
            }
        }
    }

    async fn look_for_strays(&self) {
        let Shared { settings, draining, fenced, .. } = &*self.shared;
        let mut astray = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = sleep(settings.lease / 4) => {}
                () = draining.cancelled() => return,
            }
            if !fenced.get() {
                astray = self.let_go_of_strays(&astray).await;
            }
        }
    }

    /// When the answer to a claim or a commit is lost, this process may own a session and not know it; then nobody
    /// would run it while this process lives. What it owns and does not run, now and the last time it looked, it lets
    /// go of. Returns what it does not run now.
    async fn let_go_of_strays(&self, before: &[Owned]) -> Vec<Owned> {
        let Shared { store, replica, work_due, .. } = &*self.shared;
        let owned = match store.owned(*replica).await {
            Ok(owned) => owned,
            Err(error) => {
                tracing::warn!(%error, "could not look for sessions that have gone astray");
                return Vec::new();
            }
        };
        let is_astray = |owned: &Owned| !self.shared.held().contains(&(owned.session, owned.lease.epoch));
        let astray: Vec<Owned> = owned.into_iter().filter(is_astray).collect();
        let is_known =
            |one: &&Owned| before.iter().any(|known| (known.session, known.lease) == (one.session, one.lease));
        for Owned { session, lease, version } in astray.iter().filter(is_known) {
            tracing::warn!(session.id = %session, epoch = lease.epoch, "nobody here runs session {session}; letting go");
            if let Err(error) = store.release(*session, *lease, *version).await {
                tracing::warn!(session.id = %session, %error, "could not let go of session {session}");
            }
            self.shared.notifier.forget(*session);
            work_due.notify_one();
        }
        astray
    }

    /// The workers stopped when the lease ran out, and this process lives again: what it owned would be nobody's.
    async fn unfence(&self) {
        let Shared { store, replica, settings, work_due, fenced, .. } = &*self.shared;
        if !fenced.get() {
            return;
        }
        let handed_over = async {
            store.retire(*replica).await?;
            store.renew(*replica, settings.lease).await
        };
        match handed_over.await {
            Ok(()) => {
                fenced.set(false);
                work_due.notify_one();
            }
            Err(error) => tracing::warn!(%error, "could not hand over what this process owned"),
        }
    }

    /// Reads again what other replicas changed and somebody here watches.
    async fn hear(&self, mut notices: Notices) {
        let mut unread = BTreeSet::new();
        loop {
            let changed: Vec<SessionId> = tokio::select! {
                biased;
                () = self.shared.draining.cancelled() => return,
                notice = notices.recv() => match notice {
                    Some(Notice::Changed(id, version)) if self.is_news(id, version) => vec![id],
                    Some(Notice::Changed(..)) => continue,
                    Some(Notice::Lost) => {
                        // All is read after this, so what else waits here says nothing new.
                        while notices.try_recv().is_ok() {}
                        self.shared.notifier.watched()
                    }
                    None => return,
                },
                () = sleep(STORE_RETRY), if !unread.is_empty() => std::mem::take(&mut unread).into_iter().collect(),
            };
            unread.extend(self.reload(changed).await);
        }
    }

    fn is_news(&self, id: SessionId, version: u64) -> bool {
        self.shared.notifier.is_watched(id)
            && self.shared.notifier.snapshot(id).is_none_or(|known| known.session.version < version)
    }

    /// Reads sessions for those who watch them. Returns which have to be tried again.
    async fn reload(&self, changed: Vec<SessionId>) -> Vec<SessionId> {
        let watched = changed.into_iter().filter(|id| self.shared.notifier.is_watched(*id));
        let read = watched.map(|id| async move {
            let error = self.shared.reload(id).await.err()?;
            tracing::warn!(session.id = %id, %error, "could not read a changed session");
            error.is_transient().then_some(id)
        });
        stream::iter(read).buffered(RELOADS_AT_ONCE).filter_map(future::ready).collect().await
    }
}
