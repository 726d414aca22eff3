//! The HTTP transport of today: each message is a POST, whose answer holds the reply as JSON or as a stream of
//! events. A stream that breaks off is taken up where it ended, if the server names its events.

use super::{
    MESSAGE_MAX_BYTES,
    error::McpError,
    events::{Cutter, TooLong},
    exchange::{Body, Target, body_of, media_type, whole},
    inbox::Inbox,
    message::Outgoing,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::Response;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A session id that is longer is not kept.
const SESSION_ID_MAX_BYTES: usize = 4_096;
/// Tries to take up a stream that brought nothing new.
const RESUME_TRIES: u32 = 4;
const RESUME_INTERVAL: Duration = Duration::from_millis(500);
/// The same for the stream of what a server says unasked.
const LISTEN_TRIES: u32 = 6;
const LISTEN_INTERVAL_MAX: Duration = Duration::from_mins(1);

/// A connection.
#[derive(Debug)]
pub(super) struct Streamable {
    target: Target,
    inbox: Arc<Inbox>,
    session: Mutex<HeaderMap>,
    /// Requests say by headers what they are about, from this revision on.
    is_modern: AtomicBool,
    /// Whether replies may come by the stream of what the server says unasked.
    listens: AtomicBool,
}

/// How a stream of events came to its end.
enum End {
    /// The reply is there.
    Settled,
    /// It ended or broke, for this reason.
    Over(String),
}

impl Streamable {
    pub(super) fn new(target: Target, inbox: Arc<Inbox>) -> Self {
        let (is_modern, listens) = (AtomicBool::default(), AtomicBool::default());
        Self { target, inbox, session: Mutex::default(), is_modern, listens }
    }

    /// The version that all requests from now on are of.
    pub(super) fn set_version(&self, version: &str, is_modern: bool) {
        if let Ok(value) = HeaderValue::from_str(version) {
            self.session().insert(VERSION, value);
        }
        self.is_modern.store(is_modern, Ordering::Release);
    }

    pub(super) async fn send(&self, message: &Outgoing) -> Result<(), McpError> {
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        let headers = self.headers(accept, Some(message));
        let response = self.target.send(Method::POST, headers, Some(&message.text)).await?;
        if !response.status().is_success() {
            return Err(self.target.complaint(response, self.has_session()).await);
        }
        if message.method == Some("initialize") {
            self.keep_session(&response);
        }
        match message.id {
            Some(id) => self.read_reply(response, id).await,
            None => Ok(()),
        }
    }

    async fn read_reply(&self, response: Response, id: u64) -> Result<(), McpError> {
        let (host, status) = (self.target.host(), response.status());
        match (status, body_of(&response)) {
            (StatusCode::ACCEPTED | StatusCode::NO_CONTENT, _) if self.listens.load(Ordering::Acquire) => Ok(()),
            (StatusCode::ACCEPTED | StatusCode::NO_CONTENT, _) => {
                Err(McpError::NoReply(format!("{host} answered {status}, without a reply")))
            }
            (_, Body::Events) => self.read_events(response, id).await,
            (_, Body::Json) => self.read_body(response, id).await,
            (_, Body::Other) => {
                Err(McpError::NoReply(format!("{host} answered with {}, not with a message", media_type(&response))))
            }
        }
    }

    async fn read_body(&self, response: Response, id: u64) -> Result<(), McpError> {
        let (host, media_type) = (self.target.host(), media_type(&response));
        let body = whole(response).await.map_err(|error| self.target.fault(error))?;
        let body = body.ok_or_else(|| {
            McpError::NoReply(format!("{host} sent a message of more than {MESSAGE_MAX_BYTES} bytes"))
        })?;
        self.inbox.take(&body, Some(id));
        if self.inbox.is_settled(id) {
            return Ok(());
        }
        let what = if body.trim_ascii().is_empty() { "nothing" } else { "something that is no reply" };
        Err(McpError::NoReply(format!("{host} answered with {what} ({media_type})")))
    }

    /// Reads a stream until the reply came, and takes it up again as long as that brings something.
    async fn read_events(&self, response: Response, id: u64) -> Result<(), McpError> {
        let mut cutter = Cutter::new(MESSAGE_MAX_BYTES);
        let mut response = Some(response);
        let mut tries = 0;
        let mut why = String::new();
        loop {
            let before = cutter.last_id().map(str::to_owned);
            if let Some(response) = response.take() {
                match self.read_stream(response, &mut cutter, Some(id)).await {
                    End::Settled => return Ok(()),
                    End::Over(reason) => why = reason,
                }
            }
            let Some(last) = cutter.last_id().map(str::to_owned) else { break };
            tries = if before.as_ref() == Some(&last) { tries + 1 } else { 1 };
            if tries > RESUME_TRIES {
                break;
            }
            sleep(cutter.retry().unwrap_or(RESUME_INTERVAL)).await;
            cutter = cutter.restarted();
            response = self.open_stream(Some(&last)).await.ok();
        }
        Err(McpError::NoReply(format!("{} sent no reply: {why}", self.target.host())))
    }

    async fn read_stream(&self, mut response: Response, cutter: &mut Cutter, id: Option<u64>) -> End {
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    let last = cutter.finish();
                    if let Some(event) = last {
                        self.inbox.take(&event.data, id);
                    }
                    break;
                }
                Err(error) => return End::Over(self.target.fault(error).to_string()),
            };
            let mut bytes = &chunk[..];
            loop {
                match cutter.next(&mut bytes) {
                    Ok(Some(event)) if event.data.trim_ascii().is_empty() => {}
                    Ok(Some(event)) => self.inbox.take(&event.data, id),
                    Ok(None) => break,
                    Err(TooLong) => {
                        return End::Over(format!("it sent a message of more than {MESSAGE_MAX_BYTES} bytes"));
                    }
                }
                if id.is_some_and(|id| self.inbox.is_settled(id)) {
                    return End::Settled;
                }
            }
        }
        if id.is_some_and(|id| self.inbox.is_settled(id)) { End::Settled } else { End::Over("the stream ended".into()) }
    }

    /// Opens a stream of what the server says unasked, or of what came after an event.
    async fn open_stream(&self, after: Option<&str>) -> Result<Response, McpError> {
        let mut headers = self.headers(HeaderValue::from_static("text/event-stream"), None);
        if let Some(after) = after.and_then(|after| HeaderValue::from_str(after).ok()) {
            headers.insert(LAST_EVENT_ID, after);
        }
        let response = self.target.send(Method::GET, headers, None).await?;
        if response.status() != StatusCode::OK || body_of(&response) != Body::Events {
            return Err(self.target.complaint(response, self.has_session()).await);
        }
        Ok(response)
    }

    /// Hears what the server says unasked, for as long as it likes to say something.
    pub(super) async fn listen(&self) {
        let mut cutter = Cutter::new(MESSAGE_MAX_BYTES);
        let mut tries = 0;
        let mut wait = RESUME_INTERVAL;
        while tries < LISTEN_TRIES {
            tries += 1;
            match self.open_stream(cutter.last_id()).await {
                Ok(response) => {
                    self.listens.store(true, Ordering::Release);
                    let before = std::time::Instant::now();
                    self.read_stream(response, &mut cutter, None).await;
                    if before.elapsed() > LISTEN_INTERVAL_MAX {
                        (tries, wait) = (0, RESUME_INTERVAL);
                    }
                }
                Err(fault) if !fault.may_pass() => break,
                Err(_) => {}
            }
            cutter = cutter.restarted();
            sleep(cutter.retry().unwrap_or(wait)).await;
            wait = (wait * 2).min(LISTEN_INTERVAL_MAX);
        }
        self.listens.store(false, Ordering::Release);
    }

    /// Says goodbye to the session.
    pub(super) async fn close(&self) {
        if self.has_session() {
            let headers = self.headers(HeaderValue::from_static("*/*"), None);
            drop(self.target.send(Method::DELETE, headers, None).await);
        }
    }

    fn headers(&self, accept: HeaderValue, message: Option<&Outgoing>) -> HeaderMap {
        let mut headers = self.session().clone();
        headers.insert(header::ACCEPT, accept);
        let message = message.filter(|_| self.is_modern.load(Ordering::Acquire));
        if let Some(method) = message.and_then(|message| message.method) {
            headers.insert(METHOD, HeaderValue::from_static(method));
        }
        if let Some(tool) = message.and_then(|message| message.tool.as_deref()) {
            headers.insert(NAME, header_text(tool));
        }
        headers
    }

    fn keep_session(&self, response: &Response) {
        if let Some(id) = response.headers().get(SESSION_ID).filter(|id| id.len() <= SESSION_ID_MAX_BYTES) {
            let mut id = id.clone();
            id.set_sensitive(true);
            self.session().insert(SESSION_ID, id);
        }
    }

    fn has_session(&self) -> bool {
        self.session().contains_key(SESSION_ID)
    }

    fn session(&self) -> std::sync::MutexGuard<'_, HeaderMap> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text as the protocol has it in a header: as it is, or wrapped as base64 where that cannot be.
fn header_text(text: &str) -> HeaderValue {
    let is_plain =
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text && !text.starts_with("=?");
    let wrapped = || HeaderValue::try_from(format!("=?base64?{}?=", BASE64_STANDARD.encode(text)));
    let plain = HeaderValue::from_str(text).ok().filter(|_| is_plain);
    plain.or_else(|| wrapped().ok()).unwrap_or(HeaderValue::from_static(""))
}
