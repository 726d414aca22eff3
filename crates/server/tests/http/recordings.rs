//! Sessions of all kinds, written as recordings and played again: the same comes out.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use quarterdeck_agent::{ModelRunner, ScriptedModel};
use quarterdeck_api::{
    Body, Decoder, FileContent, SessionId, SessionRequest, SourceType, ToolResult, ToolResultItem, UserMessage,
};
use quarterdeck_core::Command;
use quarterdeck_engine::{Clock, Created, Engine, EngineSettings, Preparation, Sessions, Target, VirtualClock};
use quarterdeck_scenario::Recording;
use quarterdeck_server::{export, key_hash, new_key, verify};
use quarterdeck_store::{Blobs, Caller, NewKey, Store};
use serde_json::{Value, json};
use std::sync::Arc;

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const CASES: u32 = 40;
/// What must not be in any file.
const CANARIES: [&str; 3] = ["CANARY-in-a-header", "CANARY-in-an-argument", "hk-canary0123456789abcdef"];

/// What an agent does, as lines of a script.
fn cue() -> impl Strategy<Value = String> {
    let look = "@call look {\"at\": 1}\n@result look {\"price\": 3}";
    let plain = prop_oneof![
        Just(format!("@say Looking.\n{look}")),
        Just(format!("@usage in=7 cached=2 out=3 reasoning=1\n{look}\n@and look\n@result look \"two\"")),
        Just(format!("@observe {{\"text\": \"24 items\", \"image\": \"{PIXEL}\"}}\n{look}")),
        Just("@call ask_owner {\"what\": \"colour\"}".to_owned()),
        Just("@call memory_set {\"key\": \"a\", \"value\": 1}".to_owned()),
        Just("@call memory_get {\"key\": \"b\"}".to_owned()),
        Just("@call delegate {\"agent\": \"helper\", \"task\": \"@wait 700ms\\n@answer done\"}\n@and delegate {\"agent\": \"helper\", \"task\": \"@answer too\"}".to_owned()),
        Just(format!("@call look\n@result look \"the key is {}\"", CANARIES[2])),
        Just("@fail 500".to_owned()),
        Just("@fail 429 after 2s".to_owned()),
        Just("@empty".to_owned()),
        Just("@call nothing {bad".to_owned()),
        Just("@ask Which one?".to_owned()),
        Just("@answer {\"price\": 3}".to_owned()),
        Just("@text So.".to_owned()),
    ];
    (0..3_u8, plain).prop_map(|(waits, cue)| if waits == 0 { format!("@wait 1500ms\n{cue}") } else { cue })
}

/// What is done to the session meanwhile.
#[derive(Clone, Debug)]
enum Act {
    Message { with_bytes: bool },
    Results,
    Pause,
    Resume,
    ForceAnswer,
    Cancel,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<bool>().prop_map(|with_bytes| Act::Message { with_bytes }),
        3 => Just(Act::Results),
        2 => Just(Act::Pause),
        3 => Just(Act::Resume),
        1 => Just(Act::ForceAnswer),
        1 => Just(Act::Cancel),
    ]
}

#[derive(Clone, Debug)]
struct Story {
    cues: Vec<String>,
    acts: Vec<(u16, Act)>,
    idle_timeout_s: Option<u32>,
    max_steps: Option<u32>,
    max_time_s: Option<u32>,
}

fn story() -> impl Strategy<Value = Story> {
    let acts = proptest::collection::vec((0..2_500_u16, act()), 0..6);
    let seldom = |range: std::ops::Range<u32>| proptest::option::weighted(0.25, range);
    (proptest::collection::vec(cue(), 1..6), acts, proptest::option::of(60..600_u32), seldom(1..4), seldom(2..6))
        .prop_map(|(cues, acts, idle_timeout_s, max_steps, max_time_s)| Story {
            cues,
            acts,
            idle_timeout_s,
            max_steps,
            max_time_s,
        })
}

/// A server in this process, on a clock that only a test moves.
struct Stage {
    engine: Engine,
    sessions: Sessions,
    store: Arc<dyn Store>,
    blobs: Blobs,
    clock: Arc<VirtualClock>,
    caller: Caller,
}

impl Stage {
    async fn new() -> Self {
        let store = quarterdeck_store::open("sqlite::memory:").await.unwrap();
        let blobs = Blobs::in_memory();
        let clock = Arc::new(VirtualClock::new("2026-01-01T00:00:00Z".parse().ok(), Some(1)));
        let runner = ModelRunner::new(Arc::new(ScriptedModel::new().at_pace(Arc::clone(&clock) as _)));
        let runner = Arc::new(runner.at_pace(Arc::clone(&clock) as _));
        let (a_store, a_clock) = (Arc::clone(&store), Arc::clone(&clock));
        let engine =
            Engine::start(a_store, blobs.clone(), runner, a_clock as _, EngineSettings::default()).await.unwrap();
        let hash = key_hash(new_key(clock.random()).as_bytes());
        let ids = [clock.id(), clock.id(), clock.id()];
        let (organization, user, prefix, created_at) = ("o".into(), "u".into(), String::new(), clock.now());
        store.create_key(NewKey { ids, organization, user, hash, prefix, created_at }).await.unwrap();
        let caller = store.caller(hash).await.unwrap().unwrap();
        Self { sessions: engine.sessions(), engine, store, blobs, clock, caller }
    }

