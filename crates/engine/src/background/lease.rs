//! Keeps this process's lease, and fences it when that could not be done in time.

use crate::{meter, shared::Shared};
use tokio::time::{Instant, sleep_until, timeout};

/// Renews well before the lease runs out. A process that could not renew in time stops its steps, before somebody
/// else may run its sessions: it counts from when it asked, the database from when it heard.
pub(super) async fn keep(shared: &Shared, mut renewed: Instant) {
    let Shared { store, replica, settings, stopping, fenced, .. } = shared;
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
                unfence(shared).await;
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

/// The workers stopped when the lease ran out, and this process lives again: what it owned would be nobody's.
async fn unfence(shared: &Shared) {
    let Shared { store, replica, settings, work_due, fenced, .. } = shared;
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
