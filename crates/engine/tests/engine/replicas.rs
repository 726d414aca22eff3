//! Several engines on one Postgres.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, caller, in_time, open, quick, waiting},
};
use quarterdeck_api::{SessionId, Status};
use quarterdeck_core::Command;
use quarterdeck_engine::EngineSettings;
use quarterdeck_test_support::postgres::{self, Database, PostgresCluster};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_hears_what_happens_on_another_replica() {
    let database = database().await;
    let hanging = || (0..10).map(|_| Act::Hang);
    let (one, two) = (replica(&database, hanging()).await, replica(&database, hanging()).await);
    let id = one.create(json!({})).await;
    in_time(one.runner.begun(1)).await;
    for command in [Command::Pause, Command::Resume, Command::Pause, Command::Cancel] {
        let from = two.session(id).await.log_length;
        let begun = Instant::now();
        let waiter = two.sessions.changes(Some(caller()), id, waiting(from, Duration::from_secs(20)));
        let (woken, ()) = in_time(async { tokio::join!(waiter, one.submit(id, command)) }).await;
        assert!(woken.unwrap().is_some());
        assert!(begun.elapsed() < Duration::from_secs(5), "it was woken, not timed out: {:?}", begun.elapsed());
    }
    stop(one).await;
    stop(two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_through_one_replica_stops_the_step_on_another() {
    let database = database().await;
    let (one, two) = (replica(&database, [Act::Hang]).await, replica(&database, []).await);
    let id = one.create(json!({})).await;
    in_time(one.runner.begun(1)).await;
    two.submit(id, Command::ForceAnswer).await;
    in_time(one.runner.dropped(1)).await;
    two.until(id, Status::Completed).await;
    stop(one).await;
    stop(two).await;
}

#[test]
fn a_dead_replicas_sessions_are_taken_over() {
    let (first, second) = (runtime(), runtime());
    let database = postgres::shared().unwrap();
    let id = first.block_on(async {
        let world = replica(&database, [Act::Mumble, Act::Hang]).await;
        let id = world.create(json!({})).await;
        in_time(world.runner.begun(2)).await;
        id
    });
    first.shutdown_timeout(Duration::from_secs(10));
    second.block_on(async {
        let world = replica(&database, []).await;
        world.until(id, Status::Completed).await;
        assert_eq!(world.runner.seen_by(0), 2, "message and decision");
        let log = world.log(id).await;
        assert!(log.iter().enumerate().all(|(place, event)| event.index == place as u64));
        stop(world).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_replicas_sessions_go_on_elsewhere_at_once() {
    let database = database().await;
    let settings = EngineSettings { lease: Duration::from_mins(10), ..quick() };
    let one = World::over(open(database.url()).await, FakeRunner::doing([Act::Hang]), settings.clone()).await;
    let id = one.create(json!({})).await;
    in_time(one.runner.begun(1)).await;
    let two = World::over(open(database.url()).await, FakeRunner::doing([]), settings).await;
    in_time(one.engine.stop()).await;
    two.until(id, Status::Completed).await;
    stop(two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_backlog_and_run_each_session_once() {
    let database = database().await;
    let settings = EngineSettings { workers_max: 3, ..short_lease() };
    let mut worlds = Vec::new();
    for _ in 0..3 {
        let store = open(database.url()).await;
        worlds.push(World::over(store, FakeRunner::doing([]), settings.clone()).await);
    }
    let ids: Vec<SessionId> = futures_util::future::join_all((0..60).map(|_| worlds[0].create(json!({})))).await;
    for id in &ids {
        worlds[1].until(*id, Status::Completed).await;
    }
    let steps: usize = worlds.iter().map(|world| world.runner.steps()).sum();
    assert_eq!(steps, 60);
    for world in worlds {
        stop(world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_for_longer_than_its_lease_goes_on_afterwards() {
    let cluster = tokio::task::spawn_blocking(PostgresCluster::new).await.unwrap().unwrap();
    let database = cluster.create_database("cut_off").unwrap();
    // It looks for work rarely, so it hears of its lease's return before it could claim anything.
    let settings =
        EngineSettings { lease: Duration::from_millis(400), poll_interval: Duration::from_secs(3), ..quick() };
    let runner = FakeRunner::doing((0..1_000).map(|_| Act::Gated(Box::new(Act::Answer("after the storm")))));
    let world = World::over(open(database.url()).await, runner, settings).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    cluster.stop_immediate().unwrap();
    // The step is given up when the lease is: nobody may say any more that this replica owns the session.
    in_time(world.runner.dropped(1)).await;
    cluster.start().unwrap();
    (0..1_000).for_each(|_| world.runner.open_gate());
    // The first polls may still meet a connection of before.
    in_time(async { while world.sessions.session(Some(caller()), id).await.is_err() {} }).await;
    world.until(id, Status::Completed).await;
    assert!(world.runner.steps() < 10, "{} steps were taken while nothing could be written", world.runner.steps());
    stop(world).await;
}

async fn database() -> Database {
    tokio::task::spawn_blocking(postgres::shared).await.unwrap().unwrap()
}

async fn replica(database: &Database, acts: impl IntoIterator<Item = Act>) -> World {
    World::over(open(database.url()).await, FakeRunner::doing(acts), short_lease()).await
}

async fn stop(world: World) {
    in_time(world.engine.stop()).await;
    in_time(world.store.close()).await;
}

fn short_lease() -> EngineSettings {
    EngineSettings { lease: Duration::from_secs(1), ..quick() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
