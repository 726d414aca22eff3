//! The older HTTP transport: one stream of events that the server keeps open, and an address to post messages to.
//! The SDK has no client for it any more; servers of that age are still around.

use super::link::MESSAGE_MAX_BYTES;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use std::{pin::Pin, time::Duration};
use thiserror::Error;
use url::Url;

type Bytes = Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>;

/// How long the server may take to take a message.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// What can go wrong.
#[derive(Debug, Error)]
pub(super) enum SseError {
    #[error("{0}")]
    Http(String),
    #[error("it answered {0}")]
    Status(u16),
    #[error("it did not open a stream of events")]
    NoStream,
    #[error("it did not say where to post messages")]
    NoEndpoint,
    #[error("it wants messages to be posted to another host")]
    ForeignEndpoint,
    #[error("it sent a message of more than {MESSAGE_MAX_BYTES} bytes")]
    TooLong,
}

/// A connection.
pub(super) struct SseTransport {
    events: Option<Events>,
    client: reqwest::Client,
    endpoint: Url,
    headers: HeaderMap,
}

impl SseTransport {
    /// Opens the stream and waits for the server to say where to post.
    pub(super) async fn connect(client: &reqwest::Client, url: &Url, headers: &HeaderMap) -> Result<Self, SseError> {
        let request =
            client.get(url.clone()).headers(headers.clone()).header(http::header::ACCEPT, "text/event-stream");
        let response = request.send().await.map_err(without_address)?;
        if !response.status().is_success() {
            return Err(SseError::Status(response.status().as_u16()));
        }
        let media_type = response.headers().get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if !media_type.is_some_and(|media_type| media_type.starts_with(b"text/event-stream")) {
            return Err(SseError::NoStream);
        }
        let bytes = response.bytes_stream().map(|chunk| chunk.map(Vec::from));
        let mut events = Events::over(Box::pin(bytes));
        let event = events.next().await?.filter(|event| event.name == "endpoint").ok_or(SseError::NoEndpoint)?;
        let endpoint = url.join(event.data.trim()).map_err(|_| SseError::NoEndpoint)?;
        // Headers, secrets among them, go where the user sent them and nowhere else.
        if endpoint.origin() != url.origin() {
            return Err(SseError::ForeignEndpoint);
        }
        Ok(Self { events: Some(events), client: client.clone(), endpoint, headers: headers.clone() })
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = SseError;

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = Result<(), SseError>> + Send + 'static {
        let request = self.client.post(self.endpoint.clone()).headers(self.headers.clone()).timeout(POST_TIMEOUT);
        async move {
            let response = request.json(&message).send().await.map_err(without_address)?;
            let status = response.status();
            if status.is_success() { Ok(()) } else { Err(SseError::Status(status.as_u16())) }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = self.events.as_mut()?.next().await.ok().flatten();
            let Some(event) = event else {
                self.events = None;
                return None;
            };
            if event.name != "message" {
                continue;
            }
            if let Ok(message) = serde_json::from_str(&event.data) {
                return Some(message);
            }
            tracing::debug!("an MCP server sent something that is no message");
        }
    }

    async fn close(&mut self) -> Result<(), SseError> {
        self.events = None;
        Ok(())
    }
}

/// An address may hold a secret.
fn without_address(error: reqwest::Error) -> SseError {
    SseError::Http(error.without_url().to_string())
}

/// A stream of events, cut into them.
struct Events {
    bytes: Bytes,
    buffer: Vec<u8>,
    /// How far it was searched for line ends, and where the last line begins.
    searched: usize,
    line_start: usize,
}

/// An event.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

impl Events {
    fn over(bytes: Bytes) -> Self {
        Self { bytes, buffer: Vec::new(), searched: 0, line_start: 0 }
    }

    /// The next event with data; none at the end of the stream.
    async fn next(&mut self) -> Result<Option<Event>, SseError> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(event) = read(&block) {
                    return Ok(Some(event));
                }
            }
            if self.buffer.len() > MESSAGE_MAX_BYTES {
                return Err(SseError::TooLong);
            }
            match self.bytes.next().await {
                Some(Ok(chunk)) => self.buffer.extend(chunk),
                Some(Err(error)) => return Err(without_address(error)),
                None => return Ok(None),
            }
        }
    }

    /// What stands before the next empty line.
    fn take_block(&mut self) -> Option<String> {
        while let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + found;
            let is_empty = matches!(&self.buffer[self.line_start..end], b"" | b"\r");
            (self.searched, self.line_start) = (end + 1, end + 1);
            if is_empty {
                let block: Vec<u8> = self.buffer.drain(..=end).collect();
                (self.searched, self.line_start) = (0, 0);
                return Some(String::from_utf8_lossy(&block).into_owned());
            }
        }
        self.searched = self.buffer.len();
        None
    }
}

fn read(block: &str) -> Option<Event> {
    let mut name = "message";
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (field, &mut data) {
            ("event", _) => name = value,
            ("data", Some(data)) => {
                data.push('\n');
                data.push_str(value);
            }
            ("data", None) => data = Some(value.to_owned()),
            _ => {}
        }
    }
    data.map(|data| Event { name: name.to_owned(), data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn events_are_found_however_the_bytes_come() {
        let text = ": hello\n\nevent: endpoint\r\ndata: /post?id=1\r\n\r\nid: 7\n\ndata: {\"a\":\ndata:1}\n\n";
        for size in [1, 2, 7, text.len()] {
            let mut events = over(text, size);
            assert_eq!(events.next().await.unwrap(), Some(event("endpoint", "/post?id=1")), "{size}");
            assert_eq!(events.next().await.unwrap(), Some(event("message", "{\"a\":\n1}")), "{size}");
            assert_eq!(events.next().await.unwrap(), None, "{size}");
        }
    }

    #[tokio::test]
    async fn an_event_without_end_is_cut_off() {
        let text = "data: ".to_owned() + &"x".repeat(MESSAGE_MAX_BYTES);
        assert!(matches!(over(&text, 1 << 20).next().await, Err(SseError::TooLong)));
    }

    fn over(text: &str, size: usize) -> Events {
        let chunks: Vec<_> = text.as_bytes().chunks(size).map(|chunk| Ok(chunk.to_vec())).collect();
        Events::over(Box::pin(stream::iter(chunks)))
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }
}
