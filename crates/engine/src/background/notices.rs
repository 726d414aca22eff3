//! Hears what other processes changed, and reads it again for those who watch here.

use crate::shared::{STORE_RETRY_INTERVAL, Shared};
use futures_util::{StreamExt, future, stream};
use quarterdeck_api::SessionId;
use quarterdeck_store::{Notice, Notices};
use std::collections::BTreeSet;
use tokio::time::sleep;

/// Changed sessions that are read side by side.
const RELOADS_AT_ONCE: usize = 64;

/// Reads again what other replicas changed and somebody here watches.
pub(super) async fn hear(shared: &Shared, mut notices: Notices) {
    let mut unread = BTreeSet::new();
    loop {
        let changed: Vec<SessionId> = tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            notice = notices.recv() => match notice {
                Some(Notice::Changed(id, version)) if is_news(shared, id, version) => vec![id],
                Some(Notice::Changed(..)) => continue,
                Some(Notice::Lost) => {
                    // All is read after this, so what else waits here says nothing new.
                    while notices.try_recv().is_ok() {}
                    shared.notifier.watched()
                }
                None => return,
            },
            () = sleep(STORE_RETRY_INTERVAL), if !unread.is_empty() => std::mem::take(&mut unread).into_iter().collect(),
        };
        unread.extend(reload(shared, changed).await);
    }
}

fn is_news(shared: &Shared, id: SessionId, version: u64) -> bool {
    shared.notifier.is_watched(id) && shared.notifier.snapshot(id).is_none_or(|known| known.session.version < version)
}

/// Reads sessions for those who watch them. Returns which have to be tried again.
async fn reload(shared: &Shared, changed: Vec<SessionId>) -> Vec<SessionId> {
    let watched = changed.into_iter().filter(|id| shared.notifier.is_watched(*id));
    let read = watched.map(|id| async move {
        let error = shared.reload(id).await.err()?;
        tracing::warn!(session.id = %id, %error, "could not read a changed session");
        error.is_transient().then_some(id)
    });
    stream::iter(read).buffered(RELOADS_AT_ONCE).filter_map(future::ready).collect().await
}
