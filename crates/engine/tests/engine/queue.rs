//! Sessions above the limit of their organization.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, in_time, open, quick, say},
};
use futures_util::future::join_all;
use quarterdeck_api::{SessionId, Status};
use quarterdeck_core::Command;
use quarterdeck_engine::{CreateError, EngineSettings, SubmitError};
use quarterdeck_store::{Error, Limits, Refusal};
use quarterdeck_test_support::postgres;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn queued_sessions_start_one_by_one_oldest_first() {
    let world = world(1, [Act::Hang]).await;
    let first = world.create(json!({})).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(world.create(json!({})).await);
    }
    assert_eq!(world.words(waiting[0]).await, ["RequestStart"]);
    assert_eq!(world.quota().await, (1, 1));
    world.submit(first, Command::Cancel).await;
    let mut started = Vec::new();
    for id in waiting {
        let session = world.until(id, Status::Completed).await;
        started.push((session.started_at.unwrap(), session.finished_at.unwrap()));
        let words = world.words(id).await;
        assert_eq!(words[..3], ["RequestStart", "RequestStartDispatched pending", "AgentStarted"]);
    }
    assert!(started.is_sorted_by(|one, next| one.1 <= next.0), "one at a time, in order: {started:?}");
    assert_eq!(world.quota().await, (1, 0));
}

#[tokio::test]
async fn a_freed_slot_is_taken_at_once_and_not_at_the_next_look() {
    let settings = EngineSettings { poll_interval: Duration::from_mins(10), ..limited(1) };
    let world = World::with(FakeRunner::doing([Act::Hang]), settings).await;
    let first = world.create(json!({})).await;
    let second = world.create(json!({})).await;
    world.submit(first, Command::Cancel).await;
    world.until(second, Status::Completed).await;
    let third = world.create(json!({})).await;
    world.until(third, Status::Completed).await;
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_refused_and_so_is_who_finds_the_queue_full() {
    let world = world(1, [Act::Hang]).await;
    world.create(json!({})).await;
    let refusal = world.refused(json!({"queue": false})).await;
    assert_eq!(refusal, Refusal::NoSlot { limit: 1 });
    for _ in 0..5 {
        world.create(json!({})).await;
    }
    assert_eq!(world.refused(json!({})).await, Refusal::QueueFull { limit: 5 });
}

#[tokio::test]
async fn a_cancelled_session_just_leaves_the_queue() {
    let world = world(1, [Act::Hang]).await;
    let first = world.create(json!({})).await;
    let (second, third) = (world.create(json!({})).await, world.create(json!({})).await);
    world.submit(second, Command::Cancel).await;
    world.submit(first, Command::Cancel).await;
    world.until(third, Status::Completed).await;
    assert_eq!(world.words(second).await, ["RequestStart", "AgentCompletion stopped"]);
}

#[tokio::test]
async fn what_is_said_to_a_queued_session_is_heard_when_it_starts() {
    let world = world(1, [Act::Hang]).await;
    let first = world.create(json!({})).await;
    let second = world.create(json!({})).await;
    world.submit(second, say("And hurry")).await;
    world.submit(first, Command::Cancel).await;
    world.until(second, Status::Completed).await;
    assert_eq!(world.runner.heard_by(1), ["Go", "And hurry"]);
}

#[tokio::test]
async fn an_ended_session_starts_again_only_in_a_free_slot() {
    let world = world(1, [Act::Answer("done"), Act::Hang]).await;
    let ended = world.create(json!({})).await;
    world.until(ended, Status::Completed).await;
    let other = world.create(json!({})).await;
    let refused = world.try_submit(ended, say("Again")).await;
    assert!(matches!(refused, Err(SubmitError::Store(Error::Refused(Refusal::NoSlot { limit: 1 })))), "{refused:?}");
    world.submit(other, Command::Cancel).await;
    world.submit(ended, say("Again")).await;
    world.until(ended, Status::Completed).await;
}

#[tokio::test]
async fn a_child_that_a_client_creates_needs_a_slot_like_any_other() {
    let world = world(1, [Act::Hang, Act::Hang]).await;
    let parent = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let fields = json!({"parent_session_id": parent.to_string(), "queue": false});
    assert!(world.try_create(fields.clone()).await.is_err(), "its parent has the only slot");
    assert_eq!(world.quota().await, (1, 1));
    world.submit(parent, Command::Cancel).await;
    let child = world.create(fields).await;
    world.submit(child, Command::Cancel).await;
}

/// Promotion is a query: it needs nothing that a dead process knew.
#[tokio::test]
async fn the_next_process_starts_what_the_last_one_queued() {
    let world = world(1, [Act::Hang]).await;
    let first = world.create(json!({})).await;
    let (second, third) = (world.create(json!({})).await, world.create(json!({})).await);
    let store = world.store.clone();
    in_time(world.engine.stop()).await;

    // As many slots as before: the running one goes on, and then the next.
    let world = World::over(store.clone(), FakeRunner::doing([Act::Hang]), limited(1)).await;
    in_time(world.runner.begun(1)).await;
    assert_eq!(world.session(second).await.state.status(), Status::Queued);
    in_time(world.engine.stop()).await;

    // More slots.
    let world = World::over(store, FakeRunner::doing([Act::Hang, Act::Hang, Act::Hang]), limited(3)).await;
    for id in [first, second, third] {
        world.until(id, Status::Running).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_start_what_any_of_them_queued_and_never_more_than_the_limit() {
    const SLOTS: u64 = 3;
    let database = tokio::task::spawn_blocking(postgres::shared).await.unwrap().unwrap();
    let mut worlds = Vec::new();
    for _ in 0..3 {
        let settings = EngineSettings { limits: Limits { concurrent: SLOTS, queued: 60 }, ..quick() };
        worlds.push(World::over(open(database.url()).await, FakeRunner::doing([]), settings).await);
    }
    let created = join_all((0..60).map(|number| worlds[number % 3].create(json!({}))));
    let watched = async {
        let ids: Vec<SessionId> = created.await;
        for id in ids {
            worlds[0].until(id, Status::Completed).await;
        }
    };
    let watch = async {
        loop {
            let (limit, active) = worlds[1].quota().await;
            assert!(active <= limit, "{active} of {limit}");
        }
    };
    tokio::select! {
        () = in_time(watched) => {}
        () = watch => {}
    }
    let steps: usize = worlds.iter().map(|world| world.runner.steps()).sum();
    assert_eq!(steps, 60);
    for world in worlds {
        in_time(world.engine.stop()).await;
        in_time(world.store.close()).await;
    }
}

impl World {
    /// Limit and active sessions.
    async fn quota(&self) -> (u64, u64) {
        let quota = self.sessions.quota(crate::world::caller()).await.unwrap();
        (quota.limit, quota.active)
    }

    async fn refused(&self, fields: Value) -> Refusal {
        match self.try_create(fields).await {
            Err(CreateError::Store(Error::Refused(refusal))) => refusal,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was created"),
        }
    }
}

/// With so many slots, and five places in the queue.
async fn world(slots: u64, acts: impl IntoIterator<Item = Act>) -> World {
    World::with(FakeRunner::doing(acts), limited(slots)).await
}

fn limited(slots: u64) -> EngineSettings {
    EngineSettings { limits: Limits { concurrent: slots, queued: 5 }, ..quick() }
}
