//! One session of very many steps over an HTTP model: what a step costs the server while its request grows to a megabyte.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::Table,
};
use anyhow::Result;
use axum::{Json, Router, extract::State, routing::post};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::sleep};

const STEPS: usize = 3_200;
/// Steps over which a figure is taken.
const WINDOW: usize = 200;
/// Characters that each step adds to the arguments of its call.
const ADDED: usize = 180;
/// An agent with a tool that the server runs.
const REMEMBERING: &str = r#"{"agent": {"name": "bench", "description": "Remembers.",
    "environments": [{"id": "notes", "kind": "memory", "namespace": "bench"}]}, "messages": "Remember much.",
    "max_steps": 10000}"#;

/// What the model has served.
#[derive(Default)]
struct Served {
    requests: AtomicUsize,
    /// Bytes of the latest request.
    length: AtomicUsize,
}

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let seen = Arc::new(Served::default());
    let model = start_model(Arc::clone(&seen)).await?;
    let server = Server::start(arguments, engine, Some(&model)).await?;
    let mut client = Client::connect(&server.address).await?;
    let id = client.create(REMEMBERING).await?;
    let mut spans = Vec::new();
    for from in [WINDOW / 2, STEPS - WINDOW - 1] {
        until(&seen, from).await;
        let (cpu, began) = (server.cpu().await?, Instant::now());
        until(&seen, from + WINDOW).await;
        spans.push((server.cpu().await?.saturating_sub(cpu), began.elapsed(), seen.length.load(Ordering::Relaxed)));
    }
    // The first connection was left alone for longer than the server keeps one open.
    Client::connect(&server.address).await?.follow(&id, STEPS, &["completed"]).await?;
    let cpu = server.cpu().await?;
    for (place, (cpu, wall, length)) in ["first", "last"].into_iter().zip(spans) {
        let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(u32::try_from(WINDOW).unwrap_or(u32::MAX));
        let figure = format!("CPU {:.2} ms a step, {:.2} ms in all", each(cpu), each(wall));
        let what = format!("a session of {STEPS} steps over HTTP, the {place} {WINDOW}");
        table.row(engine.name, &what, figure, format!("requests of {} KB", length / 1_000));
    }
    let what = format!("a session of {STEPS} steps over HTTP, all");
    table.row(engine.name, &what, format!("CPU {:.1} s", cpu.as_secs_f64()), "aim: 3 ms a step at 1 MB".into());
    Ok(())
}

async fn until(served: &Served, requests: usize) {
    while served.requests.load(Ordering::Relaxed) < requests {
        sleep(Duration::from_millis(2)).await;
    }
}

/// A model that remembers something at each step, and answers at the last; its base URL.
async fn start_model(served: Arc<Served>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    let router = Router::new().route("/v1/chat/completions", post(reply)).with_state(served);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn reply(State(served): State<Arc<Served>>, request: Bytes) -> Json<Value> {
    served.length.store(request.len(), Ordering::Relaxed);
    let step = served.requests.fetch_add(1, Ordering::Relaxed);
    let message = if step + 1 < STEPS {
        let arguments = json!({"key": format!("k{}", step % 50), "value": format!("{step} {}", "r".repeat(ADDED))});
        let call = json!({"name": "memory_set", "arguments": arguments.to_string()});
        json!({"role": "assistant", "tool_calls": [{"id": format!("c{step}"), "type": "function", "function": call}]})
    } else {
        json!({"role": "assistant", "content": "Done."})
    };
    Json(json!({
        "choices": [{"message": message, "finish_reason": if step + 1 < STEPS { "tool_calls" } else { "stop" }}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }))
}
