//! Sessions whose agents have environments: calls that run on the server, and what commands, limits and stops do to
//! them in the middle.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "environments/fake.rs"]
mod fake;
#[path = "environments/parking.rs"]
mod parking;
#[path = "environments/pictures.rs"]
mod pictures;
#[path = "environments/world.rs"]
mod world;

use fake::FakeProvider;
use quarterdeck_api::{ErrorCode, Status};
use quarterdeck_core::{Command, Ending, State};
use quarterdeck_engine::CreateError;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use world::{World, in_time, open};

#[tokio::test]
async fn calls_of_one_reply_run_at_once() {
    let world = World::new(FakeProvider::gathering(3)).await;
    let id = world.create("@call gather\n@and gather\n@and gather\n@answer Done.", json!({})).await;
    world.until(id, Status::Completed).await;
    let words = world.words(id).await;
    assert_eq!(words.iter().filter(|word| *word == "tool_result gather").count(), 3, "{words:?}");
}

#[tokio::test]
async fn a_pause_lets_running_calls_return_and_then_lets_go() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@and gated\n@answer Done.", json!({})).await;
    in_time(world.provider.begun(2)).await;
    world.submit(id, Command::Pause).await;
    world.provider.open_gate();
    world.until_that(id, |session| session.state.running_calls().len() == 1).await;
    let stored = world.store.session(id).await.unwrap().unwrap();
    assert!(stored.owner.replica.is_some(), "the lease is held while a call runs");
    world.provider.open_gate();
    world.until_that(id, |session| session.state.running_calls().is_empty()).await;
    let stored = world.store.session(id).await.unwrap().unwrap();
    assert_eq!((stored.session.state.status(), stored.owner.replica), (Status::Paused, None));
    world.submit(id, Command::Resume).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.provider.dropped(), 0);
    assert!(!world.log_text(id).await.contains("unknown"));
}

#[tokio::test]
async fn a_resume_while_the_call_runs_goes_on_with_it() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer Done.", json!({})).await;
    in_time(world.provider.begun(1)).await;
    world.submit(id, Command::Pause).await;
    world.submit(id, Command::Resume).await;
    world.provider.open_gate();
    world.until(id, Status::Completed).await;
    assert_eq!((world.provider.dropped(), world.provider.calls()), (0, 1));
}

#[tokio::test]
async fn a_cancel_drops_a_running_call_at_once() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated", json!({})).await;
    in_time(world.provider.begun(1)).await;
    let cancelled = Instant::now();
    world.submit(id, Command::Cancel).await;
    in_time(world.provider.until_dropped(1)).await;
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    in_time(world.provider.until_closed(1)).await;
    assert_eq!(world.session(id).await.state.status(), Status::Interrupted);
}

#[tokio::test]
async fn a_forced_answer_drops_a_running_call_and_says_that_its_outcome_is_unknown() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer So far.", json!({})).await;
    in_time(world.provider.begun(1)).await;
    world.submit(id, Command::ForceAnswer).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.provider.dropped(), 1);
    assert!(world.log_text(id).await.contains("whether it took effect is unknown"));
}

#[tokio::test]
async fn an_answer_forced_while_the_model_thinks_means_that_its_calls_are_not_made() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@wait 300ms\n@call gated\n@answer So far.", json!({})).await;
    world.until(id, Status::Running).await;
    world.submit(id, Command::ForceAnswer).await;
    world.until_that(id, |session| session.state.status().is_terminal()).await;
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn the_time_limit_drops_a_running_call() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer Late.", json!({"max_time_s": 1})).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.provider.dropped(), 1);
}

#[tokio::test]
async fn the_time_limit_does_not_run_while_paused_with_a_call() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer Done.", json!({"max_time_s": 1})).await;
    in_time(world.provider.begun(1)).await;
    world.submit(id, Command::Pause).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    world.provider.open_gate();
    world.until_that(id, |session| session.state.running_calls().is_empty()).await;
    assert_eq!(world.provider.dropped(), 0);
}

