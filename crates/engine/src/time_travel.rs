//! Moving a [`VirtualClock`] on: from one due time to the next, each with everything that follows from it, until the
//! target is reached. Nothing jumps by itself.

use crate::{
    Clock, Sessions, VirtualClock,
    shared::{Moved, Shared},
};
use chrono::TimeDelta;
use quarterdeck_api::Timestamp;
use quarterdeck_store::Error;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

/// How long what is due at one moment may take before time moves on without it.
const DUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile, once it has taken longer than most.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// For how long it is looked at again and again: a moment with one session due takes less, and no timer is as fine.
const HASTE: Duration = Duration::from_millis(3);

/// What came of moving a clock on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// The time now.
    pub now: Timestamp,
    /// Which sessions changed, in order.
    pub fired: Vec<Moved>,
    /// Whether something was still at work when time moved on: a real model, a tool.
    pub unsettled: bool,
}

/// How far a clock is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this moment.
    Moment(Timestamp),
    /// By this much, from when everything that is at work now waits.
    By(TimeDelta),
    /// To the next moment at which something is due.
    Next,
}

impl Sessions {
    /// Moves the clock on, from due time to due time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn travel(&self, clock: &VirtualClock, target: Target) -> Result<Journey, Error> {
        let shared = &self.shared;
        let _one_at_a_time = shared.travel.lock().await;
        let was_frozen = clock.is_frozen();
        clock.hold(true);
        shared.moves().get_or_insert_default().clear();
        let reached = go(shared, clock, target).await;
        let fired = shared.moves().take().unwrap_or_default();
        if !was_frozen {
            clock.hold(false);
        }
        Ok(Journey { now: clock.now(), fired, unsettled: !reached? })
    }

    /// Returns once nothing is due and nobody works, or false when that takes too long.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(&self, clock: &VirtualClock) -> Result<bool, Error> {
        settle(&self.shared, clock).await
    }
}

async fn go(shared: &Arc<Shared>, clock: &VirtualClock, target: Target) -> Result<bool, Error> {
    let mut all_settled = settle(shared, clock).await?;
    let target = match target {
        Target::By(time) => Target::Moment(clock.now().checked_add_signed(time).unwrap_or(Timestamp::MAX_UTC)),
        Target::Moment(_) | Target::Next => target,
    };
    loop {
        let now = clock.now();
        // What was due and did not settle in time must not hold time up.
        let due = [shared.store.next_due().await?, clock.next_end()];
        let due = due.into_iter().flatten().filter(|due| *due > now).min();
        let stop = match (due, target) {
            (Some(due), Target::Moment(end)) if due > end => Some(end),
            (None, Target::Moment(end)) => Some(end),
            (None, Target::Next | Target::By(_)) => Some(now),
            (Some(due), _) => {
                clock.leap_to(due);
                shared.work_due.notify_one();
                all_settled &= settle(shared, clock).await?;
                (target == Target::Next).then_some(due)
            }
        };
        if let Some(end) = stop {
            clock.leap_to(end);
            shared.work_due.notify_one();
            return Ok(settle(shared, clock).await? && all_settled);
        }
    }
}

async fn settle(shared: &Shared, clock: &VirtualClock) -> Result<bool, Error> {
    let begun = Instant::now();
    let mut calm = 0;
    loop {
        calm = if is_calm(shared, clock).await? { calm + 1 } else { 0 };
        // A worker that waits for another one's session hears of it a moment after that one is done.
        if calm >= if shared.waits() == 0 { 1 } else { 3 } {
            return Ok(true);
        }
        let waited = begun.elapsed();
        if waited > DUE_TIMEOUT {
            return Ok(false);
        }
        if calm == 0 && waited < HASTE { yield_now().await } else { sleep(LOOK_INTERVAL).await }
    }
}

/// Whether nothing is due, and every worker here waits for a later time or for another session.
async fn is_calm(shared: &Shared, clock: &VirtualClock) -> Result<bool, Error> {
    // The store is only asked when nothing here says no, and then all is looked at again: what was claimed meanwhile has
    // its worker by now, or is being claimed still.
    if is_busy(shared, clock) {
        return Ok(false);
    }
    let is_due = shared.store.next_due().await?.is_some_and(|due| due <= clock.now());
    Ok(!is_due && !is_busy(shared, clock))
}

fn is_busy(shared: &Shared, clock: &VirtualClock) -> bool {
    let is_claiming = shared.is_claiming();
    let at_work = shared.held().len().saturating_sub(clock.resting() + shared.waits());
    is_claiming || clock.is_due() || at_work > 0
}
