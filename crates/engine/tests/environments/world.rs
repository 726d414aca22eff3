//! An engine that runs scripts, over a fake provider of environments.

use crate::fake::FakeProvider;
use quarterdeck_agent::{ModelRunner, ScriptedModel};
use quarterdeck_api::{OrganizationId, SessionId, SessionRequest, Status, UserId, UserMessage};
use quarterdeck_core::{Command, LoggedEvent, Session};
use quarterdeck_engine::{
    ChangesQuery, CreateError, Created, Engine, EngineSettings, Preparation, Sessions, SystemClock,
};
use quarterdeck_store::{Blobs, Caller, Store};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: Engine,
    pub(crate) provider: Arc<FakeProvider>,
    pub(crate) sessions: Sessions,
}

impl World {
    pub(crate) async fn new(provider: Arc<FakeProvider>) -> Self {
        Self::over(open().await, provider).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, provider: Arc<FakeProvider>) -> Self {
        Self::parking(store, provider, Duration::from_mins(10)).await
    }

    /// One whose environments stay parked for so long.
    pub(crate) async fn parking(store: Arc<dyn Store>, provider: Arc<FakeProvider>, parking_ttl: Duration) -> Self {
        let settings = EngineSettings {
            parking_ttl,
            poll_interval: Duration::from_millis(50),
            drain_grace: Duration::from_millis(100),
            environments: provider.clone(),
            ..EngineSettings::default()
        };
        let runner = Arc::new(ModelRunner::new(Arc::new(ScriptedModel::new())));
        let clock = Arc::new(SystemClock);
        let engine = Engine::start(Arc::clone(&store), Blobs::in_memory(), runner, clock, settings).await.unwrap();
        Self { store, sessions: engine.sessions(), engine, provider }
    }

    pub(crate) async fn create(&self, script: &str, fields: Value) -> SessionId {
        self.try_create(script, fields).await.unwrap()
    }

    /// A session whose agent has one environment.
    pub(crate) async fn try_create(&self, script: &str, fields: Value) -> Result<SessionId, CreateError> {
        let memory = json!({"kind": "memory", "id": "m", "namespace": "n"});
        let agent = json!({"name": "tester", "description": "Tests things.", "environments": [memory]});
        let mut request = json!({"agent": agent, "messages": script, "queue": true});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let request: SessionRequest = serde_json::from_value(request).unwrap();
        let Preparation::New(prepared) = self.sessions.prepare(caller(), request, None).await? else {
            panic!("no key was used")
        };
        match self.sessions.admit(*prepared, None).await? {
            Created::New(record) => Ok(record.session.id),
            Created::Replayed(_) => panic!("no key was used"),
        }
    }

    pub(crate) async fn submit(&self, id: SessionId, command: Command) {
        self.sessions.submit(caller(), id, command).await.unwrap();
    }

    pub(crate) async fn say(&self, id: SessionId, text: &str) {
        self.submit(id, Command::Message(vec![UserMessage::text(text)])).await;
    }

    pub(crate) async fn session(&self, id: SessionId) -> Arc<Session> {
        self.sessions.session(Some(caller()), id).await.unwrap()
    }

    pub(crate) async fn until(&self, id: SessionId, status: Status) -> Arc<Session> {
        self.until_that(id, |session| session.state.status() == status).await
    }

    /// Waits, by long poll, until the session is as wanted.
    pub(crate) async fn until_that(&self, id: SessionId, wanted: impl Fn(&Session) -> bool) -> Arc<Session> {
        let reached = async {
            loop {
                let session = self.session(id).await;
                if wanted(&session) {
                    return session;
                }
                let query =
                    ChangesQuery { from: session.log_length, limit: None, include_events: true, wait: PATIENCE };
                self.sessions.changes(Some(caller()), id, query).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(session) => session,
            Err(late) => panic!("{late}: {:?} {:?}", self.session(id).await, self.words(id).await),
        }
    }

    async fn log(&self, id: SessionId) -> Vec<LoggedEvent> {
        self.store.events(id, 0, 100_000).await.unwrap()
    }

    /// The addresses of the pictures in the log.
    pub(crate) async fn pictures(&self, id: SessionId) -> Vec<String> {
        let source = |event: &LoggedEvent| {
            let json: Value = serde_json::from_str(event.json.get()).unwrap();
            json["data"]["image"]["source"].as_str().map(str::to_owned)
        };
        self.log(id).await.iter().filter_map(source).collect()
    }

    /// How many events of this type the log holds.
    pub(crate) async fn count(&self, id: SessionId, type_name: &str) -> usize {
        self.log(id).await.iter().filter(|event| &*event.type_name == type_name).count()
    }

    pub(crate) async fn log_text(&self, id: SessionId) -> String {
        self.log(id).await.iter().map(|event| event.json.get()).collect()
    }

    /// The log: the kind of each event, with the tool's name.
    pub(crate) async fn words(&self, id: SessionId) -> Vec<String> {
        let word = |event: &LoggedEvent| {
            let json: Value = serde_json::from_str(event.json.get()).unwrap();
            let kind = json["data"]["kind"].as_str().unwrap_or(&event.type_name).to_owned();
            let tool = json["data"]["tool_req"]["tool_name"].as_str().map(str::to_owned);
            [Some(kind), tool].into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        self.log(id).await.iter().map(word).collect()
    }
}

pub(crate) async fn open() -> Arc<dyn Store> {
    quarterdeck_store::open("sqlite::memory:").await.unwrap()
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

pub(crate) fn caller() -> Caller {
    Caller { organization: OrganizationId(Uuid::from_u128(1)), user: UserId(Uuid::from_u128(2)) }
}

/// Somebody of another organization.
pub(crate) fn other_caller() -> Caller {
    Caller { organization: OrganizationId(Uuid::from_u128(3)), user: UserId(Uuid::from_u128(4)) }
}
