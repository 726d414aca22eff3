//! Sessions from creation to answer, and how soon a waiter hears of the model's reply.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times, rate},
};
use anyhow::Result;
use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// A session of one step. The agent has no environment, as those of the peers compared with have none.
pub(crate) const ONE_SHOT: &str = r#"{"agent": {"name": "bench", "description": "Answers.", "environments": [],
    "tools": [{"name": "unused", "description": "Never called."}]}, "messages": "Answer."}"#;

/// When the model replied to a task.
pub(crate) type Replies = Arc<Mutex<HashMap<String, Instant>>>;

/// How long the slower of two models takes to reply: with it, 64 sessions are far from what two cores can do.
const THOUGHT: Duration = Duration::from_millis(100);

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let replies = Replies::default();
    let (quick, slow) = (start_model(&replies, Duration::ZERO).await?, start_model(&replies, THOUGHT).await?);
    for clients in [1, 16, 64] {
        for (model, url) in [("scripted", None), ("over HTTP", Some(&quick)), ("that thinks for 100 ms", Some(&slow))] {
            let url = url.map(String::as_str);
            measure_with(arguments, engine, table, (clients, model, url), &replies).await?;
        }
    }
    Ok(())
}

async fn measure_with(
    arguments: &Arguments,
    engine: &Engine,
    table: &mut Table,
    (clients, model, url): (usize, &str, Option<&str>),
    replies: &Replies,
) -> Result<()> {
    let server = Server::start(arguments, engine, url).await?;
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let runs: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(run(server.address.clone(), client, until, Arc::clone(replies))))
        .collect();
    let (mut sessions, mut wakes) = (Times::default(), Times::default());
    let (started, cpu) = (Instant::now(), server.cpu().await?);
    for run in runs {
        let (run_sessions, run_wakes) = run.await??;
        sessions.extend(run_sessions);
        wakes.extend(run_wakes);
    }
    let elapsed = started.elapsed();
    let cpu = server.cpu().await?.saturating_sub(cpu).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
    let figure = format!("{}, {}", rate(sessions.len(), elapsed), sessions.percentiles());
    let what = format!("sessions from create to answer, {clients} clients, model {model}");
    table.row(engine.name, &what, figure, format!("server CPU {cpu:.0} % of 200 %"));
    if wakes.len() > 0 {
        let what = format!("wake: reply of a model {model} to the waiter's answer, {clients} clients");
        table.row(engine.name, &what, wakes.percentiles(), String::new());
    }
    Ok(())
}

pub(crate) async fn run(address: String, number: usize, until: Instant, replies: Replies) -> Result<(Times, Times)> {
    let mut client = Client::connect(&address).await?;
    let (mut sessions, mut wakes) = (Times::default(), Times::default());
    let mut count = 0;
    while Instant::now() < until {
        count += 1;
        let task = format!("task {number}-{count}");
        let body = ONE_SHOT.replace("\"Answer.\"", &format!("\"{task}\""));
        let began = Instant::now();
        let id = client.create(&body).await?;
        client.follow(&id, 0, &["completed"]).await?;
        let ended = Instant::now();
        sessions.push(ended - began);
        if let Some(replied) = replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&task) {
            wakes.push(ended - replied);
        }
    }
    Ok((sessions, wakes))
}

/// A model that replies after a while; its base URL.
async fn start_model(replies: &Replies, wait: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    let model = (Arc::clone(replies), wait);
    let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(model);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn complete(State((replies, wait)): State<(Replies, Duration)>, Json(request): Json<Value>) -> Json<Value> {
    let task = request["messages"].as_array().and_then(|messages| messages.last()).map(text_of).unwrap_or_default();
    tokio::time::sleep(wait).await;
    replies.lock().unwrap_or_else(PoisonError::into_inner).insert(task, Instant::now());
    Json(json!({
        "choices": [{"message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }))
}

fn text_of(message: &Value) -> String {
    let content = &message["content"];
    let parts = content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    content.as_str().into_iter().chain(parts).collect()
}
