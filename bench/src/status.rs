//! The hottest read: `GET /sessions/{id}/status`, beside a bare axum handler.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times, rate},
};
use anyhow::{Result, ensure};
use axum::{Json, Router, routing::get};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const CLIENTS: usize = 64;
/// A session that stays: answered, waiting for the next message.
const IDLE: &str = r#"{"agent": {"name": "bench", "description": "Answers.", "environments": [],
    "tools": [{"name": "unused", "description": "Never called."}]}, "messages": "Answer.", "idle_timeout_s": 600}"#;

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let server = Server::start(arguments, engine, None).await?;
    let mut client = Client::connect(&server.address).await?;
    let id = client.create(IDLE).await?;
    client.follow(&id, 0, &["idle"]).await?;
    let path = format!("/api/v2/sessions/{id}/status");
    let figure = hammer(arguments, &server.address, &path).await?;
    let bare = hammer(arguments, &bare_handler().await?, "/").await?;
    table.row(engine.name, "GET status, 64 clients", figure, format!("bare axum handler: {bare}"));
    Ok(())
}

async fn hammer(arguments: &Arguments, address: &str, path: &str) -> Result<String> {
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(ask(address.to_owned(), path.to_owned(), until))).collect();
    let mut times = Times::default();
    let started = Instant::now();
    for client in clients {
        times.extend(client.await??);
    }
    Ok(format!("{}, {}", rate(times.len(), started.elapsed()), times.percentiles()))
}

async fn ask(address: String, path: String, until: Instant) -> Result<Times> {
    let mut client = Client::connect(&address).await?;
    let mut times = Times::default();
    while Instant::now() < until {
        let began = Instant::now();
        let (status, _) = client.get(&path).await?;
        ensure!(status == 200, "answered {status}");
        times.push(began.elapsed());
    }
    Ok(times)
}

/// In this process: the same client, no server of ours.
async fn bare_handler() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let router = Router::new().route("/", get(async || Json(json!({"status": "idle", "steps": 1}))));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
