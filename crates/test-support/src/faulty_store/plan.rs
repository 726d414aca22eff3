//! What calls meet.

use quarterdeck_store::Error;
use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// How long a call waits for a database that is cut off before it says so.
const CUT_TIMEOUT: Duration = Duration::from_millis(100);

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `ping`.
    Ping,
    /// All about API keys.
    Keys,
    /// `create`.
    Create,
    /// `commit`.
    Commit,
    /// `session`.
    Session,
    /// `record`.
    Record,
    /// `sessions`, `standing` and `live_sessions`.
    Sessions,
    /// `events` and `events_page`.
    Events,
    /// `inbox`.
    Inbox,
    /// `claim`.
    Claim,
    /// `next_due`.
    NextDue,
    /// `release`.
    Release,
    /// `owned`.
    Owned,
    /// `renew`.
    Renew,
    /// `retire`.
    Retire,
    /// `answered`.
    Answered,
    /// `sweep`.
    Sweep,
    /// `listen`.
    Listen,
    /// All of the catalogs.
    Catalog,
    /// Feedback and shares.
    Sharing,
    /// `backlog`.
    Backlog,
    /// All about organizations.
    Organizations,
    /// All of what agents remember.
    Memories,
    /// Not a call: a notice on its way to a listener. One that is not done is lost.
    Notice,
}

/// What one call meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// It reaches the store so much later.
    pub before: Duration,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The caller hears of it so much later.
    pub after: Duration,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is done and answered.
    #[default]
    Done,
    /// It fails, and nothing is done.
    NotDone(Failure),
    /// It is done, and fails for the caller.
    AnswerLost(Failure),
    /// It fails, and is done so much later: a database that was frozen still takes what it had been sent.
    DoneLate(Failure, Duration),
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go through later.
    Transient,
    /// It never will.
    Permanent,
}

impl Failure {
    pub(super) fn error(self) -> Error {
        let cause = "the test wants it so".to_owned();
        match self {
            Self::Transient => Error::Unavailable(cause),
            Self::Permanent => Error::Corrupt { table: "sessions", id: "any".into(), cause },
        }
    }
}

/// Whether calls get through at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// They do.
    Up,
    /// They fail soon. Those that are under way are done, and their answers are lost.
    Cut,
    /// They hang where they are, on their way or on their way back, until the link is up.
    Hung,
}

/// How often what happens, in thousandths of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// [`Outcome::NotDone`], for now.
    pub not_done: u32,
    /// [`Outcome::AnswerLost`], for now.
    pub answer_lost: u32,
    /// [`Outcome::DoneLate`], for now.
    pub done_late: u32,
    /// A delay before, and as often one after.
    pub delayed: u32,
    /// The longest delay.
    pub delay_max: Duration,
}

/// The faults of one connection. Without a script and without odds there are none.
#[derive(Debug)]
pub struct Faults {
    plans: Mutex<Plans>,
    link: Mutex<Link>,
    /// Wakes those who wait for it, whoever came first first.
    linked: Notify,
}

#[derive(Debug)]
struct Plans {
    script: Vec<Scripted>,
    odds: Odds,
    random: SmallRng,
}

#[derive(Debug)]
struct Scripted {
    method: Method,
    calls_before: usize,
    plan: Plan,
}

impl Faults {
    /// None yet; those to be drawn will come from `seed`.
    pub fn new(seed: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        let plans = Mutex::new(Plans { script: Vec::new(), odds: Odds::default(), random });
        Self { plans, link: Mutex::new(Link::Up), linked: Notify::new() }
    }

    /// Of the calls of this method, lets this many through, and then one with this plan.
    pub fn script(&self, method: Method, calls_before: usize, plan: Plan) {
        self.plans().script.push(Scripted { method, calls_before, plan });
    }

    /// From now on, draws the plans of all calls that are in no script.
    pub fn draw(&self, odds: Odds) {
        self.plans().odds = odds;
    }

    /// Lets calls through, cuts them off, or hangs them.
    pub fn set_link(&self, link: Link) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
        self.linked.notify_waiters();
    }

    /// The state of the connection.
    pub fn link(&self) -> Link {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next(&self, method: Method) -> Plan {
        self.plans().next(method)
    }

    /// Returns when the link is up; fails when it is cut.
    pub(super) async fn pass(&self) -> Result<(), Error> {
        let link = self.wait_until(|link| link != Link::Hung).await;
        if link == Link::Cut {
            sleep(CUT_TIMEOUT).await;
            return Err(Failure::Transient.error());
        }
        Ok(())
    }

    /// Returns when the link is up; tells whether it had to wait.
    pub(super) async fn wait_until_up(&self) -> bool {
        let was_up = self.link() == Link::Up;
        self.wait_until(|link| link == Link::Up).await;
        !was_up
    }

    async fn wait_until(&self, wanted: impl Fn(Link) -> bool) -> Link {
        loop {
            let linked = self.linked.notified();
            let link = self.link();
            if wanted(link) {
                return link;
            }
            linked.await;
        }
    }

    /// Nothing panics while it holds the lock.
    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plans {
    fn next(&mut self, method: Method) -> Plan {
        match self.scripted(method) {
            Some(plan) => plan,
            None => self.drawn(),
        }
    }

    fn scripted(&mut self, method: Method) -> Option<Plan> {
        let due = self.script.iter().position(|entry| entry.method == method && entry.calls_before == 0);
        if let Some(due) = due {
            return Some(self.script.remove(due).plan);
        }
        for entry in self.script.iter_mut().filter(|entry| entry.method == method) {
            entry.calls_before -= 1;
        }
        None
    }

    fn drawn(&mut self) -> Plan {
        let odds = self.odds;
        Plan { before: self.delay(odds), outcome: self.outcome(odds), after: self.delay(odds) }
    }

    fn outcome(&mut self, odds: Odds) -> Outcome {
        let Odds { not_done, answer_lost, done_late, .. } = odds;
        if not_done + answer_lost + done_late == 0 {
            return Outcome::Done;
        }
        let drawn = self.random.random_range(0..1_000);
        let failure = Failure::Transient;
        if drawn < not_done {
            Outcome::NotDone(failure)
        } else if drawn < not_done + answer_lost {
            Outcome::AnswerLost(failure)
        } else if drawn < not_done + answer_lost + done_late {
            Outcome::DoneLate(failure, self.up_to(odds.delay_max))
        } else {
            Outcome::Done
        }
    }

    fn delay(&mut self, odds: Odds) -> Duration {
        if odds.delayed == 0 || self.random.random_range(0..1_000) >= odds.delayed {
            return Duration::ZERO;
        }
        self.up_to(odds.delay_max)
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        let milliseconds = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.random_range(0..=milliseconds))
    }
}