    async fn create(&self, request: Value) -> SessionId {
        let text = request.to_string();
        let errors = Decoder::default();
        let request = errors.body::<SessionRequest>(&Body::parse(Some("application/json"), text.as_bytes()).unwrap());
        let request = errors.finish(request).unwrap();
        let Preparation::New(prepared) = self.sessions.prepare(self.caller, request, None).await.unwrap() else {
            panic!()
        };
        let Created::New(record) = self.sessions.admit(*prepared, None).await.unwrap() else { panic!() };
        record.session.id
    }

    async fn pass(&self, ms: u16) {
        let time = chrono_ms(ms);
        self.sessions.travel(&self.clock, Target::By(time)).await.unwrap();
    }

    /// What does not fit is refused, which changes nothing.
    async fn act(&self, id: SessionId, act: &Act) {
        let command = match act {
            Act::Message { with_bytes } => Command::Message(vec![message(*with_bytes)]),
            Act::Results => {
                let session = self.sessions.session(Some(self.caller), id).await.unwrap();
                let results = session.state.pending_tool_calls().iter().map(|call| {
                    let result = json!({"colour": "red"});
                    let tool_req = call.clone();
                    ToolResultItem::Result(ToolResult {
                        tool_req,
                        result,
                        truncated: false,
                        output_artifact_path: None,
                    })
                });
                Command::ToolResults(results.collect())
            }
            Act::Pause => Command::Pause,
            Act::Resume => Command::Resume,
            Act::ForceAnswer => Command::ForceAnswer,
            Act::Cancel => Command::Cancel,
        };
        drop(self.sessions.submit(self.caller, id, command).await);
    }

    async fn recording(&self, id: SessionId) -> Recording {
        export(&*self.store, &self.blobs, id, Vec::new()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.engine.stop().await;
        self.store.close().await;
    }
}

fn chrono_ms(ms: u16) -> chrono::TimeDelta {
    chrono::TimeDelta::milliseconds(ms.into())
}

fn message(with_bytes: bool) -> UserMessage {
    let message = UserMessage::text("And?\n@text Also that.\n@answer at last");
    if !with_bytes {
        return message;
    }
    let file = FileContent {
        source_type: SourceType::Base64,
        source: "aGVsbG8=".into(),
        name: "a.txt".into(),
        media_type: None,
        size_bytes: None,
    };
    UserMessage { images: vec![PIXEL.into()], files: vec![file], ..message }
}

fn request(story: &Story) -> Value {
    let tool = |name: &str| json!([{"name": name, "description": "Asks.", "input_schema": {"type": "object"}}]);
    json!({
        "agent": {
            "name": "shopper", "description": "Finds prices.",
            "environments": [{"kind": "memory", "id": "notes", "namespace": "notes"}],
            "tools": tool("ask_owner"),
            "subagents": [{"name": "helper", "description": "Helps.", "environments": [], "tools": tool("t")}],
        },
        "messages": story.cues.join("\n"),
        "idle_timeout_s": story.idle_timeout_s, "max_steps": story.max_steps, "max_time_s": story.max_time_s,
    })
}

/// What was recorded of a story, and what came of playing that.
async fn told(story: &Story) -> (Recording, Result<Option<String>, String>) {
    let stage = Stage::new().await;
    let id = stage.create(request(story)).await;
    for (ms, act) in &story.acts {
        stage.pass(*ms).await;
        stage.act(id, act).await;
    }
    for _ in 0..3 {
        stage.pass(60_000).await;
        stage.act(id, &Act::Resume).await;
        stage.act(id, &Act::Results).await;
    }
    stage.pass(60_000).await;
    stage.act(id, &Act::Cancel).await;
    let recording = stage.recording(id).await;
    stage.stop().await;
    let verdict = verify(&recording).await;
    (recording, verdict.map(|verdict| verdict.difference).map_err(|error| error.to_string()))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever looks for more says so to the test")]
fn what_is_played_is_what_was_recorded() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = std::env::var("QUARTERDECK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    TestRunner::new(config)
        .run(&story(), |story| {
            let (recording, difference) = runtime.block_on(told(&story));
            let text = recording.text();
            prop_assert!(!text.contains(CANARIES[2]), "a key is in the file");
            prop_assert_eq!(&Recording::read(&text).unwrap(), &recording);
            prop_assert_eq!(difference, Ok(None), "{}", recording.essence());
            Ok(())
        })
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_course_of_events_is_told_by_its_first_difference() {
    let cues = vec!["@call look\n@result look 1".to_owned(), "@answer 2".to_owned()];
    let story = Story { cues, acts: Vec::new(), idle_timeout_s: None, max_steps: None, max_time_s: None };
    let (recording, difference) = told(&story).await;
    assert_eq!(difference, Ok(None));
    let mut file: Value = serde_json::from_str(&recording.text()).unwrap();
    let events = file["events"].as_array_mut().unwrap();
    let place = events.iter().position(|event| event["type"] == "MetricsUpdateEvent").unwrap();
    events.remove(place);
    let changed = Recording::read(&file.to_string()).unwrap();
    let told = verify(&changed).await.unwrap().difference.unwrap();
    assert!(told.starts_with(&format!("events[{place}] differs: recorded was ")), "{told}");
}
