//! More than a server can take: what becomes of what it accepts, and what it says to the rest.

use crate::{
    model::Task,
    server::{Launch, Server},
    stories::creation,
};
use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use quarterdeck_test_support::server::API_KEY;
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Clients that find out how much the server can take.
const CLIENTS: usize = 64;
/// Connections that offer more than that.
const CONNECTIONS: usize = 1_000;
const TIMES: u32 = 4;
/// How long the server is watched after the flood.
const AFTERWARDS_TIMEOUT: Duration = Duration::from_secs(2);
const TICK_INTERVAL: Duration = Duration::from_millis(10);
/// Nothing that is answered at all may take longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

type Connection = SendRequest<Full<Bytes>>;

/// What came of the creations of a phase.
#[derive(Default)]
struct Tally {
    accepted: Vec<Duration>,
    refused: usize,
    lost: usize,
}

/// Measures the capacity, offers four times as much, and says what happened; whether the server behaved.
pub(crate) async fn run(launch: Launch, length: Duration) -> Result<bool> {
    let server = Server::new(0, launch);
    server.start(ANSWER_TIMEOUT).await?;
    let begun = Instant::now();
    let calm = capacity(&server.address(), length).await?;
    let capacity_per_second = rate(calm.accepted.len(), begun.elapsed());
    println!("  {CLIENTS} clients: {}", calm.describe(capacity_per_second));
    let begun = Instant::now();
    let (storm, offered) = flood(&server.address(), capacity_per_second * f64::from(TIMES), length).await?;
    let took = begun.elapsed();
    println!("  offered {:.0}/s: {}", rate(offered, length), storm.describe(rate(storm.accepted.len(), took)));
    let after = capacity(&server.address(), AFTERWARDS_TIMEOUT).await?;
    println!("  right after it: {}", after.describe(rate(after.accepted.len(), AFTERWARDS_TIMEOUT)));
    server.stop().await?;
    Ok(storm.lost == 0 && after.lost == 0)
}

async fn capacity(address: &str, length: Duration) -> Result<Tally> {
    let end = Instant::now() + length;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut connection = connect(address).await?;
        clients.spawn(async move {
            let mut tally = Tally::default();
            while Instant::now() < end {
                tally.count(&create(&mut connection).await);
            }
            tally
        });
    }
    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        total.add(tally?);
    }
    Ok(total)
}

/// Sends at a rate, whatever comes back: as long as a connection is free. How many were sent comes with it.
async fn flood(address: &str, per_second: f64, length: Duration) -> Result<(Tally, usize)> {
    let idle = Arc::new(Mutex::new(Vec::with_capacity(CONNECTIONS)));
    for _ in 0..CONNECTIONS {
        let connection = connect(address).await?;
        crate::world::lock(&idle).push(connection);
    }
    let total = Arc::new(Mutex::new(Tally::default()));
    let (begun, mut sent) = (Instant::now(), 0);
    let mut ticks = interval(TICK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut requests = JoinSet::new();
    while begun.elapsed() < length {
        ticks.tick().await;
        while number(sent) < per_second * begun.elapsed().as_secs_f64() {
            let Some(mut connection) = crate::world::lock(&idle).pop() else { break };
            sent += 1;
            let (idle, total) = (Arc::clone(&idle), Arc::clone(&total));
            let address = address.to_owned();
            requests.spawn(async move {
                let result = create_anew(&mut connection, &address).await;
                let is_usable = result.is_ok();
                crate::world::lock(&total).count(&result);
                if is_usable {
                    crate::world::lock(&idle).push(connection);
                }
            });
        }
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
    let total = std::mem::take(&mut *crate::world::lock(&total));
    Ok((total, sent))
}

/// A server closes a connection that nobody has used for a while.
async fn create_anew(connection: &mut Connection, address: &str) -> Result<Option<Duration>> {
    if connection.is_closed() {
        *connection = connect(address).await?;
    }
    create(connection).await
}

async fn connect(address: &str) -> Result<Connection> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(sender)
}

/// Creates a session: how long that took, or nothing when the server said that it cannot.
async fn create(connection: &mut Connection) -> Result<Option<Duration>> {
    let task = Task { tag: "overload".into(), tools: 0, wait: Duration::ZERO };
    let request = Request::post("/api/v2/sessions")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {API_KEY}"))
        .body(Full::new(Bytes::from(creation(&task, &json!({})))))?;
    let begun = Instant::now();
    let answered = async {
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
        response.into_body().collect().await?;
        anyhow::Ok((status, retry))
    };
    match timeout(ANSWER_TIMEOUT, answered).await?? {
        (201, _) => Ok(Some(begun.elapsed())),
        (429 | 503, true) => Ok(None),
        (status, _) => anyhow::bail!("it answered {status}"),
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    number(count) / time.as_secs_f64()
}

/// Nothing here comes near what it cannot hold.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Tally {
    fn count(&mut self, result: &Result<Option<Duration>>) {
        match result {
            Ok(Some(took)) => self.accepted.push(*took),
            Ok(None) => self.refused += 1,
            Err(_) => self.lost += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused += other.refused;
        self.lost += other.lost;
    }

    fn describe(&self, rate: f64) -> String {
        let mut took = self.accepted.clone();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
        let (half, most) = (at(50), at(99));
        let Self { refused, lost, .. } = self;
        format!("{rate:.0} created a second, p50 {half:.1?}, p99 {most:.1?}; {refused} told to come later, {lost} lost")
    }
}
