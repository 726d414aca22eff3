//! A clock for tests: the machine's time and an offset that only grows, or a time that stands still until it is moved on.
//!
//! Everything that sessions go by follows it. What keeps the server alive does not: leases, long polls, and whatever a
//! real model or tool takes.

use crate::Clock;
use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use quarterdeck_agent::Pace;
use quarterdeck_api::{OrganizationId, Timestamp};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use uuid::Uuid;

/// A clock that a test moves on.
pub struct VirtualClock {
    state: Mutex<State>,
    /// Counts its leaps.
    leaps: watch::Sender<u64>,
    /// Told of each leap before anything can happen at the new time.
    witness: Option<Witness>,
}

type Witness = Box<dyn Fn(Timestamp) + Send + Sync>;

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    time: Time,
    seed: Option<u64>,
    /// How many servers ran on this store before: what they made has its ids.
    starts: u64,
    /// Ids made so far that belong to no organization.
    made: u64,
    worlds: HashMap<OrganizationId, World>,
    /// How many worlds had this seed.
    same: HashMap<u64, u64>,
    /// Whether scripts wait at all.
    skips_waits: bool,
    /// Scripts that wait, by their ends.
    resting: BTreeSet<(Timestamp, u64)>,
    /// Everything that waits for a moment, scripts included.
    timers: BTreeSet<(Timestamp, u64)>,
    rests: u64,
}

#[derive(Clone, Copy, Debug)]
enum Time {
    /// Ahead of the machine's by so much.
    Ahead(TimeDelta),
    /// It stands still.
    Still(Timestamp),
}

/// What ids of one organization are made from.
#[derive(Clone, Copy, Debug)]
struct World {
    seed: u64,
    /// How many worlds had the same seed before it.
    twin: u64,
    made: u64,
}

fn machine_time() -> Timestamp {
    crate::SystemClock.now()
}

impl VirtualClock {
    /// A clock that stands still at `frozen`, or goes with the machine's. Ids follow from `seed`, if there is one.
    pub fn new(frozen: Option<Timestamp>, seed: Option<u64>) -> Self {
        let state = State {
            time: frozen.map_or(Time::Ahead(TimeDelta::zero()), Time::Still),
            seed,
            starts: 0,
            made: 0,
            worlds: HashMap::new(),
            same: HashMap::new(),
            skips_waits: false,
            resting: BTreeSet::new(),
            timers: BTreeSet::new(),
            rests: 0,
        };
        Self { state: Mutex::new(state), leaps: watch::Sender::new(0), witness: None }
    }

    /// One that goes on where that of an earlier server on the same store was: its time is no earlier, and its ids are new.
    #[must_use]
    pub fn resumed(self, ahead: TimeDelta, stood_at: Timestamp, starts: u64) -> Self {
        let mut state = self.state();
        state.time = match state.time {
            Time::Still(moment) => Time::Still(moment.max(stood_at)),
            Time::Ahead(by) => Time::Ahead(by.max(ahead)),
        };
        state.starts = starts;
        drop(state);
        self
    }

    /// Tells `witness` of each leap, before anything can happen at the new time.
    #[must_use]
    pub fn witnessed(self, witness: impl Fn(Timestamp) + Send + Sync + 'static) -> Self {
        Self { witness: Some(Box::new(witness)), ..self }
    }

    /// What it shows.
    fn time(&self) -> Timestamp {
        match self.state().time {
            Time::Still(moment) => moment,
            Time::Ahead(by) => machine_time() + by,
        }
    }

