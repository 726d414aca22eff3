//! A server of its own for each test, and a client that knows its key.

use quarterdeck_agent::{EndpointClient, EndpointSettings, ModelClient, ModelRunner, RunnerSettings, ScriptedModel};
use quarterdeck_engine::{Clock, Engine, EngineSettings, SystemClock};
use quarterdeck_server::{App, ListenerSettings, Metrics, ServerSettings, key_hash, router};
use quarterdeck_store::{Blobs, NewKey, Store};
use quarterdeck_test_support::{
    fake_model::FakeModel,
    postgres::{self, Database},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Builds a [`Server`].
pub(crate) struct TestApp {
    model: Arc<dyn ModelClient>,
    database: Option<Database>,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) engine: EngineSettings,
    pub(crate) server: ServerSettings,
    pub(crate) listener: ListenerSettings,
    pub(crate) runner: RunnerSettings,
}

impl TestApp {
    /// A server on an empty store in memory, with the scripted model.
    pub(crate) fn new() -> Self {
        Self {
            model: Arc::new(ScriptedModel::new()),
            database: None,
            blobs: Blobs::in_memory(),
            metrics: None,
            engine: EngineSettings { drain_grace: Duration::from_millis(100), ..EngineSettings::default() },
            server: ServerSettings::default(),
            listener: ListenerSettings { drain_grace: Duration::from_secs(2), ..ListenerSettings::default() },
            runner: RunnerSettings {
                failures_max: 3,
                patience: Duration::ZERO,
                backoff_base: Duration::from_millis(1),
                retry_after_max: Duration::from_millis(50),
                ..RunnerSettings::default()
            },
        }
    }

    /// Asks the model at this endpoint, which is given a second for each reply.
    pub(crate) fn model(mut self, model: &FakeModel) -> Self {
        install_tls();
        let settings =
            EndpointSettings { reply_timeout: Duration::from_secs(1), ..EndpointSettings::new(model.base_url()) };
        self.model = Arc::new(EndpointClient::new(settings).unwrap());
        self
    }

    /// Driven by this model.
    pub(crate) fn driven_by(mut self, model: Arc<dyn ModelClient>) -> Self {
        self.model = model;
        self
    }

    /// On a fresh Postgres database.
    pub(crate) async fn on_postgres(mut self) -> Self {
        self.database = Some(tokio::task::spawn_blocking(postgres::shared).await.unwrap().unwrap());
        self
    }

