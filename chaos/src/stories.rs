//! What clients do: each creates a session, acts on it, follows it to its end, and holds the servers to their word.

mod interactive;
mod steering;
mod tools;

use crate::{
    client::{Client, Outcome},
    follower::Follower,
    model::{TOOL, Task, answer},
    promises::{Kept, Promises, digest, moments},
    world::World,
};
use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

const SESSIONS: &str = "/api/v2/sessions";

/// One client: one session after another, while the storm lasts.
pub(crate) async fn live(world: Arc<World>, number: u64, seed: u64) -> Vec<Kept> {
    let mut kept = Vec::new();
    for count in 0_u64.. {
        if !world.is_stormy() {
            break;
        }
        let tag = format!("c{number}s{count}");
        let seed = seed ^ (number << 40) ^ (count + 1);
        match Story::new(Arc::clone(&world), tag.clone(), seed).run().await {
            Ok(session) => kept.push(session),
            Err(error) => world.violation(format!("{tag}: {error:#}")),
        }
    }
    kept
}

/// A session's life, as its client sees it.
struct Story {
    world: Arc<World>,
    client: Client,
    random: StdRng,
    tag: String,
    messages: usize,
    owed: Promises,
    key: Option<String>,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Accepted,
    Refused,
    /// It may have been accepted, or may be still.
    Unknown,
}

impl Story {
    fn new(world: Arc<World>, tag: String, seed: u64) -> Self {
        let client = Client::new(Arc::clone(&world), seed);
        let (random, owed) = (StdRng::seed_from_u64(seed), Promises::default());
        Self { world, client, random, tag, messages: 0, owed, key: None }
    }

    async fn run(mut self) -> Result<Kept> {
        let log = match self.random.random_range(0..10) {
            0..3 => self.one_shot().await,
            3..5 => self.with_tools().await,
            5..8 => self.interactive().await,
            _ => self.steered().await,
        }?;
        self.world.counts.turns.fetch_add(self.messages as u64, Ordering::Relaxed);
        for fault in self.owed.broken_by(&log.log, &log.status) {
            self.world.violation(format!("session {}: {fault}", log.id));
        }
        Ok(Kept {
            digest: digest(log.log.iter().map(|event| event.text.as_str())),
            length: log.log.len(),
            moments: moments(&log.log),
            id: log.id,
            key: self.key,
            status: log.status,
        })
    }

    /// Created, followed by two at once, answered.
    async fn one_shot(&mut self) -> Result<Follower> {
        let task = self.task(0, 0..400);
        let mut log = self.create(task, json!({})).await?;
        let mut other = Follower::new(&self.world, &log.id, self.random.random());
        tokio::try_join!(log.until_ended(), other.until_ended())?;
        let same = log.log.iter().zip(&other.log).all(|(one, two)| one.text == two.text);
        ensure!(same && log.log.len() == other.log.len(), "two followers of {} saw different logs", log.id);
        let answered = log.log.iter().find_map(|event| event.answer());
        let expected = self.owed.acknowledged.first().map(|tag| answer(tag)).unwrap_or_default();
        if answered != Some(&Value::String(expected)) {
            bail!("session {} was answered {answered:?}", log.id);
        }
        Ok(log)
    }

    fn task(&mut self, tools: usize, wait_ms: std::ops::Range<u64>) -> Task {
        self.messages += 1;
        let tag = format!("{}m{}", self.tag, self.messages);
        self.owed.sent.insert(tag.clone());
        Task { tag, tools, wait: Duration::from_millis(self.random.random_range(wait_ms)) }
    }

    /// Creates the session, with an idempotency key or (a retry is then another session) without.
    async fn create(&mut self, mut task: Task, extra: Value) -> Result<Follower> {
        let is_keyed = self.random.random_bool(0.7);
        let server = self.random.random_range(0..self.world.servers.len());
        self.client.go_to(server);
        loop {
            let key = is_keyed.then(|| task.tag.clone());
            let path = SESSIONS;
            match self
                .client
                .call(Method::POST, path, key.as_deref(), Some(creation(&task, &extra)), Duration::ZERO)
                .await
            {
                Outcome::Answered(201, body) => {
                    let session: Value = serde_json::from_slice(&body)?;
                    let id = session["id"].as_str().context("a session without an id")?.to_owned();
                    self.owed.acknowledged.push(task.tag.clone());
                    self.owed.sent.insert(task.tag);
                    self.key = key;
                    return Ok(Follower::new(&self.world, &id, self.random.random()));
                }
                Outcome::Answered(409, _) | Outcome::Later | Outcome::Lost if is_keyed => {}
                Outcome::Answered(status, body) => {
                    bail!("creation answered {status}: {}", String::from_utf8_lossy(&body))
                }
                Outcome::Later | Outcome::Lost => {
                    self.owed.sent.remove(&task.tag);
                    task.tag.push('r');
                }
            }
            self.retried("creation").await?;
        }
    }

    async fn retried(&mut self, what: &str) -> Result<()> {
        self.world.check_time(&format!("{} of {}", what, self.tag))?;
        self.world.counts.retries.fetch_add(1, Ordering::Relaxed);
        self.client.back_off().await;
        Ok(())
    }

    /// Sends a command once.
    async fn command_once(&mut self, method: Method, id: &str, name: &str, body: Option<String>) -> Result<Command> {
        let path = format!("{SESSIONS}/{id}{name}");
        match self.client.call(method, &path, None, body, Duration::ZERO).await {
            Outcome::Answered(202 | 204, _) => Ok(Command::Accepted),
            Outcome::Answered(409, _) => Ok(Command::Refused),
            Outcome::Answered(status, body) => bail!("{path} answered {status}: {}", String::from_utf8_lossy(&body)),
            Outcome::Later | Outcome::Lost => Ok(Command::Unknown),
        }
    }

    /// Sends a command that may be repeated, until it is answered.
    async fn command(&mut self, method: Method, id: &str, name: &str) -> Result<Command> {
        loop {
            match self.command_once(method.clone(), id, name, None).await? {
                Command::Unknown => self.retried(name).await?,
                answered @ (Command::Accepted | Command::Refused) => return Ok(answered),
            }
        }
    }

    /// What any server says of the session's status.
    async fn status(&mut self, id: &str) -> Result<String> {
        let (status, body) = self.client.get_surely(&format!("{SESSIONS}/{id}/status")).await?;
        ensure!(status == 200, "status of {id} answered {status}");
        let answer: Value = serde_json::from_slice(&body)?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    async fn cancel(&mut self, id: &str) -> Result<()> {
        // Before it is sent: it may count although its answer is lost.
        self.owed.cancelled = true;
        self.command(Method::DELETE, id, "").await?;
        let status = self.status(id).await?;
        ensure!(is_terminal(&status), "a cancel of {id} was accepted, and it is {status}");
        Ok(())
    }

    async fn pause_for(&mut self, ms: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(ms))).await;
    }
}

pub(crate) fn creation(task: &Task, extra: &Value) -> String {
    let tool = json!({"name": TOOL, "description": "Looks something up.", "input_schema": {"type": "object"}});
    let agent = json!({"name": "chaos", "description": "Does what it is told.", "environments": [], "tools": [tool]});
    let mut body = json!({"agent": agent, "messages": task.text()});
    if let (Some(body), Some(extra)) = (body.as_object_mut(), extra.as_object()) {
        body.extend(extra.clone());
    }
    body.to_string()
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "timed_out" | "interrupted")
}
