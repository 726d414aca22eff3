//! What becomes of commands that take effect later, in part, or not at all.

use crate::{
    app::{Answer, Server, TestApp, result_of, with_tools},
    states::timed_out,
};
use quarterdeck_store::Limits;
use serde_json::{Value, json};

on_both_engines![
    a_failed_session_starts_again_only_when_a_slot_is_free,
    a_part_of_the_results_keeps_it_waiting_for_the_rest,
    a_part_of_the_results_is_taken_during_a_pause,
    all_results_are_taken_during_a_pause_and_it_runs_after_it,
    a_pause_keeps_the_calls_that_wait,
    messages_that_wait_come_before_the_next_step,
    an_answer_forced_before_the_start_is_the_first_step,
    a_queued_session_that_is_cancelled_never_starts,
    a_full_inbox_takes_no_message,
];

const BUSY: &str = "@wait 10m\n@answer late";
const ONE_SLOT: Limits = Limits { concurrent: 1, queued: 9 };

async fn a_failed_session_starts_again_only_when_a_slot_is_free(mut app: TestApp) {
    app.engine.limits = ONE_SLOT;
    let server = app.start().await;
    let id = server.create(json!({"messages": "@fail 400"})).await;
    server.until(&id, "failed").await;
    starts_again_only_when_a_slot_is_free(&server, &id).await;
    server.stop().await;
}

/// On Postgres, where the server hears of what a test writes beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timed_out_session_starts_again_only_when_a_slot_is_free() {
    let mut app = TestApp::new().on_postgres().await;
    app.engine.limits = ONE_SLOT;
    let server = app.start().await;
    let id = timed_out(&server).await;
    starts_again_only_when_a_slot_is_free(&server, &id).await;
    server.stop().await;
}

async fn starts_again_only_when_a_slot_is_free(server: &Server, id: &str) {
    let ended = server.status(id).await;
    let busy = server.create(json!({"messages": BUSY})).await;
    is_limit(&say(server, id, BUSY).await, "plan_limit");
    assert_eq!(server.status(id).await, ended, "a refusal changes nothing");
    cancel(server, &busy).await;
    assert_eq!(say(server, id, BUSY).await.status, 202);
    server.until(id, "running").await;
}

async fn a_part_of_the_results_keeps_it_waiting_for_the_rest(app: TestApp) {
    let server = app.start().await;
    let (id, [ask, look]) = awaiting(&server).await;
    assert_eq!(give(&server, &id, &[&look]).await, 202);
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("awaiting_tool_results"), &json!([ask])));
    let events = server.events(&id).await;
    let [result, state] = &events[events.len() - 2..] else { panic!("it writes two events") };
    assert_eq!(result["data"]["kind"], "tool_result");
    assert_eq!(state["data"]["state"], "awaiting_tool_results");
    let shown = state["data"].to_string();
    assert!(shown.contains("\"ask\"") && !shown.contains("\"look\""), "those that are left are told again: {shown}");
    assert_eq!(give(&server, &id, &[&ask]).await, 202);
    server.until(&id, "completed").await;
    server.stop().await;
}

async fn a_part_of_the_results_is_taken_during_a_pause(app: TestApp) {
    let server = app.start().await;
    let (id, [ask, look]) = awaiting(&server).await;
    command(&server, &id, "pause").await;
    assert_eq!(give(&server, &id, &[&look]).await, 202);
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("paused"), &json!([ask])));
    assert_eq!(give(&server, &id, &[&look]).await, 409, "it is answered already");
    command(&server, &id, "resume").await;
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("awaiting_tool_results"), &json!([ask])));
    assert_eq!(give(&server, &id, &[&ask]).await, 202);
    server.until(&id, "completed").await;
    server.stop().await;
}

async fn all_results_are_taken_during_a_pause_and_it_runs_after_it(app: TestApp) {
    let server = app.start().await;
    let (id, [ask, look]) = awaiting(&server).await;
    command(&server, &id, "pause").await;
    assert_eq!(give(&server, &id, &[&ask, &look]).await, 202);
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("paused"), &json!([])));
    let length = server.events(&id).await.len();
    command(&server, &id, "resume").await;
    server.until(&id, "completed").await;
    let words = server.words(&id).await;
    assert_eq!(words[length], "AgentRunStatusChange running", "{words:?}");
    assert!(!words[length..].iter().any(|word| word.contains("awaiting")), "it owes nothing: {words:?}");
    server.stop().await;
}

async fn a_pause_keeps_the_calls_that_wait(app: TestApp) {
    let server = app.start().await;
    let (id, calls) = awaiting(&server).await;
    command(&server, &id, "pause").await;
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("paused"), &json!(calls)));
    command(&server, &id, "resume").await;
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("awaiting_tool_results"), &json!(calls)));
    server.stop().await;
}

