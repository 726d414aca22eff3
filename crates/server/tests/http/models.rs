//! Sessions driven by a model endpoint over real HTTP, however it behaves.

use crate::app::{Server, TestApp, result_of, with_tools};
use quarterdeck_test_support::fake_model::{Behaviour, FakeModel};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const TROUBLE: &str = "error_event model";

#[tokio::test]
async fn a_text_is_the_answer() {
    let (model, server) = start([Behaviour::text("19 €")]).await;
    let id = server.create(json!({"messages": "Find the price"})).await;
    let status = server.until(&id, "completed").await;
    assert_eq!(answer(&server, &id).await, "19 €");
    assert_eq!((&status["steps"], &status["outcome"]), (&json!(1), &Value::Null));
    let usage = &status["usage_per_model"][0];
    assert_eq!(
        (&usage["name"], &usage["input_tokens"], &usage["output_tokens"]),
        (&json!("fake-model"), &json!(11), &json!(7))
    );
    let asked = model.requests().remove(0).body.to_string();
    assert!(asked.contains("Find the price"), "{asked}");
}

#[tokio::test]
async fn tool_calls_go_to_the_client_and_their_results_to_the_model() {
    let answering = Behaviour::call("answer", json!({"answer": "42", "outcome": "success"}));
    let (model, server) = start([Behaviour::call("ask", json!({"q": "how many?"})), answering]).await;
    let id = server.create(json!({"agent": with_tools(&["ask"])})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let call = &status["pending_tool_calls"][0];
    assert_eq!((&call["tool_name"], &call["args"]), (&json!("ask"), &json!({"q": "how many?"})));
    let mut result = result_of(call);
    result["result"] = json!("CANARY-RESULT");
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/tool_results"), result).await.status, 202);
    let status = server.until(&id, "completed").await;
    assert_eq!((&status["outcome"], answer(&server, &id).await), (&json!("success"), json!("42")));
    assert!(model.requests()[1].body["messages"].to_string().contains("CANARY-RESULT"));
}

#[tokio::test]
async fn a_slow_reply_is_waited_for() {
    let slow = Behaviour::After(Duration::from_millis(300), Box::new(Behaviour::text("at last")));
    recovers([slow], 0, "at last").await;
}

#[tokio::test]
async fn a_busy_model_is_asked_again() {
    recovers([Behaviour::busy(1), Behaviour::busy(1)], 2, "Done.").await;
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    recovers([Behaviour::status(500), Behaviour::status(503)], 2, "Done.").await;
}

#[tokio::test]
async fn garbage_is_tried_again() {
    recovers([Behaviour::html(), Behaviour::Body(b"{\"choices\": [".to_vec())], 2, "Done.").await;
}

#[tokio::test]
async fn a_cut_connection_is_tried_again() {
    recovers([Behaviour::CutOff, Behaviour::HangUp], 2, "Done.").await;
}

#[tokio::test]
async fn a_silent_model_is_given_up_and_asked_again() {
    recovers([Behaviour::Silence], 1, "Done.").await;
}

#[tokio::test]
async fn a_dripping_reply_is_given_up_and_asked_again() {
    recovers([Behaviour::Drip(Duration::from_millis(100))], 1, "Done.").await;
}

#[tokio::test]
async fn sessions_wait_for_a_model_that_goes_away_and_comes_back() {
    let model = FakeModel::start().await.unwrap();
    let address = model.address();
    let mut app = TestApp::new().model(&model);
    app.runner.patience = Duration::from_mins(2);
    let server = app.start().await;
    drop(model);
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(server.create(json!({})).await);
    }
    // More tries than would fail a session whose model is there and answers badly.
    for id in &sessions {
        server.until_count(id, TROUBLE, 4).await;
    }
    let _model = FakeModel::start_at(address).await.unwrap();
    for id in &sessions {
        server.until(id, "completed").await;
        assert_eq!(answer(&server, id).await, "Done.");
    }
}

#[tokio::test]
async fn a_model_that_never_recovers_fails_the_session() {
    for behaviour in
        [Behaviour::status(500), Behaviour::busy(0), Behaviour::html(), Behaviour::CutOff, Behaviour::Silence]
    {
        fails(behaviour, 3).await;
    }
}

#[tokio::test]
async fn a_reply_of_twenty_megabytes_fails_the_session() {
    let (model, server) = start([]).await;
    model.otherwise(Behaviour::Bytes(20 << 20));
    let id = server.create(json!({})).await;
    let status = server.until(&id, "failed").await;
    assert_eq!(status["error_code"], "internal");
    assert_eq!(server.words(&id).await.last().unwrap(), "AgentError");
    assert!(serde_json::to_string(&server.events(&id).await).unwrap().len() < 100_000, "none of it is kept");
}

