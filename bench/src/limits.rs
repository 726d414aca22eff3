//! Durable commits: the server's, and what the database does by itself.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times, rate},
};
use anyhow::{Result, ensure};
use hyper::Method;
use sqlx::{
    Connection, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// Connections that commit at once.
const CLIENTS: usize = 64;
/// A session that waits for its client takes a message with exactly one commit and runs nothing.
const WAITING: &str = r#"{"agent": {"name": "waiting", "description": "Waits.", "environments": [],
    "tools": [{"name": "lookup", "description": "Looks up."}],
    "instructions": "@call lookup {}"}, "messages": "Go."}"#;
const MESSAGE: &str = r#"{"type": "user_message", "message": "One more thing."}"#;

pub(crate) async fn measure_commits(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let raw = raw_rate(arguments, engine).await?;
    let server = Server::start(arguments, engine, None).await?;
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(send_messages(server.address.clone(), until))).collect();
    let mut times = Times::default();
    let started = Instant::now();
    for client in clients {
        times.extend(client.await??);
    }
    let figure = format!("{}, {}", rate(times.len(), started.elapsed()), times.percentiles());
    table.row(engine.name, "durable commits through HTTP, 64 clients", figure, format!("the database alone: {raw}"));
    Ok(())
}

async fn send_messages(address: String, until: Instant) -> Result<Times> {
    let mut client = Client::connect(&address).await?;
    let mut times = Times::default();
    while Instant::now() < until {
        let id = client.create(WAITING).await?;
        client.follow(&id, 0, &["awaiting_tool_results"]).await?;
        let path = format!("/api/v2/sessions/{id}/messages");
        for _ in 0..900 {
            let began = Instant::now();
            let (status, body) = client.send(Method::POST, &path, Some(MESSAGE)).await?;
            ensure!(status == 202, "messages answered {status}: {}", String::from_utf8_lossy(&body));
            times.push(began.elapsed());
            if Instant::now() >= until {
                break;
            }
        }
    }
    Ok(times)
}

/// Small transactions: one for each row on `SQLite`, which has one writer; from 16 connections on Postgres.
async fn raw_rate(arguments: &Arguments, engine: &Engine) -> Result<String> {
    let url = engine.fresh_url()?;
    let time = Duration::from_secs(arguments.seconds.min(3));
    if url.starts_with("sqlite") {
        return raw_sqlite(&url, time).await;
    }
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("CREATE TABLE raw (id bigserial PRIMARY KEY, body text)").execute(&mut connection).await?;
    let until = Instant::now() + time;
    let writers: Vec<_> = (0..16).map(|_| tokio::spawn(raw_postgres(url.clone(), until))).collect();
    let mut commits = 0;
    for writer in writers {
        commits += writer.await??;
    }
    Ok(format!("{} (16 connections, a row each)", rate(commits, time)))
}

async fn raw_sqlite(url: &str, time: Duration) -> Result<String> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE raw (id integer PRIMARY KEY, body text)").execute(&mut connection).await?;
    let started = Instant::now();
    let mut commits = 0;
    while started.elapsed() < time {
        sqlx::query("INSERT INTO raw (body) VALUES ($1)").bind("x").execute(&mut connection).await?;
        commits += 1;
    }
    Ok(format!("{} (one writer, a row each)", rate(commits, started.elapsed())))
}

async fn raw_postgres(url: String, until: Instant) -> Result<usize> {
    let mut connection = PgConnection::connect(&url).await?;
    let mut commits = 0;
    while Instant::now() < until {
        sqlx::query("INSERT INTO raw (body) VALUES ($1)").bind("x").execute(&mut connection).await?;
        commits += 1;
    }
    Ok(commits)
}