async fn messages_that_wait_come_before_the_next_step(app: TestApp) {
    let server = app.start().await;
    let (id, [ask, look]) = awaiting(&server).await;
    for text in ["first", "second"] {
        assert_eq!(say(&server, &id, text).await.status, 202);
    }
    assert_eq!(server.status(&id).await["status"], "awaiting_tool_results");
    assert_eq!(said(&server, &id).await.len(), 1, "they wait");
    assert_eq!(give(&server, &id, &[&ask, &look]).await, 202);
    server.until(&id, "completed").await;
    let said = said(&server, &id).await;
    assert_eq!(said.len(), 3);
    assert!(said[1].1.contains("first") && said[2].1.contains("second"), "{said:?}");
    let words = server.words(&id).await;
    let last = |wanted: &str| words.iter().rposition(|word| word.starts_with(wanted)).unwrap();
    assert!(last("tool_result") < said[1].0, "a call is followed by its result: {words:?}");
    assert!(said[2].0 < last("answer_event"), "{words:?}");
    server.stop().await;
}

async fn an_answer_forced_before_the_start_is_the_first_step(mut app: TestApp) {
    app.engine.workers_max = 1;
    let server = app.start().await;
    let busy = server.create(json!({"messages": BUSY})).await;
    server.until(&busy, "running").await;
    let id = server.create(json!({"messages": "@answer at once"})).await;
    assert_eq!(server.status(&id).await["status"], "pending");
    command(&server, &id, "force_answer").await;
    assert_eq!(server.status(&id).await["status"], "pending");
    cancel(&server, &busy).await;
    let status = server.until(&id, "completed").await;
    assert_eq!(status["steps"], 1);
    let words = server.words(&id).await;
    let place = |wanted: &str| words.iter().position(|word| word.starts_with(wanted)).unwrap();
    assert!(place("flow_event force_answer") < place("AgentStarted"), "{words:?}");
    assert!(place("AgentStarted") < place("answer_event at once"), "{words:?}");
    server.stop().await;
}

async fn a_queued_session_that_is_cancelled_never_starts(mut app: TestApp) {
    app.engine.limits = ONE_SLOT;
    let server = app.start().await;
    let busy = server.create(json!({"messages": BUSY})).await;
    let [unwanted, next] = [server.create(json!({})).await, server.create(json!({"messages": "@answer next"})).await];
    assert_eq!(server.status(&unwanted).await["status"], "queued");
    cancel(&server, &unwanted).await;
    cancel(&server, &busy).await;
    server.until(&next, "completed").await;
    assert_eq!(server.status(&unwanted).await["status"], "interrupted");
    let session = server.get(&format!("/api/v2/sessions/{unwanted}")).await.json();
    assert_eq!((&session["started_at"], &session["status"]["steps"]), (&Value::Null, &json!(0)));
    let words = server.words(&unwanted).await;
    assert!(!words.iter().any(|word| word.starts_with("AgentStarted")), "{words:?}");
    server.stop().await;
}

async fn a_full_inbox_takes_no_message(app: TestApp) {
    let server = app.start().await;
    let (id, _) = awaiting(&server).await;
    let batch = async |count: usize| {
        let messages = vec![json!({"type": "user_message", "message": "again"}); count];
        server.post(&path(&id, "messages"), json!({"type": "batch", "messages": messages})).await
    };
    assert_eq!(batch(999).await.status, 202);
    is_limit(&batch(2).await, "queue_full");
    assert_eq!(batch(1).await.status, 202, "of the two none was taken");
    is_limit(&say(&server, &id, "one more").await, "queue_full");
    server.stop().await;
}

fn is_limit(answer: &Answer, kind: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert_eq!(answer.json()["detail"][0]["type"], kind, "{answer:?}");
}

/// A session that waits for the results of two calls, and these.
async fn awaiting(server: &Server) -> (String, [Value; 2]) {
    let agent = with_tools(&["ask", "look"]);
    let id = server.create(json!({"messages": "@call ask\n@and look\n@answer thanks", "agent": agent})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let calls = status["pending_tool_calls"].as_array().unwrap().clone();
    (id, calls.try_into().unwrap())
}

/// What people said, each with its place in the log.
async fn said(server: &Server, id: &str) -> Vec<(usize, String)> {
    let events = server.events(id).await;
    let said = events.iter().enumerate().filter(|(_, event)| event["data"]["kind"] == "message_event");
    said.map(|(place, event)| (place, event["data"].to_string())).collect()
}

async fn give(server: &Server, id: &str, calls: &[&Value]) -> u16 {
    let results: Vec<Value> = calls.iter().map(|call| result_of(call)).collect();
    server.post(&path(id, "tool_results"), json!({"type": "batch", "results": results})).await.status
}

async fn say(server: &Server, id: &str, text: &str) -> Answer {
    server.post(&path(id, "messages"), json!({"type": "user_message", "message": text})).await
}

async fn command(server: &Server, id: &str, command: &str) {
    assert_eq!(server.post(&path(id, command), json!(null)).await.status, 202, "{command}");
}

async fn cancel(server: &Server, id: &str) {
    assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
}

fn path(id: &str, action: &str) -> String {
    format!("/api/v2/sessions/{id}/{action}")
}
