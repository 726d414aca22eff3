//! A suite with a scenario, a fault, a clock and a recording, as somebody would write it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use quarterdeck_test::Quarterdeck;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const SCENARIOS: &str = include_str!("shop.scenario.yaml");

/// Stands in for the code under test.
struct Shopper<'a> {
    quarterdeck: &'a Quarterdeck,
    http: Client,
}

impl<'a> Shopper<'a> {
    #[expect(clippy::disallowed_methods, reason = "a client of a test's own server has nobody to be guarded from")]
    fn of(quarterdeck: &'a Quarterdeck) -> Self {
        // For the client's sake; nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { quarterdeck, http: Client::builder().no_proxy().build().unwrap() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.quarterdeck.url()));
        let request = request.bearer_auth(self.quarterdeck.api_key());
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn ask(&self, message: &str) -> String {
        let tools = json!([{"name": "ask_owner", "description": "Asks the owner."}]);
        let agent = json!({"name": "shopper", "description": "Finds prices.", "environments": [], "tools": tools});
        let body = json!({"agent": agent, "messages": message});
        let (status, session) = self.call(Method::POST, "/api/v2/sessions", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{session}");
        session["id"].as_str().unwrap().to_owned()
    }

    /// The session once it has ended.
    async fn end(&self, id: &str) -> Value {
        let mut from = 0;
        loop {
            let path = format!("/api/v2/sessions/{id}/changes?from_index={from}&wait_for_seconds=5");
            let (_, changes) = self.call(Method::GET, &path, None).await;
            from += changes["new_events"].as_array().map_or(0, Vec::len);
            if ["completed", "failed", "timed_out"].iter().any(|end| changes["status"] == *end) {
                return self.call(Method::GET, &format!("/api/v2/sessions/{id}"), None).await.1;
            }
        }
    }
}

#[tokio::test]
async fn the_price_is_found_and_everything_was_played() {
    let quarterdeck = Quarterdeck::start().await.unwrap();
    quarterdeck.scenarios(SCENARIOS).unwrap();
    let shopper = Shopper::of(&quarterdeck);
    let session = shopper.end(&shopper.ask("price of milk").await).await;
    assert_eq!(session["latest_answer"], r#"{"shop":"milk","price":3}"#);
    assert_eq!(quarterdeck.failures().await.unwrap(), Vec::<String>::new());
    quarterdeck.stop().await;
}

#[tokio::test]
async fn two_hours_pass_at_once() {
    let quarterdeck = Quarterdeck::start().await.unwrap();
    quarterdeck.scenarios(SCENARIOS).unwrap();
    let shopper = Shopper::of(&quarterdeck);
    let id = shopper.ask("Take your time.").await;
    let journey = quarterdeck.advance(Duration::from_hours(2)).await.unwrap();
    assert_eq!(journey.fired.len(), 1);
    assert_eq!(shopper.end(&id).await["latest_answer"], "At last.");
    quarterdeck.stop().await;
}

#[tokio::test]
async fn a_fault_strikes_as_often_as_it_was_asked_to() {
    let quarterdeck = Quarterdeck::start().await.unwrap();
    quarterdeck.scenarios(SCENARIOS).unwrap();
    let shopper = Shopper::of(&quarterdeck);
    let fault = json!({"on": "list_sessions", "times": 1, "status": 503});
    shopper.call(Method::POST, "/_test/v1/faults", Some(fault)).await;
    assert_eq!(shopper.call(Method::GET, "/api/v2/sessions", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shopper.call(Method::GET, "/api/v2/sessions", None).await.0, StatusCode::OK);
    quarterdeck.stop().await;
}

#[tokio::test]
async fn a_recording_is_played_on_another_server() {
    let quarterdeck = Quarterdeck::start().await.unwrap();
    quarterdeck.scenarios(SCENARIOS).unwrap();
    let shopper = Shopper::of(&quarterdeck);
    let id = shopper.ask("price of milk").await;
    let first = shopper.end(&id).await;
    let recording = quarterdeck.recording(id.parse().unwrap()).await.unwrap();
    quarterdeck.stop().await;

    let other = Quarterdeck::start().await.unwrap();
    other.play(&recording.text(), quarterdeck_test::Timing::None).unwrap();
    let shopper = Shopper::of(&other);
    let again = shopper.end(&shopper.ask("price of milk").await).await;
    assert_eq!(again["latest_answer"], first["latest_answer"]);
    let unknown = shopper.end(&shopper.ask("price of tea").await).await;
    assert_eq!(unknown["status"]["status"], "failed", "nothing else is recorded");
    other.stop().await;
}

#[tokio::test]
async fn the_same_requests_give_the_same_bytes() {
    let mut logs = Vec::new();
    for _ in 0..2 {
        let builder = Quarterdeck::builder().frozen_at("2026-01-01T00:00:00Z".parse().unwrap()).seed(7);
        let quarterdeck = builder.start().await.unwrap();
        quarterdeck.scenarios(SCENARIOS).unwrap();
        let shopper = Shopper::of(&quarterdeck);
        let mut log = String::new();
        for message in ["price of milk", "price of tea"] {
            let id = shopper.ask(message).await;
            shopper.end(&id).await;
            log +=
                &shopper.call(Method::GET, &format!("/api/v2/sessions/{id}/events?size=100"), None).await.1.to_string();
        }
        quarterdeck.stop().await;
        logs.push(log);
    }
    assert_eq!(logs[0], logs[1]);
    assert!(logs[0].contains("2026-01-01T00:00:00Z"), "{}", logs[0]);
}
