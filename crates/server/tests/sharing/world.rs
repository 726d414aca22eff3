//! A whole server in memory, called without a socket, with two organizations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use quarterdeck_agent::{ModelRunner, ScriptedModel};
use quarterdeck_engine::{Clock, Engine, EngineSettings, SystemClock};
use quarterdeck_server::{App, ServerSettings, key_hash, router};
use quarterdeck_store::{Blobs, NewKey, Rated, Rating, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

/// A key of the organization that owns the sessions.
pub(crate) const OWNER: Option<&str> = Some("hk-owner");
/// A key of another organization.
pub(crate) const OTHER_ORGANIZATION: Option<&str> = Some("hk-other-organization");
/// No key.
pub(crate) const NOBODY: Option<&str> = None;

pub(crate) struct World {
    router: Router,
    engine: Engine,
    store: Arc<dyn Store>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = quarterdeck_store::open("sqlite::memory:").await.unwrap();
        for key in [OWNER, OTHER_ORGANIZATION].into_iter().flatten() {
            store.create_key(new_key(key)).await.unwrap();
        }
        let runner = Arc::new(ModelRunner::new(Arc::new(ScriptedModel::new())));
        let (blobs, clock) = (Blobs::in_memory(), Arc::new(SystemClock));
        let engine = Engine::start(Arc::clone(&store), blobs, runner, clock, EngineSettings::default()).await.unwrap();
        let app = App::new(engine.sessions(), Arc::clone(&store), ServerSettings::default());
        Self { router: Router::new().fallback_service(router(app)), engine, store }
    }

    pub(crate) async fn stop(self) {
        self.engine.stop().await;
        self.store.close().await;
    }

    pub(crate) async fn call(&self, key: Option<&str>, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, key: Option<&str>, path: &str) -> Answer {
        self.call(key, "GET", path, None).await
    }

    /// A session of the owner's, once it has answered; its path.
    pub(crate) async fn session(&self, messages: Value) -> String {
        let body = json!({"agent": "h/web-surfer-flash", "idle_timeout_s": 600, "messages": messages});
        let created = self.call(OWNER, "POST", "/api/v2/sessions", Some(body)).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.json());
        let path = format!("/api/v2/sessions/{}", created.json()["id"].as_str().unwrap());
        self.until(&path, "idle").await;
        path
    }

    /// Waits for a status.
    pub(crate) async fn until(&self, path: &str, status: &str) {
        let mut from = 0;
        loop {
            let changes = self.get(OWNER, &format!("{path}/changes?from_index={from}&wait_for_seconds=20")).await;
            assert_eq!(changes.status, StatusCode::OK);
            let changes = changes.json();
            from += changes["new_events"].as_array().unwrap().len();
            if changes["status"] == status {
                return;
            }
        }
    }

    /// The link of a session that is shared now.
    pub(crate) async fn share(&self, path: &str) -> String {
        let shared = self.call(OWNER, "POST", &format!("{path}/share"), None).await;
        assert_eq!(shared.status, StatusCode::OK);
        shared.json()["share_url"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn unshare(&self, path: &str) {
        let done = self.call(OWNER, "DELETE", &format!("{path}/share"), None).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT);
    }

    pub(crate) async fn rating(&self, path: &str, index: Option<u64>) -> Option<Rating> {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        let rated = index.map_or(Rated::Session(id), |index| Rated::Event(id, index));
        self.store.rating(rated).await.unwrap()
    }

    /// The addresses of the files in a session's log.
    pub(crate) async fn attachments(&self, path: &str) -> Vec<Value> {
        let events = self.get(OWNER, &format!("{path}/events?type=AttachmentEvent")).await.json();
        events["items"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
    }
}

fn new_key(key: &str) -> NewKey {
    let clock = SystemClock;
    NewKey {
        ids: [clock.id(), clock.id(), clock.id()],
        organization: key.to_owned(),
        user: "ann".into(),
        hash: key_hash(key.as_bytes()),
        prefix: key.chars().take(5).collect(),
        created_at: clock.now(),
    }
}
