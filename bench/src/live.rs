//! Clients that follow sessions at work for a while: nothing may fail, be missed or come twice.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::Table,
};
use anyhow::{Result, ensure};
use hyper::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

const SESSIONS: usize = 200;
/// From one message of a session to its next.
const MESSAGE_INTERVAL: Duration = Duration::from_secs(1);
const TALK: &str = r#"{"agent": {"name": "bench", "description": "Answers.", "environments": [],
    "tools": [{"name": "unused", "description": "Never called."}]}, "messages": "Answer.", "idle_timeout_s": 600}"#;
const MESSAGE: &str = r#"{"type": "user_message", "message": "And now?"}"#;

#[derive(Deserialize)]
struct Changes<'a> {
    #[serde(borrow)]
    new_events: Vec<&'a RawValue>,
}

/// A log as somebody read it: how long it is, and its bytes in one number.
#[derive(Clone, Debug, Default)]
struct Reading {
    events: usize,
    hash: DefaultHasher,
    polls: usize,
}

impl Reading {
    fn take(&mut self, answer: &[u8]) -> Result<()> {
        let changes: Changes<'_> = serde_json::from_slice(answer)?;
        for event in changes.new_events {
            event.get().hash(&mut self.hash);
            self.events += 1;
        }
        self.polls += 1;
        Ok(())
    }

    fn same(&self, other: &Self) -> bool {
        self.events == other.events && self.hash.finish() == other.hash.finish()
    }
}

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let server = Server::start(arguments, engine, None).await?;
    let mut client = Client::connect(&server.address).await?;
    let mut ids = Vec::new();
    for _ in 0..SESSIONS {
        ids.push(client.create(TALK).await?);
    }
    let memory = server.memory_kib().await?;
    let (over, ended) = watch::channel(false);
    let followers: Vec<_> = (0..arguments.followers)
        .map(|number| tokio::spawn(follow(server.address.clone(), ids[number % SESSIONS].clone(), ended.clone())))
        .collect();
    let time = Duration::from_secs(arguments.follow_seconds);
    let (began, cpu) = (Instant::now(), server.cpu().await?);
    let talkers: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| tokio::spawn(talk(server.address.clone(), id.clone(), place, began + time)))
        .collect();
    tokio::time::sleep(time / 2).await;
    let held = server.memory_kib().await?;
    for talker in talkers {
        talker.await??;
    }
    let elapsed = began.elapsed();
    let cpu = server.cpu().await?.saturating_sub(cpu).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
    over.send_replace(true);
    // The first connection was silent for too long and is closed.
    let mut client = Client::connect(&server.address).await?;
    let mut logs = Vec::new();
    for id in &ids {
        logs.push(whole_log(&mut client, id).await?);
    }
    let (mut delivered, mut polls, mut wrong) = (0, 0, 0);
    for (number, follower) in followers.into_iter().enumerate() {
        let reading = follower.await??;
        delivered += reading.events;
        polls += reading.polls;
        wrong += usize::from(!reading.same(&logs[number % SESSIONS]));
    }
    let what = format!("{} clients following {SESSIONS} sessions at work, {} s", arguments.followers, time.as_secs());
    let written: usize = logs.iter().map(|log| log.events).sum();
    let figure = format!("{delivered} events in {polls} polls; {wrong} clients read something else than the log");
    table.row(engine.name, &what, figure, format!("{written} events written, server CPU {cpu:.0} % of 200 %"));
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = held.saturating_sub(memory) as f64 / arguments.followers as f64;
    table.row(engine.name, "the same, memory", format!("{each:.1} KiB each"), "halfway, sessions included".into());
    ensure!(wrong == 0, "{wrong} clients missed events or saw them twice");
    Ok(())
}

/// Polls until the sessions are over and nothing more comes.
async fn follow(address: String, id: String, ended: watch::Receiver<bool>) -> Result<Reading> {
    let mut client = Client::connect(&address).await?;
    let mut reading = Reading::default();
    loop {
        let over = *ended.borrow();
        let wait = if over { 0 } else { 5 };
        let path = format!("/api/v2/sessions/{id}/changes?from_index={}&wait_for_seconds={wait}", reading.events);
        match client.get(&path).await? {
            (200, answer) => reading.take(&answer)?,
            (204, _) if over => return Ok(reading),
            (204, _) => {}
            (status, _) => anyhow::bail!("changes answered {status}"),
        }
    }
}

/// A message each period, beginning at a time of its own.
async fn talk(address: String, id: String, place: usize, until: Instant) -> Result<()> {
    let mut client = Client::connect(&address).await?;
    let path = format!("/api/v2/sessions/{id}/messages");
    tokio::time::sleep(MESSAGE_INTERVAL * u32::try_from(place)? / u32::try_from(SESSIONS)?).await;
    while Instant::now() < until {
        let (status, _) = client.send(Method::POST, &path, Some(MESSAGE)).await?;
        ensure!(status == 202, "messages answered {status}");
        tokio::time::sleep(MESSAGE_INTERVAL).await;
    }
    Ok(())
}

/// The log as it stands once the last answer is given.
async fn whole_log(client: &mut Client, id: &str) -> Result<Reading> {
    loop {
        let (status, answer) = client.get(&format!("/api/v2/sessions/{id}/status")).await?;
        ensure!(status == 200, "status answered {status}");
        let status: serde_json::Value = serde_json::from_slice(&answer)?;
        if status["status"] == "idle" {
            break;
        }
    }
    let mut reading = Reading::default();
    let (status, answer) = client.get(&format!("/api/v2/sessions/{id}/changes")).await?;
    ensure!(status == 200, "changes answered {status}");
    reading.take(&answer)?;
    Ok(reading)
}
