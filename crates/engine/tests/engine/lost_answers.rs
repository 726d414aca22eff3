//! Answers of the store that come late or never, and clients that do not wait for theirs.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, caller, in_time, open, quick, say},
};
use quarterdeck_api::Status;
use quarterdeck_core::Command;
use quarterdeck_engine::EngineSettings;
use quarterdeck_store::{SessionFilter, Store};
use quarterdeck_test_support::faulty_store::{Failure, Faults, FaultyStore, Method, Outcome, Plan};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// As long as a client waits who does not wait.
const NO_TIME: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_session_whose_claim_was_never_answered_is_run_all_the_same() {
    let store = open("sqlite::memory:").await;
    let first = World::over(Arc::clone(&store), FakeRunner::doing([]), quick()).await;
    first.engine.draining().cancel();
    let id = first.create(json!({})).await;
    in_time(first.engine.stop()).await;
    let world = World::over(losing(store, Method::Claim), FakeRunner::doing([]), short_lease()).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.stored(id).await.session.recoveries, 0, "nobody died");
}

#[tokio::test]
async fn a_session_whose_taking_was_never_answered_is_run_all_the_same() {
    let store = losing(open("sqlite::memory:").await, Method::Commit);
    let world = World::over(store, FakeRunner::doing([]), short_lease()).await;
    let id = world.create(json!({"messages": null, "idle_timeout_s": 60})).await;
    world.until(id, Status::Idle).await;
    assert!(world.try_submit(id, say("Go")).await.is_err());
    world.until_that(id, |session| session.steps == 1).await;
}

#[tokio::test]
async fn what_was_recorded_without_an_answer_is_recorded_once() {
    let late = Duration::from_millis(100);
    for outcome in [Outcome::AnswerLost(Failure::Transient), Outcome::DoneLate(Failure::Transient, late)] {
        let faults = Arc::new(Faults::new(0));
        faults.script(Method::Commit, 0, Plan { outcome, ..Plan::default() });
        let store = Arc::new(FaultyStore::new(open("sqlite::memory:").await, faults));
        let world = World::over(store, FakeRunner::doing([Act::Mumble]), quick()).await;
        let id = world.create(json!({})).await;
        let session = world.until(id, Status::Completed).await;
        let decisions = world.words(id).await.iter().filter(|word| word.starts_with("policy_event")).count();
        assert_eq!((session.steps, decisions), (2, 2), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_command_takes_effect_although_its_client_hung_up() {
    let store = slow(Method::Commit).await;
    let world = World::over(store, FakeRunner::doing([Act::Hang]), quick()).await;
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    let hung_up = tokio::time::timeout(NO_TIME, world.try_submit(id, Command::Cancel)).await;
    assert!(hung_up.is_err());
    in_time(world.runner.dropped(1)).await;
    world.until(id, Status::Interrupted).await;
}

#[tokio::test]
async fn a_session_is_run_although_its_client_hung_up() {
    let store = slow(Method::Create).await;
    let world = World::over(store, FakeRunner::doing([]), quick()).await;
    let hung_up = tokio::time::timeout(NO_TIME, world.create(json!({}))).await;
    assert!(hung_up.is_err());
    in_time(world.runner.begun(1)).await;
    let filter = SessionFilter { limit: 10, ..SessionFilter::default() };
    let sessions = world.store.sessions(caller().organization, filter).await.unwrap();
    world.until(sessions.items[0].session.id, Status::Completed).await;
}

/// A store that says nothing of the first call of this method, which it does.
fn losing(store: Arc<dyn Store>, method: Method) -> Arc<dyn Store> {
    let faults = Arc::new(Faults::new(0));
    faults.script(method, 0, Plan { outcome: Outcome::AnswerLost(Failure::Transient), ..Plan::default() });
    Arc::new(FaultyStore::new(store, faults))
}

/// A store that takes its time to answer the first call of this method.
async fn slow(method: Method) -> Arc<dyn Store> {
    let faults = Arc::new(Faults::new(0));
    faults.script(method, 0, Plan { after: NO_TIME * 10, ..Plan::default() });
    Arc::new(FaultyStore::new(open("sqlite::memory:").await, faults))
}

fn short_lease() -> EngineSettings {
    EngineSettings { lease: Duration::from_millis(400), ..quick() }
}
