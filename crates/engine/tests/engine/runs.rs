//! Sessions that run by themselves, to whatever end.

use crate::{
    runner::{ACTS, Act, FakeRunner, call, result_of},
    world::{World, quick, say, with_tools},
};
use quarterdeck_api::{Answer, ErrorCode, Status, ToolResultItem};
use quarterdeck_core::{Command, StepMode};
use quarterdeck_engine::EngineSettings;
use serde_json::{Value, json};
use std::{fs, sync::Arc};

/// Whoever logs something while a session runs need not know which one that is.
#[tokio::test]
async fn every_line_that_is_logged_during_a_step_names_its_session() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = tracing_subscriber::fmt().json().with_writer(Arc::new(file.reopen().unwrap())).finish();
    let _log = tracing::subscriber::set_default(log);
    let world = World::new(FakeRunner::doing([Act::Mumble, Act::Answer("Done.")])).await;
    let id = world.create(json!({})).await;
    world.until(id, Status::Completed).await;
    let log = fs::read_to_string(file.path()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let acts: Vec<Value> = lines.filter(|line| line["fields"]["message"] == ACTS).collect();
    let spans: Vec<&Value> = acts.iter().map(|line| &line["spans"]).collect();
    let during = |number: u32| {
        json!([{"name": "run", "session.id": id.to_string()},
               {"name": "step", "session.id": id.to_string(), "number": number}])
    };
    assert_eq!(spans, [&during(1), &during(2)]);
}

#[tokio::test]
async fn a_runner_is_told_to_let_go_of_what_it_keeps_though_no_session_runs() {
    let runner = FakeRunner::doing([]);
    let _world = World::new(Arc::clone(&runner)).await;
    runner.let_go_of_all().await;
}

#[tokio::test]
async fn a_session_runs_from_its_creation_to_its_answer() {
    let world = World::new(FakeRunner::doing([Act::Mumble, Act::Call("click"), Act::Answer("19 €")])).await;
    let id = world.create(json!({})).await;
    let session = world.until(id, Status::Completed).await;
    assert_eq!(session.answer, Some(Answer::Text("19 €".into())));
    assert_eq!(session.steps, 3);
    let expected = [
        "RequestStart",
        "RequestStartDispatched pending",
        "AgentStarted",
        "ActiveStateChange running",
        "message_event Go",
        "policy_event",
        "MetricsUpdate",
        "policy_event",
        "MetricsUpdate",
        "tool_result",
        "policy_event",
        "answer_event 19 €",
        "MetricsUpdate",
        "AgentCompletion finished",
    ];
    assert_eq!(world.words(id).await, expected);
    assert_eq!(world.stored(id).await.owner.replica, None, "an ended session is let go");
}

#[tokio::test]
async fn an_idle_session_answers_each_message() {
    let world = World::new(FakeRunner::doing([Act::Answer("one"), Act::Answer("two")])).await;
    let id = world.create(json!({"idle_timeout_s": 60})).await;
    world.until(id, Status::Idle).await;
    world.submit(id, say("and now?")).await;
    let session = world.until_that(id, |session| session.answer == Some(Answer::Text("two".into()))).await;
    assert_eq!(session.state.status(), Status::Idle);
    assert_eq!(world.runner.heard_by(1), ["Go", "and now?"]);
}

#[tokio::test]
async fn an_idle_session_completes_when_its_wait_is_over() {
    let world = World::new(FakeRunner::doing([Act::Answer("kept")])).await;
    let id = world.create(json!({"idle_timeout_s": 1})).await;
    let session = world.until(id, Status::Completed).await;
    assert_eq!(session.answer, Some(Answer::Text("kept".into())));
    assert_eq!(world.words(id).await.last().unwrap(), "AgentCompletion finished");
    let waited = session.finished_at.unwrap() - session.started_at.unwrap();
    assert!(waited >= chrono::TimeDelta::seconds(1), "{waited}");
}

#[tokio::test]
async fn a_session_without_a_task_waits_for_one() {
    let world = World::new(FakeRunner::doing([])).await;
    let id = world.create(json!({"messages": null})).await;
    world.until(id, Status::Idle).await;
    assert_eq!(world.runner.steps(), 0);
    world.submit(id, say("the task")).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.runner.heard_by(0), ["the task"]);
}