#[tokio::test]
async fn the_calls_of_the_last_step_return_before_an_answer_is_forced() {
    let world = World::new(FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer Done.", json!({"max_steps": 1})).await;
    in_time(world.provider.begun(1)).await;
    world.provider.open_gate();
    world.until(id, Status::Completed).await;
    assert_eq!(world.provider.dropped(), 0);
    assert!(world.words(id).await.contains(&"tool_result gated".to_owned()));
}

#[tokio::test]
async fn a_call_that_a_stop_cut_off_is_settled_as_unknown_even_after_a_pause() {
    let store = open().await;
    let world = World::over(Arc::clone(&store), FakeProvider::new()).await;
    let id = world.create("@call gated\n@answer Done.", json!({})).await;
    in_time(world.provider.begun(1)).await;
    world.submit(id, Command::Pause).await;
    in_time(world.engine.stop()).await;
    assert_eq!(store.session(id).await.unwrap().unwrap().owner.replica, None);
    let next = World::over(store, FakeProvider::new()).await;
    next.submit(id, Command::Resume).await;
    next.until(id, Status::Completed).await;
    assert_eq!(next.provider.calls(), 0, "a call is not made twice");
    assert!(next.log_text(id).await.contains("whether it took effect is unknown"));
}

#[tokio::test]
async fn environments_stay_open_from_step_to_step_and_are_closed_with_the_turn() {
    let world = World::new(FakeProvider::new()).await;
    let script = "@call quick\n@call quick\n@answer One.\n@call quick\n@answer Two.";
    let id = world.create(script, json!({"idle_timeout_s": 60})).await;
    world.until(id, Status::Idle).await;
    in_time(world.provider.until_closed(1)).await;
    assert_eq!(world.provider.opened(), 1);
    world.say(id, "Go on.").await;
    world.until_that(id, |session| session.steps == 5 && session.state.status() == Status::Idle).await;
    in_time(world.provider.until_closed(2)).await;
    assert_eq!((world.provider.opened(), world.provider.calls()), (2, 3));
    let told = world.words(id).await.iter().filter(|word| word.starts_with("observation_event")).count();
    assert_eq!(told, 1, "what it says at the start is told once");
}

#[tokio::test]
async fn an_environment_that_cannot_be_opened_fails_the_session() {
    let world = World::new(FakeProvider::broken()).await;
    let id = world.create("@answer Never.", json!({})).await;
    let session = world.until(id, Status::Failed).await;
    let State::Ended(Ending::Failed(fault)) = &session.state else { panic!("{session:?}") };
    assert_eq!((fault.code, fault.cause.as_deref()), (ErrorCode::EnvironmentError, Some("the box is shut")));
}

#[tokio::test]
async fn a_cancel_ends_the_opening_of_an_environment() {
    let world = World::new(FakeProvider::slow_to_open()).await;
    let id = world.create("@answer Never.", json!({})).await;
    in_time(world.provider.until_opening(1)).await;
    world.submit(id, Command::Cancel).await;
    world.until(id, Status::Interrupted).await;
    in_time(world.provider.until_dropped(1)).await;
}

#[tokio::test]
async fn a_forced_answer_does_not_wait_for_an_environment_to_open() {
    let world = World::new(FakeProvider::slow_to_open()).await;
    let id = world.create("@answer Now.", json!({})).await;
    in_time(world.provider.until_opening(1)).await;
    world.submit(id, Command::ForceAnswer).await;
    world.until(id, Status::Completed).await;
}

#[tokio::test]
async fn what_the_provider_refuses_is_not_created() {
    let world = World::new(FakeProvider::refusing()).await;
    let refused = world.try_create("@answer Never.", json!({})).await.err().unwrap();
    assert!(matches!(refused, CreateError::Environment(_)), "{refused}");
}

#[tokio::test]
async fn what_the_provider_refuses_to_a_subagent_is_not_created_either() {
    let world = World::new(FakeProvider::refusing()).await;
    let agent = |environments: Value, subagents: Value| json!({"name": "a", "description": "d", "environments": environments, "subagents": subagents});
    let memory = json!([{"kind": "memory", "id": "m", "namespace": "n"}]);
    let nested = agent(json!([]), json!([agent(json!([]), json!([agent(memory, json!([]))]))]));
    let refused = world.try_create("@answer Never.", json!({"agent": nested})).await.err().unwrap();
    assert!(matches!(refused, CreateError::Environment(_)), "{refused}");
}
