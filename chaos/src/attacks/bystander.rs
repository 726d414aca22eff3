//! Another organization, which goes about its business meanwhile, and what the server holds as the system tells it.

use super::http::ask;
use anyhow::{Context, Result};
use hyper::Method;
use std::{
    fmt::{Display, Formatter},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const ASK_INTERVAL: Duration = Duration::from_millis(40);
/// What nobody waits for longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const SESSION: &str = r#"{"messages": "@answer done", "agent": {"name": "calm", "description": "Answers.",
    "environments": [], "tools": [{"name": "unused", "description": "Never called."}]}}"#;

pub(super) struct Bystander {
    address: String,
    key: String,
    process: u32,
}

/// What came of the requests of a while, and the most that the server held in it.
#[derive(Default)]
pub(super) struct Seen {
    took: Vec<Duration>,
    /// Requests that were refused, broke off or took too long.
    pub(super) failed: usize,
    pub(super) memory_mb: u64,
    reasons: Vec<String>,
}

impl Bystander {
    pub(super) fn new(address: String, key: String, process: u32) -> Self {
        Self { address, key, process }
    }

    /// Asks as a calm client does: whether the server is alive, for a new session, for the sessions there are.
    pub(super) async fn watch(&self, length: Duration) -> Seen {
        let mut seen = Seen::default();
        let mut ticks = interval(ASK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let requests = [
            (Method::GET, "/healthz", ""),
            (Method::POST, "/api/v2/sessions", SESSION),
            (Method::GET, "/api/v2/sessions?size=20", ""),
        ];
        let until = Instant::now() + length;
        for (method, path, body) in requests.iter().cycle() {
            ticks.tick().await;
            if Instant::now() >= until {
                break;
            }
            let begun = Instant::now();
            let asked = timeout(ANSWER_TIMEOUT, ask(&self.address, &self.key, method.clone(), path, *body)).await;
            match asked {
                Ok(Ok((200 | 201, _))) => seen.took.push(begun.elapsed()),
                Ok(Ok((status, _))) => seen.fail(format!("{method} {path} answered {status}")),
                Ok(Err(error)) => seen.fail(format!("{method} {path}: {error:#}")),
                Err(_) => seen.fail(format!("{method} {path} took over {ANSWER_TIMEOUT:?}")),
            }
            seen.memory_mb = seen.memory_mb.max(held_mb(self.process).unwrap_or(u64::MAX));
        }
        seen
    }
}

impl Seen {
    pub(super) fn p99(&self) -> Duration {
        self.at(99)
    }

    fn at(&self, percent: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() * percent / 100).copied().unwrap_or_default()
    }

    fn fail(&mut self, reason: String) {
        self.failed += 1;
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

impl Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { took, failed, memory_mb, reasons } = self;
        let count = took.len() + failed;
        write!(f, "at most {memory_mb} MB; others: {count} requests, p50 {:.1?}, p99 {:.1?}", self.at(50), self.p99())?;
        if reasons.is_empty() { Ok(()) } else { write!(f, "; {failed} failed: {}", reasons.join("; ")) }
    }
}

/// What a process holds of the machine's memory.
pub(super) fn held_mb(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the server has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kb: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kb / 1_024)
}
