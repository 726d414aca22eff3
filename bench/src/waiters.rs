//! Many waiters on few sessions: what each costs, and how soon all are woken.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times},
};
use anyhow::{Result, ensure};
use hyper::Method;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Barrier;

const SESSIONS: usize = 50;
const IDLE: &str = r#"{"agent": {"name": "bench", "description": "Waits.", "environments": [],
    "tools": [{"name": "unused", "description": "Never called."}]}, "idle_timeout_s": 600}"#;
/// How long the waiters are watched doing nothing.
const QUIET_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let server = Server::start(arguments, engine, None).await?;
    let mut client = Client::connect(&server.address).await?;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let id = client.create(IDLE).await?;
        let next = client.follow(&id, 0, &["idle"]).await?;
        sessions.push((id, next));
    }
    let before = server.memory_kib().await?;
    let open = Arc::new(Barrier::new(arguments.waiters + 1));
    let waiters: Vec<_> = (0..arguments.waiters)
        .map(|number| {
            let (id, next) = sessions[number % SESSIONS].clone();
            tokio::spawn(wait(server.address.clone(), id, next, Arc::clone(&open)))
        })
        .collect();
    open.wait().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (held, cpu) = (server.memory_kib().await?, server.cpu().await?);
    tokio::time::sleep(QUIET_INTERVAL).await;
    let quiet_cpu = server.cpu().await?.saturating_sub(cpu).as_secs_f64() / QUIET_INTERVAL.as_secs_f64() * 100.0;

    let mut others = Vec::new();
    for _ in &sessions {
        others.push(Client::connect(&server.address).await?);
    }
    let began = Instant::now();
    for ((id, _), other) in sessions.into_iter().zip(others) {
        tokio::spawn(cancel(other, id));
    }
    let mut times = Times::default();
    for waiter in waiters {
        times.push(waiter.await??.saturating_duration_since(began));
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = (held - before) as f64 / arguments.waiters as f64;
    let what = format!("{} waiters, nothing happening", arguments.waiters);
    table.row(engine.name, &what, format!("{each:.1} KiB each, {quiet_cpu:.1} % CPU"), "aim: under 20 KiB, 0 %".into());
    let what = format!("{} waiters on {SESSIONS} sessions, all woken", arguments.waiters);
    table.row(engine.name, &what, times.percentiles(), "from the first request, all at once".into());
    Ok(())
}

/// Should it fail, the waiters see no end.
async fn cancel(mut client: Client, id: String) -> Result<()> {
    let (status, _) = client.send(Method::DELETE, &format!("/api/v2/sessions/{id}"), None).await?;
    ensure!(status == 204, "cancel answered {status}");
    Ok(())
}

async fn wait(address: String, id: String, from: usize, open: Arc<Barrier>) -> Result<Instant> {
    let mut client = Client::connect(&address).await?;
    let path = format!("/api/v2/sessions/{id}/changes?from_index={from}&wait_for_seconds=60");
    open.wait().await;
    let (status, _) = client.get(&path).await?;
    ensure!(status == 200, "changes answered {status}");
    Ok(Instant::now())
}
