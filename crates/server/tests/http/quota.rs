//! Limits, as callers meet them.

use crate::app::{Answer, Server, TestApp, request};
use futures_util::future::join_all;
use quarterdeck_store::Limits;
use reqwest::Method;
use serde_json::{Value, json};

const BUSY: &str = "@wait 10m\n@answer late";

#[tokio::test]
async fn of_a_hundred_creations_at_once_ten_get_in() {
    ten_get_in(limited(10, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_creations_at_once_ten_get_in_on_postgres() {
    ten_get_in(limited(10, 0).on_postgres().await).await;
}

async fn ten_get_in(app: TestApp) {
    let server = app.start().await;
    let body = || request(json!({"messages": BUSY, "queue": false}));
    let answers = join_all((0..100).map(|_| server.post("/api/v2/sessions", body()))).await;
    let created: Vec<String> = answers.iter().filter(|answer| answer.status == 201).map(id_of).collect();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((created.len(), refused.len()), (10, 90));
    for answer in refused {
        is_refusal(answer, "plan_limit");
    }
    let by_status = quota(&server).await["by_status"].clone();
    let holders: u64 = by_status.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(holders, 10, "{by_status}");
    assert_eq!(slots(&server).await, json!({"scope": "org", "limit": 10, "active": 10, "available": 0}));

    // Again, while those that run are cancelled: whoever gets in takes a slot that was given back.
    let cancelling = join_all(created.iter().map(async |id| server.delete(&format!("/api/v2/sessions/{id}")).await));
    let creating = join_all((0..100).map(|_| server.post("/api/v2/sessions", body())));
    let (cancelled, answers) = tokio::join!(cancelling, creating);
    assert!(cancelled.iter().all(|answer| answer.status == 204));
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(created <= 10, "{created}");
    let left = 10 - created;
    assert_eq!(slots(&server).await, json!({"scope": "org", "limit": 10, "active": created, "available": left}));
    for _ in 0..left {
        assert_eq!(server.post("/api/v2/sessions", body()).await.status, 201);
    }
    assert_eq!(server.post("/api/v2/sessions", body()).await.status, 429);
    server.stop().await;
}

#[tokio::test]
async fn a_parent_lets_no_client_past_the_limit() {
    let server = limited(1, 1).start().await;
    let parent = server.create(json!({"messages": BUSY})).await;
    let child = |queue: bool| request(json!({"messages": BUSY, "queue": queue, "parent_session_id": parent}));
    let refused = join_all((0..20).map(|_| server.post("/api/v2/sessions", child(false)))).await;
    for answer in &refused {
        is_refusal(answer, "plan_limit");
    }
    assert_eq!(server.status(&parent).await["subagent_session_ids"], json!([]), "what is refused is not named");
    let queued = server.post("/api/v2/sessions", child(true)).await;
    assert_eq!((queued.status, &queued.json()["status"]["status"]), (201, &json!("queued")));
    is_refusal(&server.post("/api/v2/sessions", child(true)).await, "queue_full");
    let named = json!([id_of(&queued)]);
    assert_eq!(server.status(&parent).await["subagent_session_ids"], named);
    let session = server.get(&format!("/api/v2/sessions/{parent}")).await.json();
    assert_eq!(session["status"]["subagent_session_ids"], named);
    server.stop().await;
}

#[tokio::test]
async fn above_the_limit_a_session_waits_and_then_runs() {
    let server = limited(1, 1).start().await;
    let busy = server.create(json!({"messages": BUSY})).await;
    let body = request(json!({"messages": "@answer done"}));
    let queued = server.post("/api/v2/sessions", body.clone()).await;
    assert_eq!((queued.status, &queued.json()["status"]["status"]), (201, &json!("queued")));
    assert_eq!((&queued.json()["started_at"], quota(&server).await["active"].as_u64()), (&Value::Null, Some(1)));
    is_refusal(&server.post("/api/v2/sessions", body).await, "queue_full");

    let id = id_of(&queued);
    let changes = server.get(&format!("/api/v2/sessions/{id}/changes?include_events=false")).await;
    assert_eq!((changes.status, &changes.json()["status"]), (200, &json!("queued")));
    let poll = format!("/api/v2/sessions/{id}/changes?from_index=1&wait_for_seconds=20");
    let free = async { server.delete(&format!("/api/v2/sessions/{busy}")).await };
    let (woken, _) = tokio::join!(server.get(&poll), free);
    assert_eq!(woken.status, 200, "the poll wakes when it is promoted");
    server.until(&id, "completed").await;
}

#[tokio::test]
async fn a_message_to_an_ended_session_is_refused_without_a_slot() {
    let server = limited(1, 9).start().await;
    let ended = server.create(json!({"messages": "@answer done"})).await;
    server.until(&ended, "completed").await;
    let busy = server.create(json!({"messages": BUSY})).await;
    let path = format!("/api/v2/sessions/{ended}/messages");
    let message = json!({"type": "user_message", "message": "@answer again"});
    is_refusal(&server.post(&path, message.clone()).await, "plan_limit");
    assert_eq!(server.status(&ended).await["status"], "completed");
    server.delete(&format!("/api/v2/sessions/{busy}")).await;
    assert_eq!(server.post(&path, message).await.status, 202);
    server.until(&ended, "completed").await;
}

#[tokio::test]
async fn a_refusal_does_not_use_up_an_idempotency_key_and_a_replay_needs_no_slot() {
    let server = limited(1, 1).start().await;
    let create = async |fields: Value| {
        let create = server.request(Method::POST, "/api/v2/sessions").header("Idempotency-Key", "k");
        server.send(create.json(&request(fields))).await
    };
    let busy = server.create(json!({"messages": BUSY})).await;
    is_refusal(&create(json!({"queue": false})).await, "plan_limit");
    let queued = create(json!({})).await;
    assert_eq!((queued.status, &queued.json()["status"]["status"]), (201, &json!("queued")));
    server.delete(&format!("/api/v2/sessions/{busy}")).await;
    server.until(&id_of(&queued), "completed").await;
    server.create(json!({"messages": BUSY})).await;
    assert_eq!(create(json!({})).await.text, queued.text, "word for word, though it has ended since");
}

fn limited(concurrent: u64, queued: u64) -> TestApp {
    let mut app = TestApp::new();
    app.engine.limits = Limits { concurrent, queued };
    app
}

/// How many slots there are, without who holds them.
async fn slots(server: &Server) -> Value {
    let mut quota = quota(server).await;
    quota.as_object_mut().unwrap().remove("by_status");
    quota
}

async fn quota(server: &Server) -> Value {
    server.get("/api/v2/sessions/quota").await.json()
}

fn id_of(created: &Answer) -> String {
    created.json()["id"].as_str().unwrap().to_owned()
}

fn is_refusal(answer: &Answer, kind: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    let body = answer.json();
    assert!(body["message"].is_string());
    let detail = &body["detail"][0];
    assert_eq!((&detail["type"], &detail["scope"]), (&json!(kind), &json!("org")));
    assert_eq!(detail["message"], body["message"]);
}
