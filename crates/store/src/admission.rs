//! Who gets one of an organization's slots. The rules are here and touch no database: the committer counts, in the
//! transaction that writes, and asks.
//!
//! Rows are the truth: slots are counted by the status of sessions, so there is no counter that could drift.
//! See docs/decisions/0015-slots-are-counted-where-they-are-taken.md.

use crate::{
    CommitSlot,
    committer::{Verdict, Write},
};
use quarterdeck_api::{OrganizationId, SessionId};
use quarterdeck_core::Transition;
use std::collections::{BTreeSet, HashMap};

/// How many sessions an organization may have, unless it has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that hold a slot at once.
    pub concurrent: u64,
    /// Sessions that may wait for one.
    pub queued: u64,
}

/// What a creation asks for.
#[derive(Clone, Debug)]
pub enum Admission {
    /// A slot, whatever the limit: the session works for another one, which would wait for it for ever
    /// (contract: open questions, 39).
    Granted,
    /// A slot that nobody waits for.
    Asked {
        /// How many there are.
        limits: Limits,
        /// What is written when there is none; without it, the creation is refused.
        queued: Option<Box<Queued>>,
    },
}

/// A session as it is created in the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its first state and events.
    pub transition: Transition,
    /// What creation answers with then, to be repeated for its idempotency key.
    pub response: Option<String>,
}

/// Why there was no slot. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All slots are taken, or spoken for by sessions that wait.
    #[error("the organization may have {limit} sessions at once, and has them")]
    NoSlot {
        /// How many there are.
        limit: u64,
    },
    /// Neither a slot nor a place in the queue is left.
    #[error("the organization may have {limit} sessions waiting for a slot, and has them")]
    QueueFull {
        /// How many may wait.
        limit: u64,
    },
}

/// How many sessions an organization has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotUsage {
    /// Sessions that hold a slot.
    pub active: u64,
    /// Sessions that wait for one.
    pub queued: u64,
    /// The organization's own limit, instead of [`Limits::concurrent`].
    pub limit: Option<u64>,
}

impl SlotUsage {
    /// How many slots the organization has.
    pub fn limit(&self, default: u64) -> u64 {
        self.limit.unwrap_or(default)
    }

    /// Takes a slot. One that sessions wait for is theirs, also in the moment before they are started.
    ///
    /// # Errors
    /// [`Refusal::NoSlot`]; then nothing is taken.
    pub fn take(&mut self, limits: Limits) -> Result<(), Refusal> {
        let limit = self.limit(limits.concurrent);
        if self.active.saturating_add(self.queued) >= limit {
            return Err(Refusal::NoSlot { limit });
        }
        self.active += 1;
        Ok(())
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`Refusal::QueueFull`]; then nothing is taken.
    pub fn wait(&mut self, limits: Limits) -> Result<(), Refusal> {
        if self.queued >= limits.queued {
            return Err(Refusal::QueueFull { limit: limits.queued });
        }
        self.queued += 1;
        Ok(())
    }

    /// Moves one from the queue into a slot.
    ///
    /// # Errors
    /// [`Refusal::NoSlot`]; then it waits on.
    pub fn promote(&mut self, limits: Limits) -> Result<(), Refusal> {
        let limit = self.limit(limits.concurrent);
        if self.active >= limit {
            return Err(Refusal::NoSlot { limit });
        }
        self.active += 1;
        self.queued = self.queued.saturating_sub(1);
        Ok(())
    }
}

/// A session whose commit asks for a slot, as it stands in the transaction that decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// Whether it works for another one.
    pub(crate) has_parent: bool,
}

/// What the transaction found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) slot_usages: HashMap<OrganizationId, SlotUsage>,
    /// Only those that still are in the version that their commit was decided on.
    pub(crate) askers: HashMap<SessionId, Asker>,
}

/// The organizations whose slots must be counted for these writes.
pub(crate) fn asked(writes: &[&Write]) -> BTreeSet<OrganizationId> {
    writes.iter().filter(|write| write.asks()).map(|write| write.transition().session.organization).collect()
}

/// Decides, in order, for the writes that are let through so far. What frees a slot in the same batch may yet turn
/// out to be a conflict, so it counts from the next batch on.
pub(crate) fn decide(writes: &[&Write], verdicts: &mut [Verdict], mut found: Found) {
    for (write, verdict) in writes.iter().zip(verdicts) {
        if *verdict == Verdict::Applied {
            *verdict = decide_one(write, &mut found);
        }
    }
}

fn decide_one(write: &Write, found: &mut Found) -> Verdict {
    let session = &write.transition().session;
    // Not counted: nobody asks for a slot of this organization.
    let Some(slot_usage) = found.slot_usages.get_mut(&session.organization) else { return Verdict::Applied };
    let decided = match write {
        Write::Create(new) => return create(&new.admission, slot_usage),
        Write::Commit(commit) => match (commit.slot, found.askers.get(&session.id)) {
            (CommitSlot::Keep, _) => Ok(()),
            (CommitSlot::Take(_) | CommitSlot::Promote(_), None) => return Verdict::Conflict,
            (CommitSlot::Take(_), Some(Asker { has_parent: true })) => {
                slot_usage.active += 1;
                Ok(())
            }
            (CommitSlot::Take(limits), Some(_)) => slot_usage.take(limits),
            (CommitSlot::Promote(limits), Some(_)) => slot_usage.promote(limits),
        },
    };
    decided.map_or_else(Verdict::Refused, |()| Verdict::Applied)
}

fn create(admission: &Admission, slot_usage: &mut SlotUsage) -> Verdict {
    let Admission::Asked { limits, queued } = admission else {
        slot_usage.active += 1;
        return Verdict::Applied;
    };
    match (slot_usage.take(*limits), queued) {
        (Ok(()), _) => Verdict::Applied,
        (Err(refusal), None) => Verdict::Refused(refusal),
        (Err(_), Some(_)) => slot_usage.wait(*limits).map_or_else(Verdict::Refused, |()| Verdict::Queued),
    }
}
