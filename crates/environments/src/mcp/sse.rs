//! The older HTTP transport: one stream of events that the server keeps open, and an address to post messages to.

use super::{
    MESSAGE_MAX_BYTES,
    error::McpError,
    events::{Cutter, Event, TooLong},
    exchange::{Body, Target, body_of, media_type, whole},
    inbox::Inbox,
    message::Outgoing,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Response;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the server may take to take a message.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(super) struct Sse {
    /// Where messages are posted to.
    target: Target,
    inbox: Arc<Inbox>,
}

/// The stream of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    response: Response,
    cutter: Cutter,
    chunk: Bytes,
    host: String,
}

impl Sse {
    /// Opens the stream and waits for the server to say where to post.
    pub(super) async fn connect(target: Target, inbox: Arc<Inbox>) -> Result<(Self, Stream), McpError> {
        let accept = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/event-stream"))]);
        let response = target.send(Method::GET, accept, None).await?;
        if !response.status().is_success() {
            return Err(target.complaint(response, false).await);
        }
        let host = target.host();
        if body_of(&response) != Body::Events {
            let media_type = media_type(&response);
            return Err(McpError::NotSent(format!(
                "{host} did not open a stream of events, but answered with {media_type}"
            )));
        }
        let mut stream = Stream { response, cutter: Cutter::new(MESSAGE_MAX_BYTES), chunk: Bytes::new(), host };
        let endpoint = loop {
            let event = stream.next().await.map_err(McpError::NotSent)?;
            match event {
                Some(event) if event.name == "endpoint" => break event.data,
                Some(_) => {}
                None => return Err(McpError::NotSent(format!("{} did not say where to post messages", stream.host))),
            }
        };
        let endpoint = String::from_utf8_lossy(&endpoint);
        let url = target.url.join(endpoint.trim().trim_matches('"'));
        let url =
            url.map_err(|_| McpError::NotSent(format!("{} names no address to post messages to", stream.host)))?;
        // Headers, secrets among them, go where the user sent them and nowhere else.
        if url.origin() != target.url.origin() {
            return Err(McpError::NotSent(format!("{} wants messages to be posted to another host", stream.host)));
        }
        Ok((Self { target: Target { url, ..target }, inbox }, stream))
    }

    pub(super) async fn send(&self, message: &Outgoing) -> Result<(), McpError> {
        let exchange = timeout(POST_TIMEOUT, self.post(message)).await;
        exchange.unwrap_or_else(|_| Err(McpError::NoReply(format!("{} did not take a message", self.target.host()))))
    }

    async fn post(&self, message: &Outgoing) -> Result<(), McpError> {
        let accept =
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json, text/plain, */*"))]);
        let response = self.target.send(Method::POST, accept, Some(&message.text)).await?;
        if !response.status().is_success() {
            return Err(self.target.complaint(response, true).await);
        }
        // Some answer here as well as, or instead of, by the stream.
        let is_json = media_type(&response).to_ascii_lowercase().contains("json");
        if let (true, Some(id), Ok(Some(body))) = (is_json, message.id, whole(response).await)
            && body.windows(8).any(|part| part == b"\"result\"")
        {
            self.inbox.take(&body, Some(id));
        }
        Ok(())
    }
}

impl Stream {
    /// Reads the stream to its end, which is the end of the link.
    pub(super) async fn read(mut self, inbox: &Inbox) {
        let why = loop {
            match self.next().await {
                Ok(Some(event)) if event.name == "message" => inbox.take(&event.data, None),
                Ok(Some(_)) => inbox.take(b"", None),
                Ok(None) => break format!("{} ended its stream", self.host),
                Err(why) => break why,
            }
        };
        inbox.end(&why);
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Result<Option<Event>, String> {
        loop {
            let mut rest = &self.chunk[..];
            let event = self.cutter.next(&mut rest);
            let left = rest.len();
            self.chunk = self.chunk.split_off(self.chunk.len() - left);
            match event {
                Ok(Some(event)) => return Ok(Some(event)),
                Err(TooLong) => {
                    return Err(format!("{} sent a message of more than {MESSAGE_MAX_BYTES} bytes", self.host));
                }
                Ok(None) => {}
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(None),
                Err(_) => return Err(format!("the connection to {} broke", self.host)),
            }
        }
    }
}
