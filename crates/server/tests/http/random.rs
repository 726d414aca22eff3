//! Random sequences of commands and replies, given to a running server and to a model of it. After each of them the
//! two must agree: on the answer's code, on every event of the log, on the status, on what the agent is asked next.

#[path = "random/expected.rs"]
mod expected;
#[path = "random/puppet.rs"]
mod puppet;

use crate::app::{Server, TestApp, result_of, with_tools};
use expected::{Ask, Expected, Opening};
use futures_util::FutureExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestCaseResult, TestRunner},
};
use puppet::Puppet;
use serde_json::{Value, json};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

/// How long server and model may differ while the server works.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens to a session.
#[derive(Clone, Debug)]
enum Action {
    Message {
        batch: bool,
    },
    Pause,
    Resume,
    ForceAnswer,
    /// Results of the pending calls at these places, and of one that is not pending when `unknown`.
    Results {
        places: Vec<usize>,
        unknown: bool,
        failed: bool,
    },
    Cancel,
    Reply(Reply),
}

/// What the agent's model does when it is asked; left out when it is not.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Answer,
    Call { count: usize },
    Nonsense,
    Trouble,
    Refusal,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let replies = prop_oneof![
        4 => Just(Reply::Answer),
        6 => (1..4_usize).prop_map(|count| Reply::Call { count }),
        2 => Just(Reply::Nonsense),
        2 => Just(Reply::Trouble),
        1 => Just(Reply::Refusal),
    ];
    let results = (vec(0..4_usize, 0..4), prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(places, unknown, failed)| Action::Results { places, unknown, failed });
    vec(
        prop_oneof![
            3 => any::<bool>().prop_map(|batch| Action::Message { batch }),
            2 => Just(Action::Pause),
            2 => Just(Action::Resume),
            1 => Just(Action::ForceAnswer),
            4 => results,
            1 => prop::bool::weighted(0.3).prop_map(|cancel| if cancel { Action::Cancel } else { Action::Resume }),
            8 => replies.prop_map(Action::Reply),
        ],
        1..24,
    )
}

fn openings() -> impl Strategy<Value = Opening> {
    (any::<bool>(), any::<bool>(), prop::option::of(1..4_u64)).prop_map(|(interactive, task, max_steps)| Opening {
        interactive,
        task,
        max_steps,
    })
}

#[test]
fn server_and_model_agree_on_every_sequence() {
    check(TestApp::new(), 150);
}

#[test]
fn server_and_model_agree_on_every_sequence_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::new().on_postgres());
    check(app, 75);
}

/// One server for all sequences, a session for each.
fn check(app: TestApp, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let puppet = Arc::new(Puppet::default());
    let server = runtime.block_on(app.driven_by(puppet.clone()).start());
    let config = Config { cases, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config)
        .run(&(openings(), actions()), |(opening, actions)| runtime.block_on(run(&server, &puppet, opening, actions)));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(server.stop());
}

/// Whatever comes of it, the session is over afterwards and nobody asks any more: shorter sequences are tried next.
async fn run(server: &Server, puppet: &Puppet, opening: Opening, actions: Vec<Action>) -> TestCaseResult {
    let id = create(server, opening).await;
    let outcome = AssertUnwindSafe(play(server, puppet, &id, opening, actions)).catch_unwind().await;
    server.delete(&format!("/api/v2/sessions/{id}")).await;
    puppet.idle().await;
    outcome.map_err(|panic| {
        TestCaseError::fail(panic.downcast::<String>().map_or_else(|_| "it panicked".into(), |text| *text))
    })
}

async fn play(server: &Server, puppet: &Puppet, id: &str, opening: Opening, actions: Vec<Action>) {
    let mut expected = Expected::created(opening);
    agree(server, puppet, id, &expected).await;
    for action in actions {
        step(server, puppet, id, &mut expected, &action).await;
        agree(server, puppet, id, &expected).await;
    }
    check_pages(server, id, &expected).await;
}

async fn create(server: &Server, opening: Opening) -> String {
    let mut request = json!({"agent": with_tools(&["ask"]), "max_steps": opening.max_steps});
    if opening.interactive {
        request["idle_timeout_s"] = json!(600);
    }
    if opening.task {
        request["messages"] = json!("Go");
    }
    let created = server.post("/api/v2/sessions", request).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().unwrap().to_owned()
}

