//! What a crash and a stop leave behind, and how it goes on.

use crate::{
    runner::{Act, FakeRunner, call},
    world::{World, in_time, open, quick, say},
};
use quarterdeck_api::{SessionId, Status};
use quarterdeck_engine::EngineSettings;
use quarterdeck_store::{OpenError, Store};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

#[test]
fn a_session_goes_on_after_a_crash() {
    let place = Place::new();
    let id = place.crash_in([Act::Mumble, Act::Call("click"), Act::Hang], 3, async |_, _| {});
    place.afterwards([], async |world| {
        world.until(id, Status::Idle).await;
        assert_eq!(world.runner.steps(), 1, "only the lost step is taken again");
        assert_eq!(world.runner.seen_by(0), 4, "message, two decisions, one result");
        assert_eq!(world.log(id).await.len() as u64, world.session(id).await.log_length);
        let words = world.words(id).await;
        assert_eq!(words.iter().filter(|word| *word == "AgentStarted").count(), 1);
        assert_eq!(words.iter().filter(|word| *word == "message_event Go").count(), 1);
    });
}

#[test]
fn a_call_that_a_crash_cut_off_is_settled_as_unknown() {
    let place = Place::new();
    let id = place.crash_in([Act::CallForEver("pay")], 1, async |world, id| {
        world.until_that(id, |session| session.steps == 1).await;
    });
    place.afterwards([], async |world| {
        world.until(id, Status::Idle).await;
        assert_eq!(world.runner.steps(), 1);
        let log = world.log(id).await;
        let settled: Vec<&str> =
            log.iter().map(|event| event.json.get()).filter(|event| event.contains("error_event")).collect();
        let [settled] = settled[..] else { panic!("one call is settled once: {settled:?}") };
        assert!(settled.contains("whether it took effect is unknown"), "{settled}");
        assert!(settled.contains(call("pay").id.as_deref().unwrap()), "{settled}");
    });
}

#[test]
fn a_message_accepted_before_a_crash_is_delivered_after_it() {
    let place = Place::new();
    let id = place.crash_in([Act::Hang], 1, async |world, id| world.submit(id, say("do not forget")).await);
    place.afterwards([], async |world| {
        world.until(id, Status::Idle).await;
        assert_eq!(world.runner.heard_by(0), ["Go", "do not forget"]);
    });
}

#[test]
fn a_session_that_waits_is_still_there_after_a_crash() {
    let place = Place::new();
    let id = place.crash_in([Act::Answer("first")], 1, async |world, id| {
        world.until(id, Status::Idle).await;
    });
    place.afterwards([], async |world| {
        assert_eq!(world.session(id).await.state.status(), Status::Idle);
        world.submit(id, say("next")).await;
        world.until_that(id, |session| session.steps == 2 && session.state.status() == Status::Idle).await;
        assert_eq!(world.runner.heard_by(0), ["Go", "next"]);
    });
}

#[test]
fn many_crashes_lose_nothing_and_repeat_nothing() {
    let place = Place::new();
    let id = place.crash_in([Act::Mumble, Act::Hang], 2, async |_, _| {});
    for round in 1..5 {
        place.once([Act::Mumble, Act::Hang], async |world| {
            in_time(world.runner.begun(2)).await;
            world.submit(id, say(&format!("round {round}"))).await;
        });
    }
    place.afterwards([], async |world| {
        let session = world.until(id, Status::Idle).await;
        assert_eq!(session.steps, 6);
        assert_eq!(world.runner.heard_by(0), ["Go", "round 1", "round 2", "round 3", "round 4"]);
    });
}

#[test]
fn a_session_that_kills_its_server_fails_after_three_recoveries_and_others_go_on() {
    let place = Place::new();
    let id = place.crash_in([Act::Hang], 1, async |_, _| {});
    for _ in 0..3 {
        place.once([Act::Hang], async |world| {
            in_time(world.runner.begun(1)).await;
            assert_eq!(world.session(id).await.state.status(), Status::Running);
        });
    }
    place.afterwards([], async |world| {
        world.until(id, Status::Failed).await;
        assert_eq!(world.runner.steps(), 0);
        assert!(world.log(id).await.last().unwrap().json.get().contains("4 servers in a row"));
        let other = world.create(json!({})).await;
        world.until(other, Status::Completed).await;
    });
}

