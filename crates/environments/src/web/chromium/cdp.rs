//! The Chrome `DevTools` Protocol over a pair of pipes: JSON messages, each ended by a zero byte.
//!
//! Every call has a time limit, and when the browser is gone all calls that wait fail at once. Events are handed to one
//! function on the task that reads; it must not wait for anything, and may [post](Cdp::post) commands.

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

/// Time for one call, unless told otherwise.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A browser that says more in one message is let go of. A picture of 4096 by 4096 pixels has less.
const MESSAGE_MAX_BYTES: u64 = 64 << 20;
/// Commands that wait for the browser to read them.
const COMMANDS_MAX: usize = 4_096;

/// Why a call to the browser failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CdpError {
    /// The browser is gone.
    #[error("the browser has ended")]
    Ended,
    /// No answer came in time.
    #[error("the page does not answer")]
    Late,
    /// The browser refused the call.
    #[error("the browser refused: {0}")]
    Refused(String),
}

/// What the browser says by itself.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) method: String,
    /// The session of the page it is about; none for the browser itself.
    pub(crate) session: Option<String>,
    pub(crate) params: Value,
}

type Answer = Result<Value, CdpError>;

/// A connection to a browser.
#[derive(Clone, Debug)]
pub(crate) struct Cdp {
    commands: mpsc::Sender<String>,
    waiting: Arc<Waiting>,
    next: Arc<AtomicU64>,
    ended: CancellationToken,
}

/// Calls that wait for their answer; none once the browser is gone.
#[derive(Debug)]
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl Waiting {
    fn add(&self, id: u64, answer: oneshot::Sender<Answer>) -> Result<(), CdpError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut().ok_or(CdpError::Ended)?.insert(id, answer);
        Ok(())
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.remove(&id)
    }

    fn fail_all(&self) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (_, answer) in waiting.into_iter().flatten() {
            let _ = answer.send(Err(CdpError::Ended));
        }
    }
}

/// Takes a call out of the list when its future is dropped.
struct Place<'a>(&'a Waiting, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.0.take(self.1));
    }
}

impl Cdp {
    /// Speaks to a browser over its pipes. `on_event` is made of the connection itself.
    pub(crate) fn over<E>(stdin: ChildStdin, stdout: ChildStdout, on_event: impl FnOnce(Self) -> E) -> Self
    where
        E: Fn(Event) + Send + 'static,
    {
        let (commands, to_write) = mpsc::channel(COMMANDS_MAX);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let cdp = Self { commands, waiting, next: Arc::default(), ended: CancellationToken::new() };
        let handler = on_event(cdp.clone());
        let (reading, ended) = (Arc::clone(&cdp.waiting), cdp.ended.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = write(stdin, to_write) => (),
                () = read(BufReader::with_capacity(1 << 16, stdout), &reading, handler) => (),
                () = ended.cancelled() => (),
            }
            ended.cancel();
            reading.fail_all();
        });
        cdp
    }

    /// Calls a method for a page, or for the browser itself.
    pub(crate) async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Answer {
        self.call_within(CALL_TIMEOUT, session, method, params).await
    }

    /// The same with another time limit.
    pub(crate) async fn call_within(
        &self,
        limit: Duration,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Answer {
        let (id, message) = self.message(session, method, &params);
        let (answer, answered) = oneshot::channel();
        self.waiting.add(id, answer)?;
        let _place = Place(&self.waiting, id);
        let calling = async {
            self.commands.send(message).await.map_err(|_| CdpError::Ended)?;
            answered.await.unwrap_or(Err(CdpError::Ended))
        };
        tokio::time::timeout(limit, calling).await.unwrap_or(Err(CdpError::Late))
    }

    /// Sends a command whose answer nobody waits for. A browser that reads none is let go of.
    #[expect(clippy::needless_pass_by_value, reason = "as `call` takes them")]
    pub(crate) fn post(&self, session: Option<&str>, method: &str, params: Value) {
        let (_, message) = self.message(session, method, &params);
        if self.commands.try_send(message).is_err() {
            self.end();
        }
    }

    /// Ends the connection; all calls fail.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Whether the browser is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until it is.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    fn message(&self, session: Option<&str>, method: &str, params: &Value) -> (u64, String) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        (id, message.to_string())
    }
}

async fn write(mut pipe: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<String>) {
    while let Some(message) = messages.recv().await {
        let mut bytes = message.into_bytes();
        bytes.push(0);
        if pipe.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(mut pipe: impl AsyncBufRead + Unpin, waiting: &Waiting, on_event: impl Fn(Event)) {
    let mut message = Vec::new();
    loop {
        message.clear();
        let read = (&mut pipe).take(MESSAGE_MAX_BYTES).read_until(0, &mut message).await;
        if !matches!(read, Ok(1..)) || message.pop() != Some(0) {
            return;
        }
        if let Ok(Value::Object(message)) = serde_json::from_slice(&message) {
            take_in(message, waiting, &on_event);
        }
        // A picture should not be kept room for.
        message.shrink_to(1 << 20);
    }
}

fn take_in(mut message: serde_json::Map<String, Value>, waiting: &Waiting, on_event: &impl Fn(Event)) {
    if let Some(id) = message.get("id").and_then(Value::as_u64) {
        let answer = match message.remove("error") {
            Some(error) => {
                Err(CdpError::Refused(error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()))
            }
            None => Ok(message.remove("result").unwrap_or_default()),
        };
        if let Some(waiter) = waiting.take(id) {
            let _ = waiter.send(answer);
        }
        return;
    }
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let session = text(message.remove("sessionId"));
    if let Some(method) = text(message.remove("method")) {
        on_event(Event { method, session, params: message.remove("params").unwrap_or_default() });
    }
}