#[tokio::test]
async fn a_message_restarts_what_has_ended() {
    let world = World::new(FakeRunner::doing([Act::Fail, Act::Answer("after all")])).await;
    let id = world.create(json!({})).await;
    let session = world.until(id, Status::Failed).await;
    assert_eq!(session.error_code(), Some(ErrorCode::EnvironmentError));
    world.submit(id, say("try again")).await;
    let session = world.until(id, Status::Completed).await;
    assert_eq!(session.answer, Some(Answer::Text("after all".into())));
    assert_eq!(world.runner.heard_by(1), ["Go", "try again"]);
}

#[tokio::test]
async fn a_panic_fails_its_session_and_no_other() {
    let world = World::new(FakeRunner::doing([Act::Gated(Box::new(Act::Answer("fine"))), Act::Panic])).await;
    let other = world.create(json!({})).await;
    world.runner.begun(1).await;
    let panicking = world.create(json!({})).await;
    let session = world.until(panicking, Status::Failed).await;
    assert_eq!(session.error_code(), Some(ErrorCode::Internal));
    assert_eq!(world.words(panicking).await.last().unwrap(), "AgentError");
    let told = world.log(panicking).await.last().unwrap().json.get().to_owned();
    assert!(!told.contains("the test wants it so"), "{told}");
    world.runner.open_gate();
    world.until(other, Status::Completed).await;
    let next = world.create(json!({})).await;
    world.until(next, Status::Completed).await;
}

#[tokio::test]
async fn the_time_limit_drops_a_step_and_asks_for_an_answer() {
    let world = World::new(FakeRunner::doing([Act::Hang, Act::Answer("in haste")])).await;
    let id = world.create(json!({"max_time_s": 0.2})).await;
    let session = world.until(id, Status::Completed).await;
    assert_eq!(session.answer, Some(Answer::Text("in haste".into())));
    assert_eq!(world.runner.modes(), [StepMode::Act, StepMode::AnswerOnly]);
    assert!(world.words(id).await.contains(&"flow_event force_answer server".to_owned()));
}

#[tokio::test]
async fn the_clients_tools_are_waited_for() {
    let world = World::new(FakeRunner::doing([Act::Call("ask"), Act::Answer("thanks")])).await;
    let id = world.create(json!({"agent": with_tools(&["ask"])})).await;
    let session = world.until(id, Status::AwaitingToolResults).await;
    assert_eq!(session.state.pending_tool_calls(), [call("ask")]);
    assert_eq!(world.stored(id).await.owner.replica, None, "nobody runs a session that waits");
    let result = ToolResultItem::Result(result_of(call("ask")));
    world.submit(id, Command::ToolResults(vec![result])).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.runner.seen_by(1), 3, "message, decision, result");
}

#[tokio::test]
async fn more_sessions_than_workers_take_turns() {
    let settings = EngineSettings { workers_max: 2, ..quick() };
    let world = World::with(FakeRunner::doing([]), settings).await;
    let mut ids = Vec::new();
    for _ in 0..25 {
        ids.push(world.create(json!({})).await);
    }
    for id in ids {
        world.until(id, Status::Completed).await;
    }
}

#[tokio::test]
async fn a_cancel_makes_room_for_the_next() {
    let settings = EngineSettings { workers_max: 1, ..quick() };
    let world = World::with(FakeRunner::doing([Act::Hang]), settings).await;
    let first = world.create(json!({})).await;
    world.runner.begun(1).await;
    let second = world.create(json!({})).await;
    assert_eq!(world.session(second).await.state.status(), Status::Pending);
    world.submit(first, Command::Cancel).await;
    world.until(second, Status::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_sessions_at_once_all_answer() {
    let world = World::new(FakeRunner::doing([])).await;
    let ids = futures_util::future::join_all((0..300).map(|_| world.create(json!({})))).await;
    for id in &ids {
        world.until(*id, Status::Completed).await;
    }
    assert_eq!(world.runner.steps(), 300, "no step is taken twice");
}

#[tokio::test]
async fn a_runner_is_told_everything_that_a_session_knows() {
    let runner = FakeRunner::doing([Act::Mumble]);
    let world = World::new(runner).await;
    let id = world.create(json!({"timezone": "Europe/Paris"})).await;
    world.until(id, Status::Completed).await;
    let (first, second) = world.runner.first_two();
    assert_eq!(
        (first.session, first.agent.name.as_str(), first.timezone.as_deref()),
        (id, "tester", Some("Europe/Paris"))
    );
    assert_eq!((first.transcript.len(), second.transcript.len()), (1, 2));
}