    pub(crate) async fn start(self) -> Server {
        install_tls();
        let url = self.database.as_ref().map_or("sqlite::memory:", Database::url);
        let store = quarterdeck_store::open(url).await.unwrap();
        let runner = Arc::new(ModelRunner::with_settings(self.model, self.runner));
        let clock = Arc::new(SystemClock);
        let engine = Engine::start(Arc::clone(&store), self.blobs, runner, clock, self.engine).await.unwrap();
        let app = App::new(engine.sessions(), Arc::clone(&store), self.server);
        let app = match self.metrics {
            Some(metrics) => app.with_metrics(metrics),
            None => app,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = engine.draining();
        let serving = tokio::spawn(quarterdeck_server::serve(listener, router(app), self.listener, shutdown.clone()));
        let key = new_key(&*store, "acme").await;
        Server { address, http: client(), key, store, engine, shutdown, serving, _database: self.database }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<dyn Store>,
    http: reqwest::Client,
    key: String,
    engine: Engine,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    _database: Option<Database>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Server {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// A request with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.key)
    }

    pub(crate) fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time").unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    /// Another organization's key.
    pub(crate) async fn other_organizations_key(&self) -> String {
        new_key(&*self.store, "others").await
    }

    /// Creates a session with these fields of the request; returns its id.
    pub(crate) async fn create(&self, fields: Value) -> String {
        let created = self.post("/api/v2/sessions", request(fields)).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self, id: &str) -> Value {
        self.get(&format!("/api/v2/sessions/{id}/status")).await.json()
    }

    /// Waits, by long poll, until the session has this status.
    pub(crate) async fn until(&self, id: &str, wanted: &str) -> Value {
        self.until_it_is(id, |status| status == wanted).await
    }

    /// Waits, by long poll, until the session has ended or waits for its client.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        self.until_it_is(id, |status| !["queued", "pending", "running"].contains(&status)).await
    }

    async fn until_it_is(&self, id: &str, is_wanted: impl Fn(&str) -> bool) -> Value {
        let mut from = 0;
        let reached = async {
            loop {
                let status = self.status(id).await;
                if status["status"].as_str().is_some_and(&is_wanted) {
                    return status;
                }
                let poll = format!("/api/v2/sessions/{id}/changes?from_index={from}&wait_for_seconds=10");
                let changes = self.get(&poll).await;
                if changes.status == 200 {
                    from += changes.json()["new_events"].as_array().unwrap().len();
                }
            }
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(status) => status,
            Err(late) => panic!("{late}: {} {:#?}", self.status(id).await, self.words(id).await),
        }
    }

    pub(crate) async fn events(&self, id: &str) -> Vec<Value> {
        let changes = self.get(&format!("/api/v2/sessions/{id}/changes")).await;
        changes.json()["new_events"].as_array().unwrap().clone()
    }

    /// The log, a word or two an event.
    pub(crate) async fn words(&self, id: &str) -> Vec<String> {
        self.events(id).await.iter().map(word).collect()
    }

    /// How many events read like this.
    pub(crate) async fn count(&self, id: &str, wanted: &str) -> usize {
        self.words(id).await.iter().filter(|word| *word == wanted).count()
    }

    /// Waits until so many events read like this.
    pub(crate) async fn until_count(&self, id: &str, wanted: &str, count: usize) {
        let reached = async {
            let mut from = 0;
            let mut seen = 0;
            while seen < count {
                let poll = format!("/api/v2/sessions/{id}/changes?from_index={from}&wait_for_seconds=10");
                let changes = self.get(&poll).await;
                if changes.status == 200 {
                    let changes = changes.json();
                    let events = changes["new_events"].as_array().unwrap();
                    from += events.len();
                    seen += events.iter().filter(|event| word(event) == wanted).count();
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    }

    /// Stops as the binary does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let stopped = async {
            self.serving.await.unwrap();
            self.engine.stop().await;
            self.store.close().await;
        };
        tokio::time::timeout(PATIENCE, stopped).await.expect("the server stops in time");
    }
}

/// A request with an inline agent that has a tool to spare, the task `Go`, and these fields.
pub(crate) fn request(fields: Value) -> Value {
    let mut request = json!({"agent": with_tools(&["spare"]), "messages": "Go"});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().unwrap().extend(fields);
    request
}

/// An agent whose client runs these tools.
pub(crate) fn with_tools(tools: &[&str]) -> Value {
    let tools: Vec<Value> = tools
        .iter()
        .map(|name| json!({"name": name, "description": "A tool.", "input_schema": {"type": "object"}}))
        .collect();
    json!({"name": "tester", "description": "Tests things.", "environments": [], "tools": tools})
}

/// The result of a call, as a client posts it.
pub(crate) fn result_of(call: &Value) -> Value {
    json!({"kind": "tool_result", "tool_req": call, "result": "done"})
}

fn word(event: &Value) -> String {
    let data = &event["data"];
    let name = data["kind"].as_str().or(event["type"].as_str()).unwrap().trim_end_matches("Event");
    let details = ["state", "status", "reason", "flow", "origin", "answer"].map(|field| data[field].as_str());
    [Some(name)].into_iter().chain(details).flatten().collect::<Vec<_>>().join(" ")
}

async fn new_key(store: &dyn Store, organization: &str) -> String {
    let clock = SystemClock;
    let key = format!("hk-{}", clock.id().simple());
    let new = NewKey {
        ids: [clock.id(), clock.id(), clock.id()],
        organization: organization.into(),
        user: "ann".into(),
        hash: key_hash(key.as_bytes()),
        prefix: "hk-".into(),
        created_at: clock.now(),
    };
    store.create_key(new).await.unwrap();
    key
}

#[expect(clippy::disallowed_methods, reason = "it asks nothing but the server in this process")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

pub(crate) fn install_tls() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
