//! Moments that a seed seldom meets exactly, told one by one.

use crate::{
    clients::caller,
    clock::{SkewedClock, Time},
    logs::Log,
};
use async_trait::async_trait;
use quarterdeck_agent::{Recorder, Runner, StepContext, StepError};
use quarterdeck_api::{Answer, SessionId, SessionRequest, Status, UserMessage};
use quarterdeck_core::{Command, Reply, Report, StepMode};
use quarterdeck_engine::{Created, Engine, EngineSettings, Preparation};
use quarterdeck_store::{Blobs, Limits};
use quarterdeck_test_support::{
    faulty_store::{Failure, Faults, FaultyStore, Link, Method, Outcome, Plan},
    memory_store::{Change, MemoryStore, What},
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

const LEASE: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_write_that_froze_on_its_way_is_refused_when_it_arrives() {
    let world = World::new();
    let frozen = world.replica(Steps::of(MINUTE), 10).await;
    let id = frozen.create().await;
    // It has decided, under its lease; what it appends is on its way when all of it stands still.
    let outcome = Outcome::DoneLate(Failure::Transient, MINUTE);
    frozen.faults.script(Method::Commit, 0, Plan { outcome, ..Plan::default() });
    sleep(MINUTE).await;
    frozen.faults.set_link(Link::Hung);
    let other = world.replica(Steps::of(Duration::from_secs(1)), 10).await;
    world.until(id, Status::Completed).await;
    sleep(MINUTE).await;
    frozen.faults.set_link(Link::Up);
    sleep(MINUTE).await;
    assert_eq!((frozen.steps.begun(), other.steps.begun()), (1, 1), "the thawed one takes no further step");
    let (log, _) = world.store.peek_log(id);
    assert_eq!(log.iter().filter(|event| event.json.get().contains("answer_event")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_a_minute_costs_no_lease() {
    let world = World::new();
    let slow = world.replica(Steps::of(Duration::from_secs(1)), 10).await;
    slow.faults.script(Method::Commit, 0, Plan { before: MINUTE, ..Plan::default() });
    world.replica(Steps::of(Duration::from_secs(1)), 10).await;
    let id = slow.create().await;
    world.until(id, Status::Completed).await;
    assert!(world.claims().is_empty(), "nobody else had it");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_cut_off_stops_its_steps_before_anybody_can_take_them() {
    let world = World::new();
    let cut = world.replica(Steps::of(MINUTE * 60), 10).await;
    let other = world.replica(Steps::of(Duration::from_secs(1)), 10).await;
    for link in [Link::Cut, Link::Hung] {
        let id = cut.create().await;
        sleep(Duration::from_millis(7_777)).await;
        cut.faults.set_link(link);
        world.until(id, Status::Completed).await;
        let (stopped, claimed) = (cut.steps.dropped_at().unwrap(), world.claims().last().unwrap().at);
        assert!(stopped <= claimed, "it went on for {:?}", stopped - claimed);
        cut.faults.set_link(Link::Up);
        sleep(MINUTE).await;
    }
    assert_eq!((cut.steps.begun(), other.steps.begun()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_costs_no_lease_and_turns_no_log_back() {
    let world = World::new();
    let jumping = world.replica(Steps::of(Duration::from_secs(4)).then_mumble(20), 10).await;
    world.replica(Steps::of(Duration::from_secs(4)), 10).await;
    let id = jumping.create().await;
    let (hour_ms, day_ms) = (3_600_000, 86_400_000);
    for skew_ms in [hour_ms, -day_ms, 0, day_ms, -hour_ms] {
        sleep(Duration::from_secs(13)).await;
        jumping.clock.jump_to(skew_ms);
    }
    world.until(id, Status::Completed).await;
    assert!(world.claims().is_empty(), "it kept its lease");
    assert_eq!(Log::read(&world.store.peek_log(id).0).faults(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn five_hundred_orphans_are_taken_in_within_a_minute_and_not_all_at_once() {
    let world = World::new();
    let dying = world.replica(Steps::of(MINUTE * 60), 500).await;
    let ids = futures_util::future::join_all((0..500).map(|_| dying.create())).await;
    sleep(LEASE).await;
    dying.faults.set_link(Link::Hung);
    let died = Instant::now();
    let living = [
        world.replica(Steps::of(Duration::from_millis(500)), 20).await,
        world.replica(Steps::of(Duration::from_millis(500)), 20).await,
    ];
    for id in ids {
        world.until(id, Status::Completed).await;
    }
    assert!(died.elapsed() < MINUTE, "{:?}", died.elapsed());
    assert!(living.iter().all(|replica| replica.steps.at_once_max() <= 20), "agents are not stampeded");
    assert_eq!(living.iter().map(|replica| replica.steps.begun()).sum::<usize>(), 500, "each is run once");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_over_before_it_is_heard_of_drops_the_step_all_the_same() {
    let world = World::new();
    let busy = world.replica(Steps::of(MINUTE * 60), 10).await;
    let other = world.replica(Steps::of(MINUTE * 60), 10).await;
    let id = busy.create().await;
    sleep(Duration::from_secs(1)).await;
    // It is told of the pause at once, and sees what came of it only when a message has ended it.
    busy.faults.script(Method::Session, 0, Plan { before: Duration::from_secs(1), ..Plan::default() });
    for command in [Command::Pause, Command::Message(vec![UserMessage::text("Go on")])] {
        other.engine.sessions().submit(caller(), id, command).await.unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!((busy.steps.begun(), other.steps.begun()), (2, 0));
    assert!(busy.steps.dropped_at().is_some());
}

struct World {
    store: MemoryStore,
    time: Arc<Time>,
}

struct Replica {
    engine: Engine,
    faults: Arc<Faults>,
    clock: Arc<SkewedClock>,
    steps: Arc<Steps>,
}

impl World {
    fn new() -> Self {
        Self { store: MemoryStore::new(), time: Time::new() }
    }

    async fn replica(&self, steps: Steps, workers_max: usize) -> Replica {
        let faults = Arc::new(Faults::new(0));
        let store = Arc::new(FaultyStore::new(Arc::new(self.store.connect()), Arc::clone(&faults)));
        let clock = Arc::new(SkewedClock::new(Arc::clone(&self.time), 0));
        let poll_interval = Duration::from_millis(100);
        let limits = Limits { concurrent: 1_000, queued: 0 };
        let settings = EngineSettings { workers_max, lease: LEASE, poll_interval, limits, ..EngineSettings::default() };
        let (steps, wall) = (Arc::new(steps), Arc::clone(&clock));
        let hands: Arc<dyn Runner> = Arc::<Steps>::clone(&steps);
        let engine = Engine::start(store, Blobs::in_memory(), hands, wall, settings).await.unwrap();
        Replica { engine, faults, clock, steps }
    }

    async fn until(&self, id: SessionId, status: Status) {
        let reached = async {
            while self.store.peek(id).is_none_or(|stored| stored.session.state.status() != status) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(MINUTE * 10, reached).await.expect("it gets there");
    }

    fn claims(&self) -> Vec<Change> {
        let is_claim = |change: &&Change| matches!(change.what, What::Claimed { .. });
        self.store.with_journal(|journal| journal.iter().filter(is_claim).cloned().collect())
    }
}

impl Replica {
    async fn create(&self) -> SessionId {
        let request = json!({
            "agent": {"name": "tester", "description": "Tests things.", "environments": []},
            "messages": "Go",
            "queue": true,
        });
        let request: SessionRequest = serde_json::from_value(request).unwrap();
        let sessions = self.engine.sessions();
        let Preparation::New(prepared) = sessions.prepare(caller(), request, None).await.unwrap() else {
            panic!("no key was used")
        };
        match sessions.admit(*prepared, None).await.unwrap() {
            Created::New(record) => record.session.id,
            Created::Replayed(_) => panic!("no key was used"),
        }
    }
}

/// Steps that all take the same time, and answer.
#[derive(Default)]
struct Steps {
    time: Duration,
    count: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    /// Steps that are to say something useless before one answers.
    mumbles: usize,
    begun: usize,
    at_once: usize,
    at_once_max: usize,
    dropped_at: Option<Instant>,
}

impl Steps {
    fn of(time: Duration) -> Self {
        Self { time, ..Self::default() }
    }

    fn then_mumble(self, mumbles: usize) -> Self {
        self.count.lock().unwrap().mumbles = mumbles;
        self
    }

    fn begun(&self) -> usize {
        self.count.lock().unwrap().begun
    }

    fn at_once_max(&self) -> usize {
        self.count.lock().unwrap().at_once_max
    }

    /// When a step was last dropped before its end.
    fn dropped_at(&self) -> Option<Instant> {
        self.count.lock().unwrap().dropped_at
    }
}

#[async_trait]
impl Runner for Steps {
    async fn step(&self, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        let mut step = Step::begin(&self.count);
        sleep(self.time).await;
        let mumbles = {
            let mut count = self.count.lock().unwrap();
            let mumbles = context.mode == StepMode::Act && count.mumbles > 0;
            count.mumbles -= usize::from(mumbles);
            mumbles
        };
        let reply = Reply::default();
        recorder
            .record(if mumbles {
                let validation_errors = vec!["it makes no sense".into()];
                Report::Decided { mode: context.mode, reply, calls: Vec::new(), validation_errors }
            } else {
                Report::Answered { reply, call: None, answer: Answer::Text("Done.".into()), outcome: None }
            })
            .await?;
        step.ended = true;
        Ok(())
    }
}

struct Step<'a> {
    count: &'a Mutex<Count>,
    ended: bool,
}

impl<'a> Step<'a> {
    fn begin(count: &'a Mutex<Count>) -> Self {
        let mut counted = count.lock().unwrap();
        counted.begun += 1;
        counted.at_once += 1;
        counted.at_once_max = counted.at_once_max.max(counted.at_once);
        drop(counted);
        Self { count, ended: false }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let mut count = self.count.lock().unwrap();
        count.at_once -= 1;
        if !self.ended {
            count.dropped_at = Some(Instant::now());
        }
    }
}
