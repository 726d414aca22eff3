//! What a client does from first to last.

use crate::app::{Server, TestApp, request, result_of, with_tools};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_session_is_created_followed_and_answered() {
    from_creation_to_answer(TestApp::new().start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_created_followed_and_answered_on_postgres() {
    from_creation_to_answer(TestApp::new().on_postgres().await.start().await).await;
}

async fn from_creation_to_answer(server: Server) {
    let body = request(json!({"messages": "Find it.\n@say Looking.\n@outcome partial\n@answer 19 €", "group_id": "g"}));
    let created = server.post("/api/v2/sessions", body).await;
    assert_eq!((created.status, created.header("content-type")), (201, Some("application/json")));
    let created = created.json();
    assert_eq!(created["request"]["agent"]["name"], "tester");
    let id = created["id"].as_str().unwrap();

    let status = server.until(id, "completed").await;
    assert_eq!((&status["outcome"], &status["steps"], &status["error"]), (&json!("partial"), &json!(1), &Value::Null));
    let words = server.words(id).await;
    assert_eq!((words[0].as_str(), words.last().unwrap().as_str()), ("RequestStart", "AgentCompletion finished"));
    let place = |wanted: &str| words.iter().position(|word| word == wanted).unwrap_or_else(|| panic!("{words:?}"));
    assert!(place("AgentStarted") < place("message_event"));
    assert!(place("message_event") < place("answer_event 19 €"));

    let session = server.get(&format!("/api/v2/sessions/{id}")).await.json();
    assert_eq!(session["latest_answer"], "19 €");
    assert!(session["finished_at"].is_string());
    let listed = server.get("/api/v2/sessions?group_id=g&status=completed").await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));
    assert_eq!(listed["items"][0]["first_message"]["message"], created["request"]["messages"]);
    let events = server.get(&format!("/api/v2/sessions/{id}/events?sort=-timestamp&size=1")).await.json();
    assert_eq!((&events["total"], &events["items"][0]["type"]), (&json!(words.len()), &json!("AgentCompletionEvent")));
    server.stop().await;
}

#[tokio::test]
async fn a_conversation_goes_on_over_several_turns() {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": "@answer one\n@answer two", "idle_timeout_s": 600})).await;
    server.until(&id, "idle").await;
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/messages"), say("and?")).await.status, 202);
    server.until(&id, "idle").await;
    let changes = server.get(&format!("/api/v2/sessions/{id}/changes")).await.json();
    assert_eq!((&changes["answer"], &changes["status"]), (&json!("two"), &json!("idle")));
    assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
    assert_eq!(server.status(&id).await["status"], "interrupted");
}

#[tokio::test]
async fn custom_tools_go_round_in_part_and_in_whole() {
    let server = TestApp::new().start().await;
    let script = "@call ask {\"a\": 1}\n@and look {\"b\": 2}\n@answer thanks";
    let id = server.create(json!({"messages": script, "agent": with_tools(&["ask", "look"])})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let [ask, look] = &status["pending_tool_calls"].as_array().unwrap()[..] else { panic!("two calls: {status}") };
    assert_eq!(
        (&ask["tool_name"], &ask["args"], &look["tool_name"]),
        (&json!("ask"), &json!({"a": 1}), &json!("look"))
    );
    let results = format!("/api/v2/sessions/{id}/tool_results");

    assert_eq!(server.post(&results, result_of(look)).await.status, 202);
    let status = server.status(&id).await;
    assert_eq!((&status["status"], &status["pending_tool_calls"]), (&json!("awaiting_tool_results"), &json!([ask])));
    assert_eq!(server.post(&results, result_of(look)).await.status, 409, "it is answered already");
    let late = json!({"type": "batch", "results": [result_of(look), result_of(ask)]});
    assert_eq!(server.post(&results, late.clone()).await.status, 202, "one of them was open");
    server.until(&id, "completed").await;
    assert_eq!(server.post(&results, late).await.status, 409);

    let words = server.words(&id).await;
    let turns: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| word.starts_with("ActiveState") || *word == "tool_result")
        .collect();
    let awaiting = "ActiveStateChange awaiting_tool_results";
    let running = "ActiveStateChange running";
    assert_eq!(turns, [running, awaiting, "tool_result", awaiting, "tool_result", running]);
}

#[tokio::test]
async fn a_tool_that_failed_is_told_to_the_agent() {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": "@call ask\n@answer sorry", "agent": with_tools(&["ask"])})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let call = &status["pending_tool_calls"][0];
    let error = json!({"kind": "error_event", "error": "no such page", "origin": "client", "tool_req": call});
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/tool_results"), error).await.status, 202);
    server.until(&id, "completed").await;
    assert_eq!(server.count(&id, "error_event client").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creations_with_one_key_make_one_session() {
    let server = TestApp::new().start().await;
    let create =
        |body: Value| server.request(Method::POST, "/api/v2/sessions").header("idempotency-key", "k").json(&body);
    let answers = join_all((0..20).map(|_| server.send(create(request(json!({})))))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    assert_eq!(server.get("/api/v2/sessions").await.json()["total"], 1);
    let id = answers[0].json()["id"].as_str().unwrap().to_owned();
    server.until(&id, "completed").await;
    assert_eq!(server.send(create(request(json!({})))).await.text, answers[0].text, "word for word, not a fresh read");
    let other = server.send(create(request(json!({"group_id": "other"})))).await;
    assert_eq!(other.status, 422);
    let other = server.other_organizations_key().await;
    let theirs = server.anonymous(Method::POST, "/api/v2/sessions").bearer_auth(other);
    let theirs = server.send(theirs.header("idempotency-key", "k").json(&request(json!({})))).await;
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.json()["id"], json!(id));
}

#[tokio::test]
async fn sessions_of_other_organizations_are_not_listed() {
    let server = TestApp::new().start().await;
    server.create(json!({})).await;
    let other = server.other_organizations_key().await;
    let listed = server.send(server.anonymous(Method::GET, "/api/v2/sessions?owner=organization").bearer_auth(&other));
    assert_eq!(listed.await.json()["total"], 0);
}

fn say(text: &str) -> Value {
    json!({"type": "user_message", "message": text})
}
