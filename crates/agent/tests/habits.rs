//! The corpus of habits, each through the client, the runner and the state machine to how the session ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use quarterdeck_agent::{EndpointClient, EndpointSettings, ModelApi};
use quarterdeck_api::Status;
use quarterdeck_core::{Command, Ending, State};
use quarterdeck_test_support::habits::{self, Habit, Interface, Outcome};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use world::{World, quick};

#[tokio::test]
async fn every_habit_ends_as_it_should() {
    walk(Interface::Chat, false).await;
}

#[tokio::test]
async fn every_habit_ends_as_it_should_in_a_stream() {
    walk(Interface::Chat, true).await;
}

#[tokio::test]
async fn every_habit_ends_as_it_should_by_messages() {
    walk(Interface::Messages, false).await;
}

#[tokio::test]
async fn every_habit_ends_as_it_should_in_a_stream_of_messages() {
    walk(Interface::Messages, true).await;
}

#[tokio::test]
async fn every_habit_ends_as_it_should_by_responses() {
    walk(Interface::Responses, false).await;
}

#[tokio::test]
async fn every_habit_ends_as_it_should_in_a_stream_of_responses() {
    walk(Interface::Responses, true).await;
}

async fn walk(interface: Interface, streamed: bool) {
    let api = match interface {
        Interface::Chat => ModelApi::Chat,
        Interface::Messages => ModelApi::Messages,
        Interface::Responses => ModelApi::Responses,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = habits::endpoint(interface, streamed).await.unwrap();
    let settings =
        EndpointSettings { api, reply_timeout: Duration::from_secs(20), ..EndpointSettings::new(model.base_url()) };
    let client = Arc::new(EndpointClient::new(settings).unwrap());
    let habits = habits::by(interface);
    let mut wrong = Vec::new();
    for habit in &habits {
        wrong.extend(meet(Arc::clone(&client), habit).await);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), habits.len(), wrong.join("\n"));
}

/// Runs a session with this habit; says what was wrong with its end.
async fn meet(client: Arc<EndpointClient>, habit: &Habit) -> Option<String> {
    let look = json!([{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}]);
    let mut agent = json!({"model": habit.name, "tools": look});
    if let Some(format) = &habit.format {
        agent["answer_format"] = format.clone();
    }
    let mut world = World::new(client, agent, quick());
    world.run().await;
    let mut looks = 0;
    while let [call] = world.session.state.pending_tool_calls() {
        let call = call.clone();
        if (call.tool_name.as_str(), call.args.clone()) != ("look", json!({"at": 1}).as_object().cloned()) {
            return Some(format!("{}: called {call:?}", habit.name));
        }
        looks += 1;
        let long = "x".repeat(if habit.name == "refuses-long" { 50_000 } else { 4 });
        world.return_result(call, long.into());
        if habit.max_steps == Some(looks) {
            world.command(Command::ForceAnswer);
        }
        world.run().await;
    }
    let answer = serde_json::to_value(&world.session.answer).unwrap();
    let error =
        if let State::Ended(Ending::Failed(fault)) = &world.session.state { Some(fault.sentence()) } else { None };
    let is_right = is_right(&habit.outcome, world.status(), error.as_deref(), looks, &answer);
    let told = || {
        let status = world.status();
        format!("{}: {status:?} {error:?} after {looks} looks, with {answer}, not {:?}", habit.name, habit.outcome)
    };
    (!is_right).then(told)
}

fn is_right(outcome: &Outcome, status: Status, error: Option<&str>, looks: u32, answer: &Value) -> bool {
    match outcome {
        Outcome::Answers(expected) => status == Status::Completed && answer == expected && looks == 0,
        Outcome::Looks(times, expected) => {
            status == Status::Completed && answer == expected && usize::try_from(looks) == Ok(*times)
        }
        Outcome::Fails(words) => {
            status == Status::Failed && answer.is_null() && error.is_some_and(|error| error.contains(words))
        }
    }
}
