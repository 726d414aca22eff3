//! Those who wait for a session: woken by what happens, and by nothing else.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, caller, in_time, waiting},
};
use futures_util::future::join_all;
use quarterdeck_api::{SessionId, Status};
use quarterdeck_core::Command;
use quarterdeck_engine::{ChangesQuery, Sessions, SubmitError};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_waiter_misses_an_event() {
    let world = World::new(FakeRunner::doing((0..1_000).map(|_| Act::Hang))).await;
    let id = world.create(json!({})).await;
    let followers: Vec<_> = (0..40).map(|_| tokio::spawn(follow(world.sessions.clone(), id))).collect();
    for _ in 0..100 {
        world.submit(id, Command::Pause).await;
        world.submit(id, Command::Resume).await;
    }
    world.submit(id, Command::Cancel).await;
    let log: Vec<String> = world.log(id).await.iter().map(|event| event.json.get().to_owned()).collect();
    assert!(log.len() > 200);
    for follower in followers {
        assert_eq!(in_time(follower).await.unwrap(), log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_that_comes_with_the_commit_is_woken_all_the_same() {
    let world = World::new(FakeRunner::doing((0..1_000).map(|_| Act::Hang))).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    for round in 0..150 {
        let from = world.session(id).await.log_length;
        let command = if round % 2 == 0 { Command::Pause } else { Command::Resume };
        let waiter = world.sessions.changes(Some(caller()), id, waiting(from, LONG));
        let (woken, ()) = in_time(async { tokio::join!(waiter, world.submit(id, command)) }).await;
        assert!(!woken.unwrap().unwrap().events.is_empty());
    }
}

#[tokio::test]
async fn a_thousand_waiters_wake_at_once() {
    let world = World::new(FakeRunner::doing([Act::Hang])).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let from = world.session(id).await.log_length;
    let waiters = join_all((0..1_000).map(|_| world.sessions.changes(Some(caller()), id, waiting(from, LONG))));
    let (woken, ()) = in_time(async { tokio::join!(waiters, world.submit(id, Command::Pause)) }).await;
    assert!(woken.into_iter().all(|changes| changes.unwrap().unwrap().events.len() == 1));
}

#[tokio::test]
async fn a_stop_answers_those_who_wait() {
    let world = World::new(FakeRunner::doing([Act::Hang])).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let from = world.session(id).await.log_length;
    let sessions = world.sessions.clone();
    let waiter = tokio::spawn(async move {
        let mut changes = sessions.changes(Some(caller()), id, waiting(from, LONG)).await.unwrap();
        changes.take().is_none()
    });
    tokio::task::yield_now().await;
    in_time(world.engine.stop()).await;
    assert!(in_time(waiter).await.unwrap(), "there was nothing to tell");
}

#[tokio::test]
async fn a_wait_without_news_ends_in_its_time() {
    let world = World::new(FakeRunner::doing([Act::Hang])).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let from = world.session(id).await.log_length;
    let (begun, wait) = (Instant::now(), Duration::from_millis(200));
    let changes = world.sessions.changes(Some(caller()), id, waiting(from, wait)).await.unwrap();
    assert!(changes.is_none() && begun.elapsed() >= wait);
}

#[tokio::test]
async fn nobody_waits_for_what_has_ended() {
    let world = World::new(FakeRunner::doing([])).await;
    let id = world.create(json!({})).await;
    let end = world.until(id, Status::Completed).await.log_length;
    for from in [end, end + 1, u64::MAX] {
        let changes = in_time(world.sessions.changes(Some(caller()), id, waiting(from, LONG))).await.unwrap();
        assert!(changes.is_none());
    }
}

#[tokio::test]
async fn a_poll_tells_what_it_was_asked_for() {
    let world = World::new(FakeRunner::doing([])).await;
    let id = world.create(json!({})).await;
    let length = world.until(id, Status::Completed).await.log_length;
    let poll = async |from, limit, include_events| {
        let query = ChangesQuery { from, limit, include_events, wait: Duration::ZERO };
        let changes = world.sessions.changes(Some(caller()), id, query).await.unwrap();
        changes.map(|changes| changes.events.len() as u64)
    };
    assert_eq!(poll(0, None, true).await, Some(length));
    assert_eq!(poll(3, Some(2), true).await, Some(2));
    assert_eq!(poll(length - 1, Some(9), true).await, Some(1));
    assert_eq!(poll(0, Some(0), true).await, Some(0));
    assert_eq!(poll(0, None, false).await, Some(0));
    assert_eq!(poll(length, None, true).await, None);
    assert_eq!(poll(length, None, false).await, None);
}

#[tokio::test]
async fn an_unknown_session_is_not_waited_for() {
    let world = World::new(FakeRunner::doing([])).await;
    let unknown = SessionId(Uuid::from_u128(404));
    let result = in_time(world.sessions.changes(Some(caller()), unknown, waiting(0, LONG))).await;
    assert!(matches!(result, Err(SubmitError::NotFound(_))));
}

/// Reads a session's log by long polls until the session is cancelled.
async fn follow(sessions: Sessions, id: SessionId) -> Vec<String> {
    let mut log = Vec::new();
    loop {
        let changes = sessions.changes(Some(caller()), id, waiting(log.len() as u64, LONG)).await.unwrap();
        let changes = changes.expect("something happens before the wait is over");
        log.extend(changes.events.iter().map(|event| event.get().to_owned()));
        let last: Value = serde_json::from_str(log.last().unwrap()).unwrap();
        if last["type"] == "AgentCompletionEvent" {
            return log;
        }
    }
}