#[tokio::test]
async fn servers_that_stop_in_an_orderly_way_do_not_count_against_a_session() {
    let store = open("sqlite::memory:").await;
    let mut id = None;
    for _ in 0..6 {
        let world = World::over(Arc::clone(&store), FakeRunner::doing([Act::Hang]), quick()).await;
        if id.is_none() {
            id = Some(world.create(json!({})).await);
        }
        in_time(world.runner.begun(1)).await;
        in_time(world.engine.stop()).await;
    }
    let world = World::over(store, FakeRunner::doing([]), quick()).await;
    world.until(id.unwrap(), Status::Completed).await;
}

#[tokio::test]
async fn a_stop_hands_a_hanging_step_to_the_next() {
    let store = open("sqlite::memory:").await;
    let world = World::over(Arc::clone(&store), FakeRunner::doing([Act::Hang]), quick()).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let runner = Arc::clone(&world.runner);
    in_time(world.engine.stop()).await;
    in_time(runner.dropped(1)).await;
    let stored = store.session(id).await.unwrap().unwrap();
    assert_eq!((stored.owner.replica, stored.session.state.status()), (None, Status::Running));
    let next = World::over(store, FakeRunner::doing([]), quick()).await;
    next.until(id, Status::Completed).await;
}

#[tokio::test]
async fn a_stop_lets_a_running_step_finish() {
    let store = open("sqlite::memory:").await;
    let runner = FakeRunner::doing([Act::Gated(Box::new(Act::Answer("in time")))]);
    let settings = EngineSettings { drain_grace: Duration::from_secs(20), ..quick() };
    let world = World::over(Arc::clone(&store), runner, settings).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let (runner, draining) = (Arc::clone(&world.runner), world.engine.draining());
    let stopping = tokio::spawn(world.engine.stop());
    in_time(draining.cancelled()).await;
    runner.open_gate();
    in_time(stopping).await.unwrap();
    assert_eq!(store.session(id).await.unwrap().unwrap().session.state.status(), Status::Completed);
}

#[tokio::test]
async fn a_session_created_while_stopping_is_kept_for_the_next() {
    let store = open("sqlite::memory:").await;
    let world = World::over(Arc::clone(&store), FakeRunner::doing([]), quick()).await;
    world.engine.draining().cancel();
    let id = world.create(json!({})).await;
    in_time(world.engine.stop()).await;
    let stored = store.session(id).await.unwrap().unwrap();
    assert_eq!((stored.owner.replica, stored.session.state.status()), (None, Status::Pending));
    let next = World::over(store, FakeRunner::doing([]), quick()).await;
    next.until(id, Status::Completed).await;
}

/// A store in a file that outlives its processes.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Creates an interactive session in a first life, which ends without a goodbye once so many steps have begun.
    fn crash_in(
        &self,
        acts: impl IntoIterator<Item = Act>,
        steps: usize,
        then: impl AsyncFnOnce(&World, SessionId),
    ) -> SessionId {
        self.once(acts, async |world| {
            let id = world.create(json!({"idle_timeout_s": 600})).await;
            in_time(world.runner.begun(steps)).await;
            then(world, id).await;
            id
        })
    }

    /// One life of the server. Its tasks die with its runtime, wherever they stand.
    fn once<T>(&self, acts: impl IntoIterator<Item = Act>, life: impl AsyncFnOnce(&World) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = format!("sqlite://{}", self.folder.path().join("test.db").display());
        let lived = runtime.block_on(async {
            let world = World::over(open_unlocked(&url).await, FakeRunner::doing(acts), quick()).await;
            life(&world).await
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
        lived
    }

    fn afterwards(&self, acts: impl IntoIterator<Item = Act>, life: impl AsyncFnOnce(&World)) {
        self.once(acts, life);
    }
}

/// A child process that another test is just starting may hold the dead server's lock until it has started.
pub(crate) async fn open_unlocked(url: &str) -> Arc<dyn Store> {
    in_time(async {
        loop {
            match quarterdeck_store::open(url).await {
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    })
    .await
}
