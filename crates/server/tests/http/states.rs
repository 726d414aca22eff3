//! Every state meets every command, over HTTP: `docs/state-machine.md`.

use crate::app::{Server, TestApp, result_of, with_tools};
use chrono::TimeDelta;
use quarterdeck_api::SessionId;
use quarterdeck_core::{Effect, Fact};
use quarterdeck_store::{Commit, CommitLease, CommitSlot, Store};
use serde_json::{Value, json};

/// The columns below. `=` is an unchanged status.
const COMMANDS: [&str; 7] = ["message", "pause", "resume", "force_answer", "results", "other results", "cancel"];
type Row = [(u16, &'static str); 7];

const ENDED: Row = [(202, "running"), (409, "="), (409, "="), (409, "="), (409, "="), (409, "="), (204, "=")];

#[tokio::test]
async fn a_queued_session_meets_every_command() {
    let row = [(202, "="), (409, "="), (202, "="), (409, "="), (409, "="), (409, "="), (204, "interrupted")];
    check("queued", server_without_slots().await, pending, row).await;
}

#[tokio::test]
async fn a_pending_session_meets_every_command() {
    let row = [(202, "="), (202, "paused"), (202, "="), (202, "="), (409, "="), (409, "="), (204, "interrupted")];
    check("pending", full_server().await, pending, row).await;
}

#[tokio::test]
async fn a_running_session_meets_every_command() {
    let row = [(202, "="), (202, "paused"), (202, "="), (202, "="), (409, "="), (409, "="), (204, "interrupted")];
    check("running", server().await, running, row).await;
}

#[tokio::test]
async fn a_session_paused_from_pending_meets_every_command() {
    let row = [
        (202, "pending"),
        (202, "="),
        (202, "pending"),
        (202, "pending"),
        (409, "="),
        (409, "="),
        (204, "interrupted"),
    ];
    check("paused", full_server().await, async |server: &Server| paused(server, pending(server).await).await, row)
        .await;
}

#[tokio::test]
async fn a_session_paused_from_running_meets_every_command() {
    let row = [
        (202, "running"),
        (202, "="),
        (202, "running"),
        (202, "running"),
        (409, "="),
        (409, "="),
        (204, "interrupted"),
    ];
    check("paused", server().await, async |server: &Server| paused(server, running(server).await).await, row).await;
}

#[tokio::test]
async fn a_session_paused_from_awaiting_meets_every_command() {
    let row = [
        (202, "awaiting_tool_results"),
        (202, "="),
        (202, "awaiting_tool_results"),
        (202, "running"),
        (202, "="),
        (409, "="),
        (204, "interrupted"),
    ];
    check("paused", server().await, async |server: &Server| paused(server, awaiting(server).await).await, row).await;
}

#[tokio::test]
async fn an_idle_session_meets_every_command() {
    let row = [(202, "running"), (202, "="), (202, "="), (202, "="), (409, "="), (409, "="), (204, "interrupted")];
    check("idle", server().await, idle, row).await;
}

#[tokio::test]
async fn an_awaiting_session_meets_every_command() {
    let row =
        [(202, "="), (202, "paused"), (202, "="), (202, "running"), (202, "running"), (409, "="), (204, "interrupted")];
    check("awaiting_tool_results", server().await, awaiting, row).await;
}

#[tokio::test]
async fn a_completed_session_meets_every_command() {
    let completed = async |server: &Server| ended(server, json!({"messages": "@answer done"}), "completed").await;
    check("completed", server().await, completed, ENDED).await;
}

#[tokio::test]
async fn a_failed_session_meets_every_command() {
    let failed = async |server: &Server| ended(server, json!({"messages": "@fail 400"}), "failed").await;
    check("failed", server().await, failed, ENDED).await;
}

/// On Postgres, where the server hears of what a test writes beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timed_out_session_meets_every_command() {
    check("timed_out", TestApp::new().on_postgres().await.start().await, timed_out, ENDED).await;
}

/// A session whose time is up. Only on Postgres does the server hear of it.
pub(crate) async fn timed_out(server: &Server) -> String {
    let id = server.create(json!({"messages": "@wait 10m\n@answer late", "max_time_s": 600})).await;
    server.until(&id, "running").await;
    for minutes in [11, 13] {
        pass_time(&*server.store, id.parse().unwrap(), TimeDelta::minutes(minutes)).await;
    }
    server.until(&id, "timed_out").await;
    id
}

/// Commits what a worker would after this time: first an answer is forced, then the session has ended.
async fn pass_time(store: &dyn Store, id: SessionId, time: TimeDelta) {
    let session = store.session(id).await.unwrap().unwrap().session;
    let later = session.created_at + time;
    let Ok(Effect::Changed(transition)) = session.fact(Fact::TimePassed, later) else { panic!("its time is up") };
    let (transition, lease, slot) = (*transition, CommitLease::Leave, CommitSlot::Keep);
    store.commit(Commit { transition, lease, slot }).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_session_meets_every_command() {
    let cancelled = async |server: &Server| {
        let id = running(server).await;
        server.delete(&format!("/api/v2/sessions/{id}")).await;
        id
    };
    let row = [(409, "="), (409, "="), (409, "="), (409, "="), (409, "="), (409, "="), (204, "=")];
    check("interrupted", server().await, cancelled, row).await;
}

/// Gives each command to a session of its own.
async fn check(state: &str, server: Server, reach: impl AsyncFn(&Server) -> String, row: Row) {
    for (command, (code, after)) in COMMANDS.into_iter().zip(row) {
        let id = reach(&server).await;
        let before = server.status(&id).await;
        assert_eq!(before["status"], state, "before {command}");
        let length = server.events(&id).await.len();
        let answer = give(&server, &id, command, &before["pending_tool_calls"]).await;
        assert_eq!(answer, code, "{command} to {state}");
        let wanted = if after == "=" { state } else { after };
        assert_eq!(server.status(&id).await["status"], wanted, "{command} to {state}");
        if after != "=" {
            assert!(server.events(&id).await.len() > length, "{command} to {state} writes an event");
        }
        server.delete(&format!("/api/v2/sessions/{id}")).await;
    }
}

async fn give(server: &Server, id: &str, command: &str, calls: &Value) -> u16 {
    let path = |action: &str| format!("/api/v2/sessions/{id}/{action}");
    let unknown = json!({"tool_name": "other", "args": {"x": 1}, "id": "other"});
    let answer = match command {
        "message" => {
            let message = json!({"type": "user_message", "message": "@wait 10m\n@answer later"});
            server.post(&path("messages"), message).await
        }
        "results" => {
            let calls = calls.as_array().filter(|calls| !calls.is_empty()).cloned().unwrap_or(vec![unknown]);
            let results: Vec<Value> = calls.iter().map(result_of).collect();
            server.post(&path("tool_results"), json!({"type": "batch", "results": results})).await
        }
        "other results" => server.post(&path("tool_results"), result_of(&unknown)).await,
        "cancel" => server.delete(&format!("/api/v2/sessions/{id}")).await,
        action => server.send(server.request(reqwest::Method::POST, &path(action))).await,
    };
    answer.status
}

async fn server() -> Server {
    TestApp::new().start().await
}

/// A server whose only worker is busy, so that further sessions stay pending.
async fn full_server() -> Server {
    let mut app = TestApp::new();
    app.engine.workers_max = 1;
    let server = app.start().await;
    running(&server).await;
    server
}

/// A server that queues every session.
async fn server_without_slots() -> Server {
    let mut app = TestApp::new();
    app.engine.limits.concurrent = 0;
    app.start().await
}

async fn pending(server: &Server) -> String {
    server.create(json!({})).await
}

async fn running(server: &Server) -> String {
    let id = server.create(json!({"messages": "@wait 10m\n@answer late"})).await;
    server.until(&id, "running").await;
    id
}

async fn idle(server: &Server) -> String {
    ended(server, json!({"messages": "@answer done", "idle_timeout_s": 600}), "idle").await
}

async fn awaiting(server: &Server) -> String {
    let script = "@call ask\n@and look\n@wait 10m\n@answer late";
    ended(server, json!({"messages": script, "agent": with_tools(&["ask", "look"])}), "awaiting_tool_results").await
}

async fn paused(server: &Server, id: String) -> String {
    assert_eq!(give(server, &id, "pause", &Value::Null).await, 202);
    id
}

async fn ended(server: &Server, fields: Value, status: &str) -> String {
    let id = server.create(fields).await;
    server.until(&id, status).await;
    id
}
