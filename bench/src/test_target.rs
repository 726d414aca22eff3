//! A server in front of a test suite: how soon it is there, what a world costs, and how quickly time passes.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times, rate},
};
use anyhow::{Context, Result, ensure};
use hyper::{Method, body::Bytes};
use serde_json::Value;
use std::time::{Duration, Instant};

const WORLDS: usize = 200;
/// Sessions that wait for a message, each for another time.
const IDLE: usize = 1_000;
const STARTS: usize = 5;

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    starts(arguments, engine, table).await?;
    let server = Server::start_for_tests(arguments, engine).await?;
    let mut client = Client::connect(&server.address).await?;
    let sessions = answers(arguments, &mut client).await?;
    table.row(engine.name, "test mode: create, run, answer, one client", sessions, "aim: 200 a second".into());
    let (figure, fired) = hours(&mut client).await?;
    table.row(engine.name, &format!("test mode: advance over {fired} due sessions"), figure, "aim: 2 s".into());
    let worlds = worlds(&mut client).await?;
    table.row(engine.name, "test mode: a new world", worlds, "aim: 2 ms".into());
    Ok(())
}

async fn starts(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let (mut ready, mut answered) = (Times::default(), Times::default());
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = Server::start_for_tests(arguments, engine).await?;
        ready.push(server.ready_after);
        let mut client = Client::connect(&server.address).await?;
        let id = client.create(crate::sessions::ONE_SHOT).await?;
        client.follow(&id, 0, &["completed"]).await?;
        answered.push(started.elapsed());
    }
    table.row(engine.name, "test mode: start to listening", ready.percentiles(), "aim: 50 ms".into());
    table.row(engine.name, "test mode: start to first answer", answered.percentiles(), "aim: 100 ms".into());
    Ok(())
}

async fn answers(arguments: &Arguments, client: &mut Client) -> Result<String> {
    let (mut times, started) = (Times::default(), Instant::now());
    while started.elapsed() < Duration::from_secs(arguments.seconds) {
        let begun = Instant::now();
        let id = client.create(crate::sessions::ONE_SHOT).await?;
        client.follow(&id, 0, &["completed"]).await?;
        times.push(begun.elapsed());
    }
    Ok(format!("{}, {}", rate(times.len(), started.elapsed()), times.percentiles()))
}

async fn worlds(client: &mut Client) -> Result<String> {
    let mut times = Times::default();
    for _ in 0..WORLDS {
        let begun = Instant::now();
        post(client, "/_test/v1/worlds", "{}").await?;
        times.push(begun.elapsed());
    }
    Ok(times.percentiles())
}

/// Every session gives up waiting at its own time.
async fn hours(client: &mut Client) -> Result<(String, usize)> {
    for number in 1..=IDLE {
        let body = format!(
            r#"{{"agent": {{"name": "bench", "description": "Answers.", "environments": [],
            "tools": [{{"name": "unused", "description": "Never called."}}]}}, "messages": "@answer so", "idle_timeout_s": {}}}"#,
            number + 60
        );
        let id = client.create(&body).await?;
        client.follow(&id, 0, &["idle"]).await?;
    }
    let begun = Instant::now();
    let answer = post(client, "/_test/v1/clock", r#"{"advance": "1h"}"#).await?;
    let took = begun.elapsed();
    let journey: Value = serde_json::from_slice(&answer)?;
    let fired = journey["fired"].as_array().context("nothing fired")?;
    let times: Vec<&str> = fired.iter().filter_map(|moved| moved["at"].as_str()).collect();
    ensure!(
        times.is_sorted() && times.len() == IDLE,
        "{} sessions ended, in order: {}",
        times.len(),
        times.is_sorted()
    );
    Ok((format!("{:.2} s", took.as_secs_f64()), fired.len()))
}

async fn post(client: &mut Client, path: &str, body: &str) -> Result<Bytes> {
    let (status, answer) = client.send(Method::POST, path, Some(body)).await?;
    ensure!((200..300).contains(&status), "{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    Ok(answer)
}
