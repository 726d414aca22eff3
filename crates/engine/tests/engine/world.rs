//! An engine over a store, and what a test asks of it.

use crate::runner::FakeRunner;
use quarterdeck_api::{OrganizationId, SessionId, SessionRequest, Status, UserId, UserMessage};
use quarterdeck_core::{Command, LoggedEvent, Session};
use quarterdeck_engine::{
    ChangesQuery, CreateError, Created, Engine, EngineSettings, Preparation, Sessions, SubmitError, SystemClock,
};
use quarterdeck_store::{Blobs, Caller, Limits, Store, StoredSession};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runner: Arc<FakeRunner>,
    pub(crate) engine: Engine,
    pub(crate) sessions: Sessions,
}

impl World {
    /// Over an empty store in memory.
    pub(crate) async fn new(runner: Arc<FakeRunner>) -> Self {
        Self::with(runner, quick()).await
    }

    pub(crate) async fn with(runner: Arc<FakeRunner>, settings: EngineSettings) -> Self {
        Self::over(open("sqlite::memory:").await, runner, settings).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, runner: Arc<FakeRunner>, settings: EngineSettings) -> Self {
        let (clock, drives) = (Arc::new(SystemClock), Arc::clone(&runner));
        let engine = Engine::start(Arc::clone(&store), Blobs::in_memory(), drives, clock, settings).await.unwrap();
        let sessions = engine.sessions();
        Self { store, runner, engine, sessions }
    }

    /// A session with the task `Go`, and these fields of the request.
    pub(crate) async fn create(&self, fields: Value) -> SessionId {
        match self.try_create(fields).await {
            Ok(Created::New(record)) => record.session.id,
            Ok(Created::Replayed(_)) => panic!("no key was used"),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn try_create(&self, fields: Value) -> Result<Created, CreateError> {
        match self.sessions.prepare(caller(), request(fields), None).await? {
            Preparation::New(prepared) => self.sessions.admit(*prepared, None).await,
            Preparation::Replayed(_) => panic!("no key was used"),
        }
    }

    pub(crate) async fn submit(&self, id: SessionId, command: Command) {
        self.try_submit(id, command).await.unwrap();
    }

    pub(crate) async fn try_submit(&self, id: SessionId, command: Command) -> Result<(), SubmitError> {
        self.sessions.submit(caller(), id, command).await
    }

    pub(crate) async fn session(&self, id: SessionId) -> Arc<Session> {
        self.sessions.session(Some(caller()), id).await.unwrap()
    }

    /// Waits, by long poll, until the session has this status.
    pub(crate) async fn until(&self, id: SessionId, status: Status) -> Arc<Session> {
        self.until_that(id, |session| session.state.status() == status).await
    }

    pub(crate) async fn until_that(&self, id: SessionId, wanted: impl Fn(&Session) -> bool) -> Arc<Session> {
        let reached = async {
            loop {
                let session = self.session(id).await;
                if wanted(&session) {
                    return session;
                }
                let query = waiting(session.log_length, PATIENCE);
                self.sessions.changes(Some(caller()), id, query).await.unwrap();
                // A poll on an ended session does not wait.
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(session) => session,
            Err(late) => panic!("{late}: {:?} {:?}", self.session(id).await, self.words(id).await),
        }
    }

    pub(crate) async fn log(&self, id: SessionId) -> Vec<LoggedEvent> {
        self.store.events(id, 0, 100_000).await.unwrap()
    }

    /// The log, a word or two an event.
    pub(crate) async fn words(&self, id: SessionId) -> Vec<String> {
        self.log(id).await.iter().map(word).collect()
    }

    pub(crate) async fn stored(&self, id: SessionId) -> StoredSession {
        self.store.session(id).await.unwrap().unwrap()
    }
}

/// Settings that let a test be quick.
pub(crate) fn quick() -> EngineSettings {
    EngineSettings {
        limits: Limits { concurrent: 10_000, queued: 100 },
        poll_interval: Duration::from_millis(50),
        drain_grace: Duration::from_millis(100),
        ..EngineSettings::default()
    }
}

pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    quarterdeck_store::open(url).await.unwrap()
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

pub(crate) fn caller() -> Caller {
    Caller { organization: OrganizationId(Uuid::from_u128(1)), user: UserId(Uuid::from_u128(2)) }
}

/// What is new from an index on.
pub(crate) fn waiting(from: u64, wait: Duration) -> ChangesQuery {
    ChangesQuery { from, limit: None, include_events: true, wait }
}

pub(crate) fn say(text: &str) -> Command {
    Command::Message(vec![UserMessage::text(text)])
}

pub(crate) fn request(fields: Value) -> SessionRequest {
    let mut request = json!({
        "agent": {"name": "tester", "description": "Tests things.", "environments": []},
        "messages": "Go",
        "queue": true,
    });
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().unwrap().extend(fields);
    let mut request: SessionRequest = serde_json::from_value(request).unwrap();
    request.explicit_retention.delete_after_min = request.delete_after_min;
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

pub(crate) fn word(event: &LoggedEvent) -> String {
    let json: Value = serde_json::from_str(event.json.get()).unwrap();
    let data = &json["data"];
    let name = data["kind"].as_str().unwrap_or(event.type_name.trim_end_matches("Event"));
    let details = ["state", "status", "reason", "flow", "origin", "answer"].map(|field| data[field].as_str());
    let parts = [Some(name)].into_iter().chain(details).chain([data["content"][0].as_str()]);
    parts.flatten().collect::<Vec<_>>().join(" ")
}