/// Does it to both; the codes must be the same.
async fn step(server: &Server, puppet: &Puppet, id: &str, expected: &mut Expected, action: &Action) {
    let path = |action: &str| format!("/api/v2/sessions/{id}/{action}");
    let post = async |action: &str| server.send(server.request(reqwest::Method::POST, &path(action))).await.status;
    let (code, wanted) = match action {
        Action::Message { batch } => {
            let message = json!({"type": "user_message", "message": "More"});
            let body = if *batch { json!({"type": "batch", "messages": [message, message]}) } else { message };
            (server.post(&path("messages"), body).await.status, expected.message(1 + usize::from(*batch)))
        }
        Action::Pause => (post("pause").await, expected.pause()),
        Action::Resume => (post("resume").await, expected.resume()),
        Action::ForceAnswer => (post("force_answer").await, expected.force_answer()),
        Action::Results { places, unknown, failed } => {
            let pending = server.status(id).await["pending_tool_calls"].as_array().unwrap().clone();
            let (places, results) = results(&pending, places, *unknown, *failed);
            if results.is_empty() {
                return;
            }
            let body = json!({"type": "batch", "results": results});
            (server.post(&path("tool_results"), body).await.status, expected.results(&places, *failed))
        }
        Action::Cancel => (server.delete(&format!("/api/v2/sessions/{id}")).await.status, expected.cancel()),
        Action::Reply(reply) => {
            if let Some(ask) = expected.asks() {
                puppet.reply(*reply);
                expected.replied(ask, *reply);
            }
            return;
        }
    };
    assert_eq!(code, wanted, "{action:?} to {expected:?}");
}

/// The places that exist, each once, and the results for them.
fn results(pending: &[Value], places: &[usize], unknown: bool, failed: bool) -> (Vec<usize>, Vec<Value>) {
    let mut chosen: Vec<usize> = places.iter().copied().filter(|place| *place < pending.len()).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let result = |call: &Value| {
        if failed {
            json!({"kind": "error_event", "error": "no", "origin": "client", "tool_req": call})
        } else {
            result_of(call)
        }
    };
    let mut results: Vec<Value> = chosen.iter().map(|place| result(&pending[*place])).collect();
    if unknown {
        results.push(result(&json!({"tool_name": "ask", "args": {"n": 99}, "id": "unknown"})));
    }
    (chosen, results)
}

/// Waits until the server has done what the model did, and compares what can be seen of it.
async fn agree(server: &Server, puppet: &Puppet, id: &str, expected: &Expected) {
    let catching_up = async {
        loop {
            let words = server.words(id).await;
            let same = words.iter().zip(&expected.log).take_while(|(is, wanted)| is == wanted).count();
            assert!(same == words.len(), "the log is {words:#?}, and the model's {:#?}", expected.log);
            if words.len() == expected.log.len() {
                return;
            }
            let from = words.len();
            server.get(&format!("/api/v2/sessions/{id}/changes?from_index={from}&wait_for_seconds=5")).await;
        }
    };
    let caught_up = tokio::time::timeout(PATIENCE, catching_up).await;
    let wanted = &expected.log;
    assert!(caught_up.is_ok(), "the log stays at {:#?}, and the model's is {wanted:#?}", server.words(id).await);
    let status = server.status(id).await;
    assert_eq!(status["status"], expected.status(), "{expected:?}");
    assert_eq!(status["steps"], expected.steps, "{expected:?}");
    assert_eq!(status["pending_tool_calls"].as_array().map(Vec::len), Some(expected.pending()), "{expected:?}");
    assert_eq!(status["error_code"].as_str(), expected.error_code(), "{expected:?}");
    match expected.asks() {
        Some(ask) => puppet.asked(ask == Ask::Answer).await,
        None => puppet.idle().await,
    }
}

/// The other ways to read the session tell the same.
async fn check_pages(server: &Server, id: &str, expected: &Expected) {
    let session = server.get(&format!("/api/v2/sessions/{id}")).await.json();
    assert_eq!(session["latest_answer"].as_str(), expected.answer.as_deref());
    assert_eq!(session["finished_at"].is_string(), expected.has_ended());
    let events = server.get(&format!("/api/v2/sessions/{id}/events?size=200&sort=timestamp")).await.json();
    assert_eq!(events["total"], expected.log.len());
    let followed = server.events(id).await;
    let shown = followed.len().min(200);
    assert_eq!(events["items"].as_array().unwrap()[..], followed[..shown]);
}
