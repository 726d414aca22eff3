//! Hearing of what other replicas change.
//!
//! A connection can be dead and look alive: what lies between forgets it without a word. So when nothing was heard for
//! a while, the listener says something itself, over another connection, and takes a new connection when it does not
//! hear that either.

use super::{ANSWER_TIMEOUT, CHANNEL, in_time, trouble};
use crate::{Error, Notice};
use futures_util::TryFutureExt;
use quarterdeck_api::SessionId;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgNotification, PgPoolOptions},
};
use std::{pin::pin, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

/// How long it may be quiet before it is tried whether anything is heard at all.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to hear oneself.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before another connection is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A connection that hears notifications, and the others, over which it says something.
pub(super) struct NotificationListener {
    pool: PgPool,
    listener: PgListener,
}

impl NotificationListener {
    pub(super) async fn open(pool: &PgPool) -> Result<Self, Error> {
        Ok(Self { pool: pool.clone(), listener: listen(pool).await? })
    }

    /// Passes on what is heard, for ever. The listener connects anew by itself, and loses what was sent meanwhile: then
    /// everything counts as changed.
    pub(super) async fn forward(mut self, sender: &mpsc::Sender<Notice>) {
        loop {
            let notices = match self.hear().await {
                Ok(Some(Some(notification))) => changes_in(notification.payload()).collect(),
                Ok(Some(None)) => {
                    // What ended this connection may have ended the others, which nobody has looked at since.
                    trouble::note();
                    vec![Notice::Lost]
                }
                Ok(None) => {
                    tracing::warn!("the connection that hears of other replicas' changes is dead; taking another one");
                    self.replace().await;
                    vec![Notice::Lost]
                }
                Err(error) => {
                    tracing::warn!(%error, "not hearing of other replicas' changes; trying again");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    vec![Notice::Lost]
                }
            };
            for notice in notices {
                if sender.send(notice).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What is heard next, as [`PgListener::try_recv`] tells it; none when nothing can be heard.
    async fn hear(&mut self) -> Result<Option<Option<PgNotification>>, sqlx::Error> {
        let mut next = pin!(self.listener.try_recv());
        loop {
            if let Ok(heard) = timeout(PROBE_INTERVAL, &mut next).await {
                return heard.map(Some);
            }
            if speak(&self.pool).await.is_err() {
                continue; // the database is away, which says nothing of the connection
            }
            return match timeout(PROBE_TIMEOUT, &mut next).await {
                Ok(heard) => heard.map(Some),
                Err(_) => Ok(None),
            };
        }
    }

    async fn replace(&mut self) {
        loop {
            match listen(&self.pool).await {
                Ok(listener) => {
                    self.listener = listener;
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen; trying again");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }
}

/// On a connection of its own: one that is dead would keep its place among the others until the system gives it up.
async fn listen(pool: &PgPool) -> Result<PgListener, Error> {
    let options = pool.connect_options().as_ref().clone();
    let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let own = own.acquire_timeout(ANSWER_TIMEOUT).connect_lazy_with(options);
    in_time(async {
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    })
    .await
}

/// Tells everybody nothing.
async fn speak(pool: &PgPool) -> Result<(), Error> {
    in_time(sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(pool).err_into()).await?;
    Ok(())
}

fn changes_in(payload: &str) -> impl Iterator<Item = Notice> {
    payload.split(' ').filter_map(|change| {
        let (id, version) = change.split_once(':')?;
        Some(Notice::Changed(SessionId(Uuid::try_parse(id).ok()?), version.parse().ok()?))
    })
}