    /// Nothing panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        matches!(self.state().time, Time::Still(_))
    }

    /// Stops it where it is, or lets it go on from there.
    pub(crate) fn hold(&self, still: bool) {
        let now = self.time();
        self.state().time = if still { Time::Still(now) } else { Time::Ahead(now - machine_time()) };
        self.leap();
    }

    /// Moves it on to `moment`; never back.
    pub(crate) fn leap_to(&self, moment: Timestamp) {
        let now = self.time();
        if moment <= now {
            return;
        }
        if let Some(witness) = &self.witness {
            witness(moment);
        }
        let mut state = self.state();
        state.time = match state.time {
            Time::Still(_) => Time::Still(moment),
            Time::Ahead(by) => Time::Ahead(by + (moment - now)),
        };
        drop(state);
        self.leap();
    }

    fn leap(&self) {
        self.leaps.send_modify(|leaps| *leaps += 1);
    }

    /// Whether scripts wait, or go on at once.
    pub fn skip_waits(&self, skips: bool) {
        self.state().skips_waits = skips;
        self.leap();
    }

    /// Whether scripts go on at once.
    pub fn skips_waits(&self) -> bool {
        self.state().skips_waits
    }

    /// The next moment that something waits for, after now.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        let now = self.time();
        self.state().timers.range((now, u64::MAX)..).next().map(|(end, _)| *end)
    }

    /// Whether a moment has come for something that has not noticed yet.
    pub(crate) fn is_due(&self) -> bool {
        let now = self.time();
        self.state().timers.first().is_some_and(|(end, _)| *end <= now)
    }

    /// How many scripts wait for a later time than now.
    pub(crate) fn resting(&self) -> usize {
        let now = self.time();
        self.state().resting.range((now, u64::MAX)..).count()
    }

    /// From now on, ids of this organization follow from `seed`; they are the same whenever it is said anew, and differ
    /// from those of others with the same seed.
    pub fn seed(&self, organization: OrganizationId, seed: u64) {
        let mut state = self.state();
        if let Some(world) = state.worlds.get_mut(&organization).filter(|world| world.seed == seed) {
            world.made = 0;
            return;
        }
        let same = state.same.entry(seed).or_default();
        let twin = *same;
        *same += 1;
        state.worlds.insert(organization, World { seed, twin, made: 0 });
    }

    /// Begins the ids of an organization anew.
    pub(crate) fn begin_anew(&self, organization: OrganizationId) {
        if let Some(world) = self.state().worlds.get_mut(&organization) {
            world.made = 0;
        }
    }

    /// A number from 0 to 1 that follows from the organization's seed and from what it is for; none without a seed.
    pub fn drawn(&self, organization: OrganizationId, what: &str) -> Option<f64> {
        let state = self.state();
        let world = state.worlds.get(&organization).copied();
        let seed = world.map(|world| (world.seed, world.twin)).or_else(|| Some((state.seed?, 0)))?;
        let digest = Sha256::digest(format!("{seed:?} {what}"));
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Some(f64::from(number) / f64::from(u32::MAX))
    }
}

/// A wait for a moment, for as long as it lasts.
struct Rest<'a> {
    clock: &'a VirtualClock,
    key: (Timestamp, u64),
}

impl<'a> Rest<'a> {
    fn begin(clock: &'a VirtualClock, end: Timestamp, is_script: bool) -> Self {
        let mut state = clock.state();
        state.rests += 1;
        let key = (end, state.rests);
        state.timers.insert(key);
        if is_script {
            state.resting.insert(key);
        }
        Self { clock, key }
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        state.resting.remove(&self.key);
        state.timers.remove(&self.key);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.time()
    }

    fn id(&self) -> Uuid {
        let now = self.time();
        let mut state = self.state();
        let Some(seed) = state.seed else { return crate::SystemClock.id() };
        state.made += 1;
        made(now, &format!("{seed} {}{}", state.made, again(state.starts)), state.made)
    }

    fn id_in(&self, organization: OrganizationId) -> Uuid {
        let now = self.time();
        let mut state = self.state();
        let again = again(state.starts);
        let Some(world) = state.worlds.get_mut(&organization) else {
            drop(state);
            return self.id();
        };
        world.made += 1;
        made(now, &format!("{} {} {}{again}", world.seed, world.twin, world.made), world.made)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut leaps = self.leaps.subscribe();
            let _timer = Rest::begin(self, moment, false);
            loop {
                let left = (moment - self.time()).to_std().unwrap_or_default();
                if left.is_zero() {
                    return;
                }
                // A clock that stands still is only moved by a leap.
                let left = if self.is_frozen() { Duration::from_hours(24) } else { left };
                tokio::select! {
                    biased;
                    changed = leaps.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(left) => {}
                }
            }
        })
    }
}

