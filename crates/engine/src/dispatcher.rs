//! Finds sessions that are due and that nobody runs, and keeps this process's lease.
//!
//! A timer is a session that falls due in the future; a crashed replica's session is one whose owner's lease
//! has run out; a new session is one that is due at once. All three are claimed here, in the same way.

use crate::{engine::Shared, worker};
use quarterdeck_store::{Claimed, Error, Notice, Notices};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often what is out of date is removed.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// Sessions claimed in one go, so that replicas share a backlog.
const CLAIM_MAX: usize = 64;

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
}

impl Dispatcher {
    pub(crate) async fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, Error> {
        shared.store.renew(shared.replica, shared.settings.lease).await?;
        let notices = shared.store.listen().await?;
        let dispatcher = Self { shared };
        Ok(tokio::spawn(async move {
            tokio::join!(dispatcher.keep_lease(), dispatcher.hear(notices), dispatcher.dispatch(), dispatcher.sweep());
        }))
    }

    async fn sweep(&self) {
        let Shared { store, clock, draining, .. } = &*self.shared;
        loop {
            if let Err(error) = store.sweep(clock.now()).await {
                tracing::warn!(%error, "could not remove what is out of date");
            }
            tokio::select! {
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
                () = sleep(wait) => {}
                () = work_due.notified() => {}
                () = draining.cancelled() => {}
            }
        }
    }

    /// Claims as much as there is room for.
    async fn claim(&self) -> Result<(), Error> {
        let shared = &self.shared;
        loop {
            let slots: Vec<_> = std::iter::from_fn(|| worker::slot(shared)).take(CLAIM_MAX).collect();
            if slots.is_empty() {
                return Ok(());
            }
            let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let claimed = shared.store.claim(shared.replica, shared.clock.now(), limit).await?;
            let all_used = claimed.len() == slots.len();
            for (slot, Claimed { session, lease }) in slots.into_iter().zip(claimed) {
                let id = session.id;
                tracing::debug!(session.id = %id, epoch = lease.epoch, "claimed session {id}");
                let watch = shared.notifier.watch(id);
                shared.notifier.forget(id);
                worker::spawn(shared, slot, watch, lease, None);
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

    /// Renews well before the lease runs out. A process that could not renew in time stops its steps: somebody
    /// else may be running its sessions by now.
    async fn keep_lease(&self) {
        let Shared { store, replica, settings, stopping, .. } = &*self.shared;
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = sleep(settings.lease / 4) => {}
                // Not when draining begins: the steps that are still running need the lease.
                () = stopping.cancelled() => return,
            }
            match store.renew(*replica, settings.lease).await {
                Ok(()) => {
                    renewed = Instant::now();
                    self.unfence().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not renew the lease");
                    if renewed.elapsed() >= settings.lease {
                        self.shared.fenced.send_replace(true);
                    }
                }
            }
        }
    }

    /// The workers stopped when the lease ran out, and this process lives again: what it owned would be nobody's.
    async fn unfence(&self) {
        let Shared { store, replica, settings, work_due, fenced, .. } = &*self.shared;
        if !*fenced.borrow() {
            return;
        }
        let handed_over = async {
            store.retire(*replica).await?;
            store.renew(*replica, settings.lease).await
        };
        match handed_over.await {
            Ok(()) => {
                fenced.send_replace(false);
                work_due.notify_one();
            }
            Err(error) => tracing::warn!(%error, "could not hand over what this process owned"),
        }
    }

    /// Reads again what other replicas changed and somebody here watches.
    async fn hear(&self, mut notices: Notices) {
        loop {
            let notice = tokio::select! {
                notice = notices.recv() => notice,
                () = self.shared.draining.cancelled() => return,
            };
            match notice {
                Some(Notice::Changed(id, version)) => {
                    if self.is_news(id, version) {
                        self.reload(id).await;
                    }
                }
                Some(Notice::Lost) => {
                    for id in self.shared.notifier.watched() {
                        self.reload(id).await;
                    }
                }
                None => return,
            }
        }
    }

    fn is_news(&self, id: quarterdeck_api::SessionId, version: u64) -> bool {
        self.shared.notifier.is_watched(id)
            && self.shared.notifier.snapshot(id).is_none_or(|known| known.session.version < version)
    }

    async fn reload(&self, id: quarterdeck_api::SessionId) {
        if let Err(error) = self.shared.reload(id).await {
            tracing::warn!(session.id = %id, %error, "could not read a changed session");
        }
    }
}
