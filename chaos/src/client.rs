//! Calls to the servers, each written down; and what a server may never answer.

use crate::{
    server::{Server, Stretch},
    world::World,
};
use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::RETRY_AFTER,
};
use hyper_util::rt::TokioIo;
use quarterdeck_test_support::server::API_KEY;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// What an answer may take beyond what the client asked to wait. The server gives a database 5 seconds; the rest is
/// for two of them in a row, and a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(14);
/// One call in so many is given up by its client soon after it began: the server must not mind.
const GIVEN_UP: f64 = 0.03;
const GIVEN_UP_AFTER_MS: std::ops::Range<u64> = 0..40;
/// A connection that nothing was sent on for so long may be closed by the server at the moment we use it.
const CONNECTION_TTL: Duration = Duration::from_secs(4);

/// What came of a call.
pub(crate) enum Outcome {
    /// The server did it, or refuses for good.
    Answered(u16, Bytes),
    /// The server says that it cannot, right now.
    Later,
    /// Nobody knows what became of it.
    Lost,
}

/// A client that goes to another server when one does not serve, as an SDK behind a load balancer does.
pub(crate) struct Client {
    world: Arc<World>,
    random: StdRng,
    at: usize,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    server: usize,
    stretch: Stretch,
    used: Instant,
}

impl Client {
    pub(crate) fn new(world: Arc<World>, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let at = random.random_range(0..world.servers.len());
        Self { world, random, at, connection: None }
    }

    /// The next call goes to this server.
    pub(crate) fn go_to(&mut self, server: usize) {
        self.at = server;
    }

    /// Waits a little, and takes another server.
    pub(crate) async fn back_off(&mut self) {
        self.at = (self.at + 1) % self.world.servers.len();
        sleep(Duration::from_millis(self.random.random_range(30..200))).await;
    }

    pub(crate) async fn get(&mut self, path: &str, wait: Duration) -> Outcome {
        self.call(Method::GET, path, None, None, wait).await
    }

    /// Asks until a server answers, for as long as the run allows.
    pub(crate) async fn get_surely(&mut self, path: &str) -> Result<(u16, Bytes)> {
        loop {
            match self.get(path, Duration::ZERO).await {
                Outcome::Answered(status, body) => return Ok((status, body)),
                Outcome::Later | Outcome::Lost => self.world.check_time(path)?,
            }
            self.back_off().await;
        }
    }

    /// One call. What no server may do is a violation.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<String>,
        wait: Duration,
    ) -> Outcome {
        let server = Arc::clone(&self.world.servers[self.at]);
        let before = server.stretch();
        let started = Instant::now();
        let gives_up = self.world.is_stormy() && self.random.random_bool(GIVEN_UP);
        let after = Duration::from_millis(self.random.random_range(GIVEN_UP_AFTER_MS));
        let patience = if gives_up { after } else { wait + ANSWER_TIMEOUT };
        let result = timeout(patience, self.exchange(&server, before, &method, path, key, body)).await;
        let calm = before.is_calm() && server.stretch() == before && !(gives_up && result.is_err());
        let (said, outcome) = match result {
            Ok(Ok(answer)) => (answer.status.to_string(), self.judge(&method, path, answer)),
            Ok(Err(error)) => (format!("{error:#}"), Outcome::Lost),
            Err(_) => ("no answer in time".to_owned(), Outcome::Lost),
        };
        if matches!(outcome, Outcome::Lost) {
            self.connection = None;
            if calm {
                let text = format!("{method} {path} at server {}, which nothing was done to: {said}", self.at);
                self.world.violation(text);
            }
        }
        self.world.history.call(started, self.at, &method, path, &said);
        if matches!(outcome, Outcome::Answered(201 | 202, _)) {
            self.world.database_works();
        }
        outcome
    }

    fn judge(&self, method: &Method, path: &str, answer: Answer) -> Outcome {
        let Answer { status, retry_after, body } = answer;
        let text = || String::from_utf8_lossy(&body).into_owned();
        match status {
            503 if retry_after => Outcome::Later,
            503 => {
                self.world.violation(format!("{method} {path}: 503 without Retry-After: {}", text()));
                Outcome::Later
            }
            500.. | 401 | 403 | 408 | 413 | 429 => {
                self.world.violation(format!("{method} {path}: {status}: {}", text()));
                Outcome::Later
            }
            _ => Outcome::Answered(status, body),
        }
    }

    async fn exchange(
        &mut self,
        server: &Server,
        stretch: Stretch,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: Option<String>,
    ) -> Result<Answer> {
        let mut connection = self.connection(server, stretch).await?;
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("authorization", format!("Bearer {API_KEY}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        let response = connection.sender.send_request(request).await.context("sending")?;
        let status = response.status().as_u16();
        let retry_after = response.headers().contains_key(RETRY_AFTER);
        let closes = response.headers().get("connection").is_some_and(|value| value == "close");
        let body = response.into_body().collect().await.context("reading")?.to_bytes();
        connection.used = Instant::now();
        self.connection = (!closes).then_some(connection);
        Ok(Answer { status, retry_after, body })
    }

    async fn connection(&mut self, server: &Server, stretch: Stretch) -> Result<Connection> {
        if let Some(mut connection) = self.connection.take() {
            let same = connection.server == server.number() && connection.stretch == stretch;
            if same && connection.used.elapsed() < CONNECTION_TTL && connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let stream = TcpStream::connect(server.address()).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Connection { sender, server: server.number(), stretch, used: Instant::now() })
    }
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Bytes,
}
