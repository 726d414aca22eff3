//! A session of very many steps under a budget of tokens, against a real endpoint: what is sent never outgrows the budget,
//! mostly begins as the request before it did, and costs no more at the end than at the beginning.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use async_trait::async_trait;
use quarterdeck_agent::{
    EndpointClient, EndpointSettings, ModelRunner, NoMedia, NoTools, Reach, Recorded, Recorder, Runner, StepContext,
    Superseded,
};
use quarterdeck_api::{Agent, AgentEvent, ToolRequest, ToolResult};
use quarterdeck_core::{Report, StepMode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

/// What is beside words in the JSON of a request.
const JSON_PERCENT: usize = 20;

#[tokio::test]
async fn a_long_session_stays_within_its_budget() {
    walk(600, 5_000, 1_000).await;
}

/// `cargo nextest run -p quarterdeck-agent --run-ignored only`.
#[tokio::test]
#[ignore = "it takes minutes"]
async fn a_session_of_3000_steps_stays_within_32000_tokens() {
    walk(3_000, 32_000, 2_000).await;
}

/// Takes so many steps under a budget of so many tokens, with results of so many bytes.
async fn walk(steps: usize, budget: usize, result_bytes: usize) {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let base_url = endpoint(Arc::clone(&seen)).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings =
        EndpointSettings { context_tokens: Some(budget), model: Some("m".into()), ..EndpointSettings::new(base_url) };
    let runner = ModelRunner::new(Arc::new(EndpointClient::new(settings).unwrap()));
    let look = json!([{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}]);
    let agent = json!({"name": "tester", "description": "Tests things.", "environments": [], "tools": look});
    let agent: Arc<Agent> = Arc::new(serde_json::from_value(agent).unwrap());
    let mut log =
        Log(vec![event(json!({"kind": "message_event", "caller_id": "user", "content": ["Look again and again."]}))]);
    for step in 0..steps {
        let context = StepContext {
            session: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
            agent: Arc::clone(&agent),
            timezone: None,
            transcript: log.0.clone(),
            toolbox: Arc::new(NoTools),
            media: Arc::new(NoMedia),
            mode: StepMode::Act,
            scene: None,
            begun: Reach::default(),
        };
        runner.step(&context, &mut log).await.unwrap();
        log.return_result(&format!("{step} {}", "r".repeat(result_bytes)));
    }
    let seen = seen.lock().unwrap();
    let is_summary = |event: &&Arc<AgentEvent>| matches!(&***event, AgentEvent::ObservationEvent { source, text: Some(text), .. } if source == "summary" && text == SUMMARY);
    let summaries = log.0.iter().filter(is_summary).count();
    assert_eq!(seen.requests, steps + summaries);
    assert!(summaries > 2, "{summaries}");
    let limit = budget * (100 + JSON_PERCENT) / 100;
    assert!(seen.longest / 4 <= limit, "{} bytes are more than {limit} tokens", seen.longest);
    assert!(seen.alike * 2 >= steps, "{} requests began as the one before", seen.alike);
    let mean = |part: &[usize]| part.iter().sum::<usize>() / part.len();
    let (early, late) = (mean(&seen.lengths[100..200]), mean(&seen.lengths[seen.lengths.len() - 100..]));
    assert!(late * 10 <= early * 12, "requests grow: {early} bytes, then {late}");
}

const SUMMARY: &str = "I looked, and there was nothing yet.";

/// What the endpoint saw.
#[derive(Default)]
struct Seen {
    requests: usize,
    longest: usize,
    lengths: Vec<usize>,
    /// Requests that begin as the one before did, as far as that had messages.
    alike: usize,
    before: Vec<u8>,
}

impl Seen {
    fn take(&mut self, body: &[u8]) -> Value {
        self.requests += 1;
        self.longest = self.longest.max(body.len());
        self.lengths.push(body.len());
        // What is offered stands at the end.
        if !body.ends_with(b"]}") {
            return json!({"role": "assistant", "content": SUMMARY});
        }
        let end = |body: &[u8]| body.windows(11).rposition(|part| part == b"],\"stream\":");
        let messages = body[..end(body).unwrap()].to_vec();
        self.alike += usize::from(!self.before.is_empty() && messages.starts_with(&self.before));
        self.before = messages;
        let call = json!({"id": format!("r{}", self.requests), "type": "function", "function": {"name": "look", "arguments": "{}"}});
        json!({"role": "assistant", "content": format!("Step {}.", self.requests), "tool_calls": [call]})
    }
}

/// Serves one connection after the other: the client keeps its own.
async fn endpoint(seen: Arc<Mutex<Seen>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            while let Some(body) = body_of(&mut stream).await {
                let message = seen.lock().unwrap().take(&body);
                let reply = json!({"choices": [{"message": message}], "usage": {"prompt_tokens": 1}}).to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    reply.len()
                );
                if stream.write_all((head + &reply).as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    base_url
}

async fn body_of(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// The log of the session, without the session.
struct Log(Vec<Arc<AgentEvent>>);

impl Log {
    fn return_result(&mut self, result: &str) {
        let AgentEvent::PolicyEvent { tool_reqs, .. } = &**self.0.last().unwrap() else {
            panic!("{:?}", self.0.last())
        };
        let tool_req: ToolRequest = tool_reqs[0].clone();
        let result = ToolResult { tool_req, result: result.into(), truncated: false, output_artifact_path: None };
        self.0.push(Arc::new(AgentEvent::ToolResult(result)));
    }
}

#[async_trait]
impl Recorder for Log {
    async fn record(&mut self, report: Report) -> Result<Recorded, Superseded> {
        self.0.push(match report {
            Report::Observed(observation) => Arc::new(observation),
            Report::Decided { reply, calls, validation_errors, .. } => Arc::new(AgentEvent::PolicyEvent {
                reasoning_content: reply.reasoning,
                content: reply.content,
                tool_reqs: calls,
                validation_errors,
                kept: reply.kept,
            }),
            other @ (Report::Troubled { .. }
            | Report::Returned(_)
            | Report::Answered { .. }
            | Report::Asked { .. }
            | Report::TimedOut
            | Report::Opened { .. }
            | Report::Brought(_)
            | Report::Failed(_)) => panic!("{other:?}"),
        });
        Ok(Recorded::default())
    }

    async fn reach(&mut self, _: Option<u64>) -> Result<Reach, Superseded> {
        Ok(Reach::default())
    }
}

fn event(json: Value) -> Arc<AgentEvent> {
    Arc::new(serde_json::from_value(json).unwrap())
}
