//! How soon a cancel and a pause take effect while something is in flight.

use crate::app::{Server, TestApp};
use async_trait::async_trait;
use quarterdeck_agent::{ChatReply, ChatRequest, ModelClient, ModelError, ScriptedModel};
use quarterdeck_api::{Environment as Spec, EnvironmentKind, JsonObject};
use quarterdeck_environments::{CallError, Environment, OpenContext, OpenError, Output, Provider, Refused, Tool};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Times that each is done.
const ROUNDS: u64 = 100;
/// Far above what it takes, for machines that do other things as well.
const BOUND: Duration = Duration::from_secs(2);

on_both_engines![
    a_cancel_drops_a_model_call_at_once,
    a_pause_drops_a_model_call_at_once,
    a_cancel_drops_a_tool_at_once,
    a_pause_does_not_wait_for_a_tool,
];

async fn a_cancel_drops_a_model_call_at_once(app: TestApp) {
    let flights = Arc::new(Flights::default());
    let server = app.driven_by(Arc::new(SlowModel(Arc::clone(&flights)))).start().await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let id = in_flight(&server, &flights, round).await;
        let begun = Instant::now();
        assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
        flights.until_dropped(round).await;
        times.push(begun.elapsed());
        assert_eq!(server.status(&id).await["status"], "interrupted");
    }
    report("cancel, model call in flight", times);
    server.stop().await;
}

async fn a_pause_drops_a_model_call_at_once(app: TestApp) {
    let flights = Arc::new(Flights::default());
    let server = app.driven_by(Arc::new(SlowModel(Arc::clone(&flights)))).start().await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let id = in_flight(&server, &flights, round).await;
        let begun = Instant::now();
        pause(&server, &id).await;
        flights.until_dropped(round).await;
        times.push(begun.elapsed());
        assert_eq!(server.status(&id).await["status"], "paused");
        assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
    }
    report("pause, model call in flight", times);
    server.stop().await;
}

async fn a_cancel_drops_a_tool_at_once(mut app: TestApp) {
    let flights = Arc::new(Flights::default());
    app.engine.environments = Arc::new(SlowTools(Arc::clone(&flights)));
    let server = app.driven_by(Arc::new(ScriptedModel::new())).start().await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let id = in_flight(&server, &flights, round).await;
        let begun = Instant::now();
        assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
        flights.until_dropped(round).await;
        times.push(begun.elapsed());
        assert_eq!(server.status(&id).await["status"], "interrupted");
        assert_eq!(server.count(&id, "error_event server").await, 1, "the call is settled");
    }
    report("cancel, tool in flight", times);
    server.stop().await;
}

/// The call goes on: it may have had its effect already.
async fn a_pause_does_not_wait_for_a_tool(mut app: TestApp) {
    let flights = Arc::new(Flights::default());
    app.engine.environments = Arc::new(SlowTools(Arc::clone(&flights)));
    let server = app.driven_by(Arc::new(ScriptedModel::new())).start().await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let id = in_flight(&server, &flights, round).await;
        let length = server.events(&id).await.len();
        let poll = format!("/api/v2/sessions/{id}/changes?from_index={length}&wait_for_seconds=20");
        let begun = Instant::now();
        let (told, ()) = tokio::join!(server.get(&poll), pause(&server, &id));
        times.push(begun.elapsed());
        assert_eq!(told.json()["status"], "paused");
        assert_eq!(flights.dropped(), round - 1, "the call goes on");
        assert_eq!(server.delete(&format!("/api/v2/sessions/{id}")).await.status, 204);
        flights.until_dropped(round).await;
    }
    report("pause, tool in flight", times);
    server.stop().await;
}

/// A session for which something is under way, the `round`th of its kind.
async fn in_flight(server: &Server, flights: &Flights, round: u64) -> String {
    let memory = json!({"kind": "memory", "id": "m", "namespace": "n"});
    let agent = json!({"name": "tester", "description": "Tests things.", "environments": [memory]});
    let id = server.create(json!({"agent": agent, "messages": "@call slow\n@answer late"})).await;
    flights.until_begun(round).await;
    id
}

async fn pause(server: &Server, id: &str) {
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/pause"), json!(null)).await.status, 202);
}

#[expect(clippy::print_stdout, reason = "how long it took is worth reading, also when it was short")]
fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let part = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100) - 1];
    let [median, nearly_worst, worst] = [50, 99, 100].map(part);
    println!("{what}: p50 {median:.1?}, p99 {nearly_worst:.1?}, worst {worst:.1?} of {}", times.len());
    assert!(worst < BOUND, "{what}: {worst:?}");
}

/// What was begun and what was given up.
#[derive(Debug, Default)]
struct Flights {
    begun: watch::Sender<u64>,
    dropped: watch::Sender<u64>,
}

impl Flights {
    /// Never lands.
    async fn fly(&self) {
        let _flight = Flight(self);
        self.begun.send_modify(|count| *count += 1);
        std::future::pending::<()>().await;
    }

    fn dropped(&self) -> u64 {
        *self.dropped.borrow()
    }

    async fn until_begun(&self, count: u64) {
        reached(&self.begun, count, "begun").await;
    }

    async fn until_dropped(&self, count: u64) {
        reached(&self.dropped, count, "dropped").await;
    }
}

async fn reached(counter: &watch::Sender<u64>, count: u64, what: &str) {
    let mut counter = counter.subscribe();
    let reached = counter.wait_for(|now| *now >= count);
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(in_time.is_ok(), "{what} in time, {count} of them");
}

struct Flight<'a>(&'a Flights);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|count| *count += 1);
    }
}

/// Thinks for ever.
struct SlowModel(Arc<Flights>);

#[async_trait]
impl ModelClient for SlowModel {
    async fn complete(&self, _: &ChatRequest) -> Result<ChatReply, ModelError> {
        self.0.fly().await;
        Err(ModelError::fatal("it never comes to this"))
    }
}

/// Its environments have a tool that never returns.
#[derive(Debug)]
struct SlowTools(Arc<Flights>);

#[async_trait]
impl Provider for SlowTools {
    fn check(&self, _: &Spec) -> Result<(), Refused> {
        Ok(())
    }

    async fn open(&self, _: &Spec, _: &OpenContext) -> Result<Box<dyn Environment>, OpenError> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl Environment for SlowTools {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Memory
    }

    async fn tools(&self) -> Vec<Tool> {
        vec![Tool { name: "slow".into(), description: "Never returns.".into(), input_schema: JsonObject::new() }]
    }

    async fn call(&self, _: &str, _: &JsonObject) -> Result<Output, CallError> {
        self.0.fly().await;
        Ok(Output::default())
    }
}
