//! One exchange over HTTP: a request, redirects within the same origin, and an answer that is read within bounds.

use super::{
    MESSAGE_MAX_BYTES,
    error::{BadStatus, McpError},
    json,
    message::{self, Message},
};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::Response;
use std::{error::Error, time::Duration};
use url::Url;

const REDIRECTS_MAX: usize = 5;
/// How much of the body of a bad status is read, and how many characters of it are told.
const COMPLAINT_MAX_BYTES: usize = 64 * 1024;
const COMPLAINT_MAX: usize = 300;
/// How long a bad status may take to say why.
const COMPLAINT_TIMEOUT: Duration = Duration::from_secs(5);

/// What goes to a server with every request.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) client: reqwest::Client,
}

/// What an answer holds, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Events,
    /// JSON, or what may be.
    Json,
    /// HTML and the like.
    Other,
}

impl Target {
    /// Host and port, for sentences. The rest of an address may hold secrets.
    pub(super) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Sends a request, and again to where it is redirected within the same origin. Any status comes back but that of
    /// a redirect.
    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<&str>,
    ) -> Result<Response, McpError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.client.request(method.clone(), url.clone());
            request = request.headers(self.headers.clone()).headers(headers.clone());
            if let Some(body) = body {
                request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
            }
            let response = request.send().await.map_err(|error| self.fault(error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            url = self.redirected(&url, &response)?;
        }
        Err(McpError::NotSent(format!("{} redirects without end", self.host())))
    }

    /// Credentials stay with the origin that they were meant for.
    fn redirected(&self, from: &Url, response: &Response) -> Result<Url, McpError> {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| from.join(location).ok());
        let Some(to) = to else {
            return Err(McpError::NotSent(format!("{} redirects to no address", self.host())));
        };
        if to.origin() == from.origin() {
            return Ok(to);
        }
        let (host, origin) = (self.host(), to.origin().ascii_serialization());
        Err(McpError::NotSent(format!("{host} redirects to another origin, {origin}, which is not followed")))
    }

    /// A sentence with host and reason. Whether the server may have had the request.
    pub(super) fn fault(&self, error: reqwest::Error) -> McpError {
        let was_sent = !(error.is_connect() || error.is_builder() || error.is_request() && is_refused(&error));
        let host = self.host();
        let reason = reason(&error.without_url());
        if was_sent {
            McpError::NoReply(format!("the connection to {host} broke: {reason}"))
        } else {
            McpError::NotSent(format!("no connection to {host}: {reason}"))
        }
    }

    /// What a bad status means. Reads the beginning of its body.
    pub(super) async fn complaint(&self, response: Response, has_session: bool) -> McpError {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let is_page = body_of(&response) == Body::Other;
        let text = tokio::time::timeout(COMPLAINT_TIMEOUT, beginning(response, COMPLAINT_MAX_BYTES)).await;
        let text = text.unwrap_or_default();
        let refusal = json::sound(&text).and_then(|text| {
            message::read(&text).into_iter().find_map(|message| match message {
                Message::Reply { outcome, .. } => outcome.err(),
                Message::Request { .. } | Message::Notification { .. } | Message::Odd { .. } => None,
            })
        });
        let words = match &refusal {
            Some(refusal) => refusal.message.clone(),
            None if is_page => String::new(),
            None => String::from_utf8_lossy(&text).trim().to_owned(),
        };
        let words: String = words.chars().take(COMPLAINT_MAX).collect();
        let is_lost = has_session && (status == StatusCode::NOT_FOUND || status == StatusCode::GONE || lost(&words));
        let status = BadStatus { host: self.host(), status, words, retry_after, refusal };
        if is_lost { McpError::SessionLost(status.to_string()) } else { McpError::Status(Box::new(status)) }
    }
}

/// Whether these words say that a session is not there any more. Servers say it with many a status.
fn lost(words: &str) -> bool {
    const GONE: [&str; 9] = [
        "not found",
        "unknown",
        "expired",
        "invalid",
        "no valid",
        "terminated",
        "not initialized",
        "missing",
        "closed",
    ];
    let words = words.to_ascii_lowercase();
    words.contains("session") && GONE.iter().any(|gone| words.contains(gone))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}

/// The connection was there and was turned away at once.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.to_string().contains("refused") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The innermost cause that says something, without the types around it.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !said.is_empty() {
            reason = said;
        }
        source = cause.source();
    }
    // Operating systems add their number for it.
    reason.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The kind of body, whatever parameters and letters its type is written with. Without a type it is looked at.
pub(super) fn body_of(response: &Response) -> Body {
    let media_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let media_type = String::from_utf8_lossy(media_type.as_deref().unwrap_or_default()).into_owned();
    let essence = media_type.split([';', ',']).next().unwrap_or_default().trim().to_owned();
    match essence.as_str() {
        "text/event-stream" => Body::Events,
        "text/html" | "application/xhtml+xml" => Body::Other,
        _ => Body::Json,
    }
}

/// The type of a body, for sentences.
pub(super) fn media_type(response: &Response) -> String {
    let media_type =
        response.headers().get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    media_type.map_or_else(|| "no type".into(), |media_type| media_type.chars().take(100).collect())
}

/// A whole body; none if it is longer than a message may be.
pub(super) async fn whole(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MESSAGE_MAX_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

async fn beginning(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < max_bytes
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = max_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    body
}