#[tokio::test]
async fn a_refusal_for_good_is_not_tried_again() {
    let (model, server) = start([]).await;
    model.otherwise(Behaviour::status(401));
    let id = server.create(json!({})).await;
    server.until(&id, "failed").await;
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn the_owner_reads_the_hosts_words_and_others_do_not() {
    let (model, server) = start([]).await;
    let said = json!({"error": {"message": "CANARY-REASON"}}).to_string();
    model.otherwise(Behaviour::Status(401, Vec::new(), said));
    let id = server.create(json!({})).await;
    server.until(&id, "failed").await;
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/share"), json!({})).await.status, 200);
    for path in ["", "/status", "/changes", "/events"] {
        let path = format!("/api/v2/sessions/{id}{path}");
        let (own, others) = (server.get(&path).await, server.send(server.anonymous(Method::GET, &path)).await);
        assert_eq!((own.status, others.status), (200, 200), "{path}");
        assert!(own.text.contains("answered 401 (the key is missing or wrong): CANARY-REASON"), "{path}: {own:?}");
        assert!(!others.text.contains("CANARY") && !others.text.contains("answered 401"), "{path}: {others:?}");
    }
}

#[tokio::test]
async fn what_a_host_wants_back_is_shown_to_nobody() {
    let call =
        json!({"id": "a", "function": {"name": "spare", "arguments": "{}"}, "extra_content": {"s": "CANARY-SIGN"}});
    let reply =
        json!({"content": null, "reasoning_content": "I think.", "secret": "CANARY-MEMBER", "tool_calls": [call]});
    let (model, server) = start([Behaviour::Message(reply)]).await;
    let id = server.create(json!({})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let result = result_of(&status["pending_tool_calls"][0]);
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/tool_results"), result).await.status, 202);
    server.until(&id, "completed").await;
    let message = &model.requests()[1].body["messages"][2];
    assert_eq!((&message["secret"], &message["reasoning_content"]), (&json!("CANARY-MEMBER"), &json!("I think.")));
    assert_eq!(message["tool_calls"][0]["extra_content"]["s"], "CANARY-SIGN");
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/share"), json!({})).await.status, 200);
    for path in ["", "/status", "/changes", "/events"] {
        let path = format!("/api/v2/sessions/{id}{path}");
        for seen in [server.get(&path).await, server.send(server.anonymous(Method::GET, &path)).await] {
            assert!(!seen.text.contains("CANARY") && !seen.text.contains("host_members"), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn a_cancel_lets_go_of_the_model() {
    let (model, server) = start([Behaviour::Silence]).await;
    let id = server.create(json!({})).await;
    model.wait_for_requests(1).await;
    assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
    let abandoned = model.wait_for_abandoned(1);
    tokio::time::timeout(Duration::from_millis(900), abandoned).await.expect("before the reply's own time is over");
    assert_eq!(server.status(&id).await["status"], "interrupted");
}

#[tokio::test]
async fn a_forced_answer_offers_nothing_else() {
    let (model, server) = start([Behaviour::Silence, Behaviour::text("so far")]).await;
    let id = server.create(json!({"agent": with_tools(&["ask"])})).await;
    model.wait_for_requests(1).await;
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/force_answer"), json!({})).await.status, 202);
    server.until(&id, "completed").await;
    let tools = model.requests()[1].body["tools"].clone();
    let names: Vec<&Value> = tools.as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["answer"]);
}

#[tokio::test]
async fn the_last_step_allowed_is_an_answer() {
    let (model, server) = start([Behaviour::call("ask", json!({}))]).await;
    let id = server.create(json!({"agent": with_tools(&["ask"]), "max_steps": 1})).await;
    let status = server.until(&id, "awaiting_tool_results").await;
    let result = result_of(&status["pending_tool_calls"][0]);
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/tool_results"), result).await.status, 202);
    server.until(&id, "completed").await;
    assert_eq!(model.requests()[1].body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(server.count(&id, "flow_event force_answer server").await, 1);
}

/// The session gets over these and is answered; each failure is in the log.
async fn recovers(behaviours: impl IntoIterator<Item = Behaviour>, troubles: usize, expected: &str) {
    let (_model, server) = start(behaviours).await;
    let id = server.create(json!({})).await;
    server.until(&id, "completed").await;
    assert_eq!(answer(&server, &id).await, expected);
    assert_eq!(server.count(&id, TROUBLE).await, troubles);
}

/// The session fails with a clear error, once patience is out.
async fn fails(behaviour: Behaviour, troubles: usize) {
    let shown = format!("{behaviour:?}");
    let (model, server) = start([]).await;
    model.otherwise(behaviour);
    let id = server.create(json!({})).await;
    let status = server.until(&id, "failed").await;
    assert_eq!(status["error_code"], "internal", "{shown}");
    assert!(status["error"].is_string(), "{shown}");
    assert_eq!(server.count(&id, TROUBLE).await, troubles, "{shown}");
    let events = server.events(&id).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "AgentErrorEvent", "{shown}");
    assert!(last["data"]["info"]["cause"].as_str().unwrap().contains("3 times in a row"), "{last}");
}

async fn start(behaviours: impl IntoIterator<Item = Behaviour>) -> (FakeModel, Server) {
    let model = FakeModel::start().await.unwrap();
    for behaviour in behaviours {
        model.then(behaviour);
    }
    let server = TestApp::new().model(&model).start().await;
    (model, server)
}

async fn answer(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v2/sessions/{id}")).await.json()["latest_answer"].clone()
}
