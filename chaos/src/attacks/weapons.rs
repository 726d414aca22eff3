//! The attacks.

use super::{
    http::{ask, ask_unread},
    pinger,
};
use anyhow::{Context, Result, ensure};
use hyper::{Method, body::Bytes};
use serde_json::{Value, json};
use std::{convert::Infallible, future::Future, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// Connections with a head that does not end. They come one after the other, within half of the time.
const HEADS: u32 = 4_000;
const SESSIONS: &str = "/api/v2/sessions";
/// Sessions with a first message that is nearly as large as a body may be.
const LARGE_SESSIONS: usize = 50;
const LARGE_BYTES: usize = 9_900_000;
/// How long an attacker holds what it got.
const STAY: Duration = Duration::from_secs(5);
const PATTERN_THAT_BACKTRACKS: &str = r"^(?:(a|aa)+\1c|a+bc)$";

/// Where the attacks are waged, with what was put there for them.
pub(super) struct Field {
    address: String,
    key: String,
    large: Vec<String>,
    pinger: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Weapon {
    Heads,
    UnreadAnswers,
    Bodies,
    Searches,
    Checks,
    Peers,
}

impl Field {
    /// Creates what is attacked with: sessions that are large to list, and a peer.
    pub(super) async fn prepare(address: String, key: &str) -> Result<Self> {
        let mut field = Self { address, key: key.to_owned(), large: Vec::new(), pinger: pinger::start().await? };
        let body = session(&"x".repeat(LARGE_BYTES), &json!({"instructions": "@answer done"}));
        for _ in 0..LARGE_SESSIONS {
            let (status, created) = field.post(SESSIONS, body.clone()).await?;
            ensure!(status == 201, "a large session was answered with {status}: {created}");
            field.large.push(created["id"].as_str().context("a session without an id")?.to_owned());
        }
        Ok(field)
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<(u16, Value)> {
        ask(&self.address, &self.key, Method::POST, path, body).await
    }
}

/// A request for a session.
fn session(message: &str, agent: &Value) -> Bytes {
    let tools = json!([{"name": "unused", "description": "Never called."}]);
    let mut whole = json!({"name": "attacker", "description": "Attacks.", "environments": [], "tools": tools});
    for (name, value) in agent.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    json!({"agent": whole, "messages": message}).to_string().into()
}

impl Weapon {
    pub(super) const ALL: [Self; 6] =
        [Self::Heads, Self::UnreadAnswers, Self::Bodies, Self::Searches, Self::Checks, Self::Peers];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heads => "4,000 heads of 390 KB, unfinished",
            Self::UnreadAnswers => "200 pages of 500 MB of messages, unread",
            Self::Bodies => "40,000 tools and overrides, 10 MB lists",
            Self::Searches => "12 searches of 500 MB at once",
            Self::Checks => "formats that backtrack, 20 at once",
            Self::Peers => "8 MCP servers that ping without end",
        }
    }

    /// Attacks until then. It does not end by itself: whoever watches ends it.
    pub(super) async fn wage(self, field: &Field, until: Instant) -> Infallible {
        let mut attackers = JoinSet::new();
        match self {
            Self::Heads => {
                let between = until.duration_since(Instant::now()) / 2 / HEADS;
                for number in 0..HEADS {
                    repeat(&mut attackers, until, (field.address.clone(), between * number), head);
                }
            }
            Self::UnreadAnswers => {
                for number in 0..200 {
                    let id = &field.large[number % field.large.len()];
                    let paths = [
                        format!("{SESSIONS}?size=100"),
                        format!("{SESSIONS}/{id}/events?size=200"),
                        format!("{SESSIONS}/{id}/changes"),
                    ];
                    let asked = (field.address.clone(), field.key.clone(), paths[number % paths.len()].clone());
                    repeat(&mut attackers, until, asked, unread);
                }
            }
            Self::Bodies => {
                for body in [overridden(), overridden(), overridden(), listed(), listed(), listed(), listed()] {
                    repeat(&mut attackers, until, (field.address.clone(), field.key.clone(), body), create);
                }
            }
            Self::Searches => {
                for number in 0..12 {
                    let path = format!("{SESSIONS}?search=nowhere{number}");
                    repeat(&mut attackers, until, (field.address.clone(), field.key.clone(), path), get);
                }
            }
            Self::Checks => {
                for body in [backtracking(), backtracking(), enumerated(), patterned()].into_iter().cycle().take(20) {
                    repeat(&mut attackers, until, (field.address.clone(), field.key.clone(), body), create);
                }
            }
            Self::Peers => {
                for _ in 0..8 {
                    let body = pinged(&field.pinger);
                    repeat(&mut attackers, until, (field.address.clone(), field.key.clone(), body), create);
                }
            }
        }
        sleep_until(until).await;
        attackers.abort_all();
        std::future::pending().await
    }
}

/// Does the same over and over. What the server refuses or breaks off is its defence.
fn repeat<A, F>(attackers: &mut JoinSet<()>, until: Instant, with: A, attack: fn(A) -> F)
where
    A: Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    attackers.spawn(async move {
        while Instant::now() < until {
            if attack(with.clone()).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
}

/// A client that is slow, and stays: what is refused to it does not make it come again at once.
async fn head((address, after): (String, Duration)) -> Result<()> {
    sleep(after).await;
    let mut stream = TcpStream::connect(address).await?;
    let line = format!("x-{}: {}\r\n", "a".repeat(10), "b".repeat(980));
    let sent = async {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n").await?;
        for _ in 0..390 {
            stream.write_all(line.as_bytes()).await?;
        }
        anyhow::Ok(())
    };
    let _refused = sent.await;
    sleep(STAY).await;
    Ok(())
}

async fn unread((address, key, path): (String, String, String)) -> Result<()> {
    let _held = ask_unread(&address, &key, &path).await?;
    sleep(STAY).await;
    Ok(())
}

async fn get((address, key, path): (String, String, String)) -> Result<()> {
    ask(&address, &key, Method::GET, &path, "").await?;
    Ok(())
}

async fn create((address, key, body): (String, String, Bytes)) -> Result<()> {
    let (status, created) = ask(&address, &key, Method::POST, SESSIONS, body).await?;
    if let (201, Some(id)) = (status, created["id"].as_str()) {
        sleep(Duration::from_secs(1)).await;
        ask(&address, &key, Method::POST, &format!("{SESSIONS}/{id}/cancel"), "").await?;
    }
    Ok(())
}

fn overridden() -> Bytes {
    let tools: Vec<Value> = (0..40_000).map(|n| json!({"name": format!("t{n}"), "description": "d"})).collect();
    let overrides: serde_json::Map<String, Value> =
        (0..40_000).map(|n| (format!("agent.tools[name=t{n}].description"), json!("x"))).collect();
    let agent = json!({"name": "attacker", "description": "d", "environments": [], "tools": tools});
    json!({"agent": agent, "messages": "@answer done", "overrides": overrides}).to_string().into()
}

/// A list in the place of a message: each entry is wrong.
fn listed() -> Bytes {
    let entries = vec![r#"{"a":1}"#; 1_200_000].join(",");
    format!(r#"{{"agent": {{"name": "attacker", "description": "d"}}, "messages": [{entries}]}}"#).into()
}

fn backtracking() -> Bytes {
    let items: Vec<Value> = (0..50).map(|_| json!({"pattern": PATTERN_THAT_BACKTRACKS})).collect();
    let answer = json!(vec!["a".repeat(60); 2_000]);
    session(&format!("@answer {answer}"), &json!({"answer_format": {"items": {"allOf": items}}}))
}

fn enumerated() -> Bytes {
    let objects: Vec<Value> = (0..60_000).map(|n| json!({"n": n})).collect();
    let answer = json!(vec![json!({"n": -1}); 60_000]);
    session(&format!("@answer {answer}"), &json!({"answer_format": {"items": {"enum": objects}}}))
}

fn patterned() -> Bytes {
    let all: Vec<Value> = (0..800).map(|_| json!({"pattern": "[a-z]{100000}"})).collect();
    session("@answer x", &json!({"answer_format": {"allOf": all}}))
}

fn pinged(url: &str) -> Bytes {
    let server = json!({"name": "peer", "transport": "streamable_http", "url": url});
    let environments = json!([{"id": "tools", "kind": "mcp", "servers": [server]}]);
    session("@call peer_ping {}\n@answer done", &json!({"environments": environments}))
}
