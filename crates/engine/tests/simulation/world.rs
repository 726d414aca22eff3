//! One simulation: what its seed chose, who takes part, and how it goes from its storm to its calm.

use crate::{
    chaos::{self, Weather},
    checks,
    clients::{self, Client},
    clock::Time,
    replica::{Door, Replica},
    runner::SeededRunner,
};
use quarterdeck_api::{SessionId, Status};
use quarterdeck_engine::{EngineSettings, Sessions};
use quarterdeck_test_support::memory_store::MemoryStore;
use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a client waits for an answer before it hangs up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than a lease, the polls after it and the steps that were under way take.
const SETTLING: Duration = Duration::from_secs(6);

/// What came of a simulation.
pub(crate) struct Outcome {
    /// Promises that were broken.
    pub(crate) faults: Vec<String>,
    /// All that happened, a line each; empty when nobody wants to know.
    pub(crate) trace: Vec<String>,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) store: MemoryStore,
    pub(crate) time: Arc<Time>,
    pub(crate) runner: Arc<SeededRunner>,
    pub(crate) settings: EngineSettings,
    pub(crate) weather: Weather,
    /// Running replicas; a place is empty while its process is down.
    pub(crate) replicas: RefCell<Vec<Option<Replica>>>,
    /// Faults are over.
    pub(crate) calm: CancellationToken,
    /// Followers may go home.
    pub(crate) over_since: Cell<Option<Instant>>,
    calm_since: Cell<Option<Instant>>,
    notes: RefCell<Vec<(Instant, String)>>,
}

impl World {
    pub(crate) async fn run(seed: u64, traced: bool) -> Outcome {
        let world = Rc::new(Self::new(seed));
        let mut random = world.random(1);
        for number in 0..random.random_range(2..=3) {
            let replica = chaos::start(&world, number, &mut random).await;
            world.replicas.borrow_mut().push(Some(replica));
        }
        let sessions = random.random_range(1..=3);
        let clients = (0..sessions).map(|number| clients::live(&world, number));
        let (clients, orphans) = tokio::join!(futures_util::future::join_all(clients), world.storm_and_calm());
        let clients: Vec<Client> = clients.into_iter().flatten().collect();
        let faults = checks::all(&world, &clients, &orphans);
        let trace = if traced || !faults.is_empty() { world.trace() } else { Vec::new() };
        Outcome { faults, trace }
    }

    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let calm = CancellationToken::new();
        let settings = EngineSettings {
            workers_max: random.random_range(1..=4),
            lease: Duration::from_secs(2),
            poll_interval: Duration::from_millis(600),
            drain_grace: Duration::from_millis(500),
            ..EngineSettings::default()
        };
        Self {
            seed,
            store: MemoryStore::new(),
            time: Time::new(),
            runner: Arc::new(SeededRunner::new(seed, calm.clone())),
            settings,
            weather: Weather::of(&mut random),
            replicas: RefCell::default(),
            calm,
            over_since: Cell::default(),
            calm_since: Cell::default(),
            notes: RefCell::default(),
        }
    }

    /// Dice of their own for each who takes part, so that nobody's throws depend on others' turns.
    pub(crate) fn random(&self, who: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000).wrapping_add(who))
    }

    /// Lets things go wrong for a while, mends everything, and waits until nothing is left to do. Returns the
    /// sessions that nobody alive ran when the storm ended.
    async fn storm_and_calm(self: &Rc<Self>) -> Vec<SessionId> {
        chaos::rage(self).await;
        chaos::mend(self).await;
        self.note("calm");
        let orphans = self.orphans();
        self.calm_since.set(Some(Instant::now()));
        self.calm.cancel();
        sleep(SETTLING).await;
        self.over_since.set(Some(Instant::now()));
        orphans
    }

    fn orphans(&self) -> Vec<SessionId> {
        let living: Vec<_> = self.replicas.borrow().iter().flatten().filter_map(Replica::id).collect();
        let is_orphan = |id: &SessionId| {
            self.store.peek(*id).is_some_and(|stored| {
                let works = matches!(stored.session.state.status(), Status::Pending | Status::Running);
                works && stored.owner.replica.is_none_or(|owner| !living.contains(&owner))
            })
        };
        self.session_ids().into_iter().filter(is_orphan).collect()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over_since.get().is_some()
    }

    pub(crate) fn calm_at(&self) -> Option<Instant> {
        self.calm_since.get()
    }

    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        self.store.with_journal(|journal| {
            journal.iter().filter(|change| change.before.is_none()).map(|change| change.session).collect()
        })
    }

    /// A replica that is up, at random.
    pub(crate) fn any_door(&self, random: &mut SmallRng) -> Option<Door> {
        let replicas = self.replicas.borrow();
        let up: Vec<&Replica> = replicas.iter().flatten().collect();
        if up.is_empty() {
            return None;
        }
        Some(up[random.random_range(0..up.len())].door.clone())
    }

    /// Asks a replica; none when it died, or took too long for the caller.
    pub(crate) async fn ask<T, F: Future<Output = T>>(
        &self,
        door: &Door,
        patience: Duration,
        question: impl FnOnce(Sessions) -> F,
    ) -> Option<T> {
        let answer = timeout(patience, question(door.sessions.clone()));
        tokio::select! {
            biased;
            () = door.gone.cancelled() => None,
            answer = answer => answer.ok(),
        }
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push((Instant::now(), text.into()));
    }

    fn trace(&self) -> Vec<String> {
        let mut lines = self.notes.borrow().clone();
        self.store.with_journal(|journal| {
            lines.extend(journal.iter().map(|change| {
                let (before, after) = (change.before.map(|before| before.status), change.after);
                let text = format!(
                    "  {} {:?}: {before:?} -> {:?}, version {}, epoch {}, owner {:?}, events {:?}",
                    change.session,
                    change.what,
                    after.status,
                    after.version,
                    after.owner.epoch,
                    after.owner.replica,
                    change.appended
                );
                (change.at, text)
            }));
        });
        lines.sort_by_key(|(at, _)| *at);
        let line = |(at, text): &(Instant, String)| format!("{:9.3} {text}", self.time.seconds(*at));
        let mut trace: Vec<String> = lines.iter().map(line).collect();
        for id in self.session_ids() {
            trace.extend(self.store.peek_log(id).0.iter().map(|event| format!("{id} {} {}", event.index, event.json)));
        }
        trace
    }
}