#[async_trait]
impl Pace for VirtualClock {
    fn now(&self) -> Timestamp {
        self.time()
    }

    async fn rest(&self, time: Duration) {
        let mut leaps = self.leaps.subscribe();
        let end = self.time() + TimeDelta::from_std(time).unwrap_or(TimeDelta::days(1));
        let rest = Rest::begin(self, end, true);
        loop {
            if self.skips_waits() || self.time() >= end {
                break;
            }
            tokio::select! {
                biased;
                changed = leaps.changed() => if changed.is_err() { break },
                () = self.sleep_until(end) => {}
            }
        }
        drop(rest);
    }
}

/// What tells the ids of one server on a store from those of the ones before it.
fn again(starts: u64) -> String {
    if starts == 0 { String::new() } else { format!(" again {starts}") }
}

/// A version 7 id: the time in milliseconds, then a number that grows, then what follows from `text`.
fn made(now: Timestamp, text: &str, number: u64) -> Uuid {
    let digest = Sha256::digest(text);
    let ms = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let counter = u16::try_from(number & 0x0fff).unwrap_or_default();
    let mut rest = [0; 10];
    rest[..2].copy_from_slice(&counter.to_be_bytes());
    rest[2..].copy_from_slice(&digest[..8]);
    uuid::Builder::from_unix_timestamp_millis(ms, &rest).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        Timestamp::from_timestamp(1_767_268_800, 0).unwrap()
    }

    #[test]
    fn ids_follow_from_the_seed_and_sort_as_they_are_made() {
        let (one, other) = (VirtualClock::new(Some(noon()), Some(7)), VirtualClock::new(Some(noon()), Some(7)));
        let ids: Vec<Uuid> = (0..300).map(|_| one.id()).collect();
        assert_eq!(ids, (0..300).map(|_| other.id()).collect::<Vec<_>>());
        assert!(ids.is_sorted());
        let world = |number| OrganizationId(Uuid::from_u128(number));
        one.seed(world(1), 9);
        one.seed(world(2), 9);
        let first = one.id_in(world(1));
        assert_ne!(first, one.id_in(world(2)), "two worlds share one store");
        one.begin_anew(world(1));
        assert_eq!(one.id_in(world(1)), first);
    }

    #[test]
    fn a_clock_is_resumed_where_it_was_and_makes_other_ids() {
        let (first, witnessed) = (VirtualClock::new(Some(noon()), Some(7)), std::sync::Arc::new(Mutex::new(None)));
        let seen = std::sync::Arc::clone(&witnessed);
        let first = first.witnessed(move |moment| *seen.lock().unwrap() = Some(moment));
        first.leap_to(noon() + TimeDelta::hours(3));
        assert_eq!(*witnessed.lock().unwrap(), Some(noon() + TimeDelta::hours(3)));
        let next = VirtualClock::new(Some(noon()), Some(7)).resumed(TimeDelta::zero(), first.time(), 1);
        assert_eq!(next.time(), noon() + TimeDelta::hours(3));
        let (before, after) = (first.id(), next.id());
        assert_ne!(before, after);
        let real = VirtualClock::new(None, None).resumed(TimeDelta::hours(2), noon(), 1);
        assert!(real.time() - machine_time() > TimeDelta::minutes(119));
    }

    #[tokio::test]
    async fn a_wait_ends_by_a_leap_and_time_never_goes_back() {
        let clock = VirtualClock::new(Some(noon()), None);
        let rest = clock.rest(Duration::from_hours(1));
        let leap = async {
            tokio::task::yield_now().await;
            assert_eq!((clock.next_end(), clock.resting()), (Some(noon() + TimeDelta::hours(1)), 1));
            clock.leap_to(noon() + TimeDelta::hours(2));
            clock.leap_to(noon());
        };
        tokio::join!(rest, leap);
        assert_eq!((clock.time(), clock.next_end()), (noon() + TimeDelta::hours(2), None));
    }
}
