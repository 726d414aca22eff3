//! Sessions that wait for a slot of their organization, and are started oldest first when one is free.
//!
//! The queue is a query, so it survives whatever happens to a process. In memory is only a hint whether it is worth
//! looking: most of the time nobody waits, and then the end of a session costs nothing here.

use super::reconciler::Reconciler;
use crate::{meter, shared::Shared};
use futures_util::future::join_all;
use quarterdeck_core::{Effect, Fact};
use quarterdeck_store::{CommitSlot, Error, StoredSession};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How long a queue may stand still before the log says so, and how often it says it.
const STANDSTILL_INTERVAL: Duration = Duration::from_mins(1);
/// Sessions promoted in one go.
const PROMOTE_MAX: u32 = 64;
/// Looks in a row, should others keep changing what was found; the next one comes soon in any case.
const LOOKS_MAX: usize = 16;

/// Promotes queued sessions: when this process frees a slot, and within the poll interval whatever else happened: another
/// process freed one or vanished, or the limit was raised.
pub(super) struct Queue<'a> {
    shared: &'a Arc<Shared>,
    standstill: Standstill,
}

impl<'a> Queue<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        Self { shared, standstill: Standstill::default() }
    }
}

impl Reconciler for Queue<'_> {
    const FAILURE: &'static str = "could not start queued sessions";

    async fn step(&mut self) -> Result<Duration, Error> {
        let waiting = move_up(self.shared).await?;
        self.standstill.look(waiting);
        Ok(self.interval())
    }

    fn interval(&self) -> Duration {
        self.shared.settings.poll_interval
    }
}

/// Notices a queue that does not get shorter.
#[derive(Default)]
struct Standstill {
    /// How many waited when that last changed for the better, and when that was or was last complained of.
    since: Option<(u64, Instant)>,
}

impl Standstill {
    fn look(&mut self, waiting: u64) {
        if waiting == 0 {
            self.since = None;
            return;
        }
        match self.since {
            Some((before, since)) if waiting >= before => {
                if since.elapsed() >= STANDSTILL_INTERVAL {
                    tracing::warn!(
                        waiting,
                        "queued sessions wait, and no slot has been free for {} s; who holds them is in GET \
                         /api/v2/sessions, and sessions that wait for their client end after --client-wait",
                        STANDSTILL_INTERVAL.as_secs()
                    );
                    self.since = Some((waiting, Instant::now()));
                }
            }
            Some(_) | None => self.since = Some((waiting, Instant::now())),
        }
    }
}

/// Starts who can be started, and says how many wait on.
async fn move_up(shared: &Arc<Shared>) -> Result<u64, Error> {
    let mut waiting = 0;
    for _ in 0..LOOKS_MAX {
        // Before the look: who joins during it says so again.
        shared.queue.somebody_waits.store(false, Ordering::SeqCst);
        let backlog = shared.store.backlog(shared.settings.limits.concurrent, PROMOTE_MAX).await?;
        waiting = backlog.waiting;
        if waiting > 0 {
            shared.queue.somebody_waits.store(true, Ordering::SeqCst);
        } else {
            shared.queue.is_told.store(false, Ordering::SeqCst);
        }
        let is_all = backlog.next.len() < PROMOTE_MAX as usize;
        // All at once, so that they share a transaction; it decides in this order.
        let outcomes = join_all(backlog.next.into_iter().map(|stored| promote(shared, stored))).await;
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        if is_all && !outcomes.contains(&Outcome::Moved) {
            return Ok(waiting);
        }
    }
    Ok(waiting)
}

#[derive(PartialEq, Eq)]
enum Outcome {
    /// It is on its way, or has to wait on.
    Settled,
    /// Somebody changed it meanwhile: it may still be first in line.
    Moved,
}

async fn promote(shared: &Arc<Shared>, stored: StoredSession) -> Result<Outcome, Error> {
    let Ok(Effect::Changed(transition)) = stored.session.fact(Fact::Promoted, shared.clock.now()) else {
        return Ok(Outcome::Settled);
    };
    let slot = CommitSlot::Promote(shared.settings.limits);
    match shared.commit_and_run(stored.owner, *transition, slot).await {
        Ok(()) => {
            meter::promoted();
            Ok(Outcome::Settled)
        }
        Err(Error::Refused(_)) => Ok(Outcome::Settled),
        Err(Error::Conflict(_)) => Ok(Outcome::Moved),
        Err(error) => Err(error),
    }
}
