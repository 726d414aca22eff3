//! An engine whose agents play scripts, and what a test asks of parents and children.

use crate::{
    runner::FakeRunner,
    world::{World, caller, open, quick, say},
};
use chrono::TimeDelta;
use quarterdeck_agent::{ModelRunner, ScriptedModel};
use quarterdeck_api::{SessionId, SessionRequest, Status, Timestamp, ToolResultItem};
use quarterdeck_core::{Command, LoggedEvent, Next};
use quarterdeck_engine::{Clock, Engine, EngineSettings, SystemClock};
use quarterdeck_store::{Blobs, SessionFilter, Store};
use serde_json::{Value, json};
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// A [`World`] of agents that play scripts.
pub(crate) struct Team {
    world: World,
    clock: Arc<ShiftedClock>,
}

impl Deref for Team {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Team {
    pub(crate) async fn new() -> Self {
        Self::with_workers(8).await
    }

    pub(crate) async fn with_workers(workers_max: usize) -> Self {
        Self::over(open("sqlite::memory:").await, workers_max).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, workers_max: usize) -> Self {
        Self::with(store, EngineSettings { workers_max, ..quick() }).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, settings: EngineSettings) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let runner = Arc::new(ModelRunner::new(Arc::new(ScriptedModel::new())));
        let told: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let engine = Engine::start(Arc::clone(&store), Blobs::in_memory(), runner, told, settings).await.unwrap();
        let sessions = engine.sessions();
        Self { world: World { store, runner: FakeRunner::doing([]), engine, sessions }, clock }
    }

    /// Stops it, and returns what it leaves.
    pub(crate) async fn stop(self) -> Arc<dyn Store> {
        let store = Arc::clone(&self.world.store);
        crate::world::in_time(self.world.engine.stop()).await;
        store
    }

    /// A session of this agent with this script, and these fields of the request.
    pub(crate) async fn create(&self, agent: Value, script: &str, mut fields: Value) -> SessionId {
        let own = fields.as_object_mut().unwrap();
        own.insert("agent".into(), agent);
        own.insert("messages".into(), script.into());
        self.world.create(fields).await
    }

    /// Its children, in the order in which they were started, once there are so many.
    pub(crate) async fn children(&self, id: SessionId, count: usize) -> Vec<SessionId> {
        let children = crate::world::in_time(async {
            loop {
                let filter = SessionFilter { parent: Some(id), limit: 100, ..SessionFilter::default() };
                let listed = self.sessions.list(caller(), filter).await.unwrap();
                // Read after the list: a child is on record before it exists.
                let session = self.session(id).await;
                assert!(listed.items.iter().all(|child| session.subagents.contains(&child.session.id)));
                if listed.items.len() == count {
                    return session.subagents.clone();
                }
                tokio::task::yield_now().await;
            }
        });
        children.await
    }

    pub(crate) async fn request(&self, id: SessionId) -> Arc<SessionRequest> {
        self.sessions.record(Some(caller()), id).await.unwrap().request
    }

    pub(crate) async fn say(&self, id: SessionId, text: &str) {
        self.submit(id, say(text)).await;
    }

    /// Answers the one call of the client's that a session waits for.
    pub(crate) async fn settle(&self, id: SessionId) {
        let session = self.until(id, Status::AwaitingToolResults).await;
        let call = session.state.pending_tool_calls()[0].clone();
        let result = ToolResultItem::Result(crate::runner::result_of(call));
        self.submit(id, Command::ToolResults(vec![result])).await;
    }

    /// The results of its calls.
    pub(crate) async fn results(&self, id: SessionId) -> Vec<Value> {
        self.data(id, "tool_result").await.into_iter().map(|data| data["result"].clone()).collect()
    }

    /// What its subagents could not do.
    pub(crate) async fn errors(&self, id: SessionId) -> Vec<String> {
        let errors = self.data(id, "error_event").await;
        errors.into_iter().map(|data| data["error"].as_str().unwrap().to_owned()).collect()
    }

    async fn data(&self, id: SessionId, kind: &str) -> Vec<Value> {
        let data = |event: &LoggedEvent| serde_json::from_str::<Value>(event.json.get()).unwrap()["data"].clone();
        let log = self.log(id).await;
        log.iter().map(data).filter(|data| data["kind"] == kind).collect()
    }

    /// Waits until nobody has anything to do for a session.
    pub(crate) async fn at_rest(&self, id: SessionId) {
        let resting = async {
            loop {
                let stored = self.stored(id).await;
                let idle = stored.session.next(self.clock.now()) == Next::Release;
                if idle && stored.owner.replica.is_none() {
                    return assert_eq!(stored.session.orphans, []);
                }
                tokio::task::yield_now().await;
            }
        };
        crate::world::in_time(resting).await;
    }

    pub(crate) fn pass_time(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.clock.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// The machine's clock, which a test can put forward.
#[derive(Default)]
struct ShiftedClock {
    ahead_ms: AtomicI64,
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn id(&self) -> Uuid {
        SystemClock.id()
    }
}

/// The line of a script that gives `agent` a task; `how` is `@call` or `@and`.
pub(crate) fn delegate(how: &str, agent: &str, task: &str) -> String {
    format!("{how} delegate {}\n", json!({"agent": agent, "task": task}))
}

/// An agent with a tool of the client's, `ask`, and these subagents.
pub(crate) fn agent(name: &str, subagents: &Value) -> Value {
    let ask = json!({"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}});
    json!({"name": name, "description": "Plays.", "environments": [], "tools": [ask], "subagents": subagents})
}

pub(crate) fn helper() -> Value {
    agent("helper", &json!([]))
}

pub(crate) fn boss() -> Value {
    agent("boss", &json!([helper()]))
}

/// `top` over `middle` over `leaf`, or as many of these as there are to be.
pub(crate) fn team_of(levels: usize) -> Value {
    let names = ["leaf", "middle", "top"];
    names[1..levels].iter().fold(agent(names[0], &json!([])), |below, name| agent(name, &json!([below])))
}
