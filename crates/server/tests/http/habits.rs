//! The corpus of habits of model endpoints, each through the whole server to what a client of it reads.

use crate::app::{Server, TestApp};
use quarterdeck_agent::{EndpointClient, EndpointSettings, ModelApi};
use quarterdeck_test_support::habits::{self, Habit, Interface, Outcome};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Sessions at once.
const AT_ONCE: usize = 24;

#[tokio::test]
async fn every_habit_reaches_the_client_as_it_should() {
    walk(Interface::Chat, ModelApi::Chat, false).await;
}

#[tokio::test]
async fn every_habit_reaches_the_client_as_it_should_in_a_stream_of_messages() {
    walk(Interface::Messages, ModelApi::Messages, true).await;
}

async fn walk(interface: Interface, api: ModelApi, streamed: bool) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = habits::endpoint(interface, streamed).await.unwrap();
    let reply_timeout = Duration::from_secs(20);
    let settings = EndpointSettings { api, reply_timeout, ..EndpointSettings::new(model.base_url()) };
    let app = TestApp::new().driven_by(Arc::new(EndpointClient::new(settings).unwrap())).start().await;
    let app = Arc::new(app);
    let mut waiting = habits::by(interface).into_iter();
    let mut running = JoinSet::new();
    let mut wrong = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(habit) = waiting.next()
        {
            let app = Arc::clone(&app);
            running.spawn(async move { meet(&app, &habit).await });
        }
        let Some(met) = running.join_next().await else { break };
        wrong.extend(met.unwrap());
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs a session with this habit; says what was wrong with what its client read.
async fn meet(app: &Server, habit: &Habit) -> Option<String> {
    let look = json!([{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}]);
    let mut agent = json!({"name": "tester", "description": "Tests things.", "environments": [], "model": habit.name, "tools": look});
    if let Some(format) = &habit.format {
        agent["answer_format"] = format.clone();
    }
    let mut request = json!({"agent": agent, "messages": "What is it?"});
    if let Some(steps) = habit.max_steps {
        request["max_steps"] = steps.into();
    }
    let id = app.create(request).await;
    let mut looks = 0;
    let mut status = app.settled(&id).await;
    while status["status"] == "awaiting_tool_results" {
        let call = status["pending_tool_calls"][0].clone();
        if (&call["tool_name"], &call["args"]) != (&json!("look"), &json!({"at": 1})) {
            return Some(format!("{}: called {call}", habit.name));
        }
        looks += 1;
        let long = "x".repeat(if habit.name == "refuses-long" { 50_000 } else { 4 });
        let result = json!({"kind": "tool_result", "tool_req": call, "result": long});
        let taken = app.post(&format!("/api/v2/sessions/{id}/tool_results"), result).await;
        assert_eq!(taken.status, 202, "{}: {taken:?}", habit.name);
        status = app.settled(&id).await;
    }
    let changes = app.get(&format!("/api/v2/sessions/{id}/changes")).await.json();
    let (word, answer, error) = (&status["status"], &changes["answer"], status["error"].as_str());
    let is_right = match &habit.outcome {
        Outcome::Answers(expected) => word == "completed" && answer == expected && looks == 0,
        Outcome::Looks(times, expected) => word == "completed" && answer == expected && looks == *times,
        Outcome::Fails(words) => word == "failed" && answer.is_null() && error.is_some_and(|told| told.contains(words)),
    };
    let told =
        || format!("{}: {word} {error:?} after {looks} looks, with {answer}, not {:?}", habit.name, habit.outcome);
    (!is_right).then(told)
}
