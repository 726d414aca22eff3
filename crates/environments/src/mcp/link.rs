//! One connection to an MCP server: a transport, the greeting, and requests over it.

use super::{
    error::McpError,
    exchange::Target,
    inbox::{Inbox, Waiting},
    mask::Secrets,
    message::Outgoing,
    process::{self, Process, Program, Started},
    sse::Sse,
    stdio::{self, Stdio},
    streamable::Streamable,
};
use crate::{Guard, Hosting};
use http::{HeaderMap, HeaderName, HeaderValue};
use quarterdeck_api::{JsonObject, McpServer, McpTransport};
use serde_json::{Value, json, value::RawValue};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinSet,
    time::timeout,
};

/// How long a server may take to hear that we go.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one answer of ours may take to be sent; others wait meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the rest of an exchange is read after its reply, to use the connection again.
const TAIL_TIMEOUT: Duration = Duration::from_millis(20);

/// How to reach a server.
#[derive(Debug)]
pub(super) enum Route {
    Program { program: Program, server: McpServer },
    Http { url: url::Url, headers: HeaderMap, client: reqwest::Client, guard: Guard },
    Sse { url: url::Url, headers: HeaderMap, client: reqwest::Client, guard: Guard },
}

impl Route {
    /// # Errors
    /// A sentence that says what is wrong with the server's settings.
    pub(super) fn of(server: &McpServer, hosting: &Hosting) -> Result<Self, String> {
        let settings = hosting.settings();
        if server.transport == McpTransport::Stdio {
            let name = server.command.as_deref().unwrap_or_default();
            let command = settings.commands.get(name).ok_or("its command is not allowed")?.clone();
            let program = Program { command, path: settings.path.clone(), supervisor: settings.supervisor.clone() };
            return Ok(Self::Program { program, server: server.clone() });
        }
        let guard = settings.guard.clone();
        let url = guard.parse(server.url.as_deref().unwrap_or_default()).map_err(|refused| refused.to_string())?;
        let headers = headers(server)?;
        let client = hosting.client()?;
        Ok(match server.transport {
            McpTransport::Sse => Self::Sse { url, headers, client, guard },
            McpTransport::StreamableHttp | McpTransport::Stdio => Self::Http { url, headers, client, guard },
        })
    }

    /// The same address by the older HTTP transport.
    pub(super) fn older(&self) -> Option<Self> {
        match self {
            Self::Http { url, headers, client, guard } => {
                let (url, headers, client, guard) = (url.clone(), headers.clone(), client.clone(), guard.clone());
                Some(Self::Sse { url, headers, client, guard })
            }
            Self::Sse { .. } | Self::Program { .. } => None,
        }
    }
}

/// Headers that are ours to set cannot be set by others.
fn headers(server: &McpServer) -> Result<HeaderMap, String> {
    const OURS: [&str; 6] = ["host", "content-length", "content-type", "accept", "transfer-encoding", "connection"];
    let mut headers = HeaderMap::new();
    for (name, value) in &server.headers {
        let wrong = || format!("its header {name:?} cannot be sent");
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        if OURS.contains(&key.as_str()) || key.as_str().starts_with("mcp-") {
            return Err(wrong());
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

#[derive(Debug)]
enum Transport {
    Program(Stdio),
    Http(Streamable),
    Sse(Sse),
}

impl Transport {
    /// Sends a message. Over HTTP it ends when the exchange does, and fails when that brought no reply.
    async fn send(&self, message: &Outgoing) -> Result<(), McpError> {
        match self {
            Self::Program(stdio) => stdio.send(message).await,
            Self::Http(streamable) => streamable.send(message).await,
            Self::Sse(sse) => sse.send(message).await,
        }
    }
}

/// A connection. Dropping it closes it; a program is ended with all that it started.
#[derive(Debug)]
pub(super) struct Link {
    inbox: Arc<Inbox>,
    transport: Arc<Transport>,
    process: AsyncMutex<Option<Process>>,
    /// What reads and answers; ended with the link.
    tasks: Mutex<JoinSet<()>>,
    /// What every request says of us, in revisions without a greeting.
    about_us: Mutex<Option<Value>>,
}

impl Link {
    /// Connects. Takes as long as it takes: the caller bounds it. The server is to be greeted next.
    pub(super) async fn connect(route: &Route, secrets: &Secrets) -> Result<Self, McpError> {
        let (inbox, answers) = Inbox::new();
        let mut tasks = JoinSet::new();
        let mut process = None;
        let transport = match route {
            Route::Program { program, server } => {
                let started = process::start(server, program, secrets);
                let started =
                    started.map_err(|error| McpError::NotSent(format!("its program cannot be started: {error}")))?;
                let Started { process: started, stdout, stdin } = started;
                process = Some(started);
                let (stdio, lines) = Stdio::new();
                tasks.spawn(stdio::read(stdout, Arc::clone(&inbox)));
                // Where nobody reads, the reading side ends as well, and says so.
                tasks.spawn(async move { drop(stdio::write(lines, stdin).await) });
                Transport::Program(stdio)
            }
            Route::Http { url, headers, client, guard } => {
                let target = target(url, headers, client, guard)?;
                Transport::Http(Streamable::new(target, Arc::clone(&inbox)))
            }
            Route::Sse { url, headers, client, guard } => {
                let target = target(url, headers, client, guard)?;
                let (sse, stream) = Sse::connect(target, Arc::clone(&inbox)).await?;
                let reader = Arc::clone(&inbox);
                tasks.spawn(async move { stream.read(&reader).await });
                Transport::Sse(sse)
            }
        };
        let transport = Arc::new(transport);
        tasks.spawn(answer(answers, Arc::clone(&transport), Arc::clone(&inbox)));
        let (process, tasks) = (AsyncMutex::new(process), Mutex::new(tasks));
        Ok(Self { inbox, transport, process, tasks, about_us: Mutex::default() })
    }

    /// Asks for something and waits for the reply. When it is dropped meanwhile, the server is told.
    pub(super) async fn request(
        &self,
        method: &'static str,
        mut params: JsonObject,
    ) -> Result<Box<RawValue>, McpError> {
        if let Some(why) = self.inbox.why_ended() {
            return Err(McpError::NotSent(why));
        }
        if let Some(about_us) = self.about_us.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            params.insert("_meta".into(), about_us);
        }
        let mut asked = Asked { waiting: self.inbox.expect(), inbox: &self.inbox, is_open: method != "initialize" };
        let message = Outgoing::request(asked.waiting.id(), method, &params);
        let sending = self.transport.send(&message);
        tokio::pin!(sending);
        let outcome = tokio::select! {
            biased;
            reply = asked.waiting.reply() => {
                drop(timeout(TAIL_TIMEOUT, sending).await);
                reply
            }
            sent = &mut sending => match sent {
                Ok(()) => asked.waiting.reply().await,
                Err(fault) => Err(fault),
            },
        };
        asked.is_open = false;
        outcome
    }

    pub(super) async fn notify(&self, method: &'static str) -> Result<(), McpError> {
        self.transport.send(&Outgoing::notification(method, &json!({}))).await
    }

    /// What was agreed on with the server. `about_us` goes with every request from now on.
    pub(super) fn agree(&self, version: &str, about_us: Option<Value>) {
        if let Transport::Http(streamable) = &*self.transport {
            streamable.set_version(version, about_us.is_some());
        }
        *self.about_us.lock().unwrap_or_else(PoisonError::into_inner) = about_us;
    }

    /// Hears what the server says unasked, where that needs a connection of its own.
    pub(super) fn listen(&self) {
        if !matches!(&*self.transport, Transport::Http(_)) {
            return;
        }
        let (transport, inbox) = (Arc::clone(&self.transport), Arc::clone(&self.inbox));
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            if let Transport::Http(streamable) = &*transport {
                tokio::select! {
                    () = streamable.listen() => {}
                    () = inbox.until_ended() => {}
                }
            }
        });
    }

    pub(super) fn is_open(&self) -> bool {
        self.inbox.why_ended().is_none()
    }

    /// Why no request can succeed any more; the next one connects anew.
    pub(super) fn end(&self, why: &str) {
        self.inbox.end(why);
    }

    /// Whether the server said since the last time that its tools are others now.
    pub(super) fn take_tools_changed(&self) -> bool {
        self.inbox.take_tools_changed()
    }

    /// The tools are to be listed again.
    pub(super) fn note_tools_changed(&self) {
        self.inbox.note_tools_changed();
    }

    /// Says goodbye, if the server listens.
    pub(super) async fn close(&self) {
        let goodbye = async {
            match &*self.transport {
                Transport::Program(stdio) => {
                    stdio.close();
                    if let Some(process) = &mut *self.process.lock().await {
                        process.until_gone().await;
                    }
                }
                Transport::Http(streamable) => streamable.close().await,
                Transport::Sse(_) => {}
            }
        };
        drop(timeout(GOODBYE_TIMEOUT, goodbye).await);
        self.inbox.end("the connection was closed");
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        drop(self.process.lock().await.take());
    }
}

fn target(url: &url::Url, headers: &HeaderMap, client: &reqwest::Client, guard: &Guard) -> Result<Target, McpError> {
    guard.check(url).map_err(|refused| McpError::NotSent(refused.to_string()))?;
    Ok(Target { url: url.clone(), headers: headers.clone(), client: client.clone() })
}

/// Sends answers one at a time, so that a server which does not take them has no more than one of them open.
async fn answer(mut answers: mpsc::Receiver<Outgoing>, transport: Arc<Transport>, inbox: Arc<Inbox>) {
    while inbox.why_ended().is_none()
        && let Some(answer) = answers.recv().await
    {
        tokio::select! {
            sent = timeout(ANSWER_TIMEOUT, transport.send(&answer)) => drop(sent),
            () = inbox.until_ended() => return,
        }
    }
}

/// A request under way.
struct Asked<'l> {
    waiting: Waiting,
    inbox: &'l Inbox,
    /// Whether the server may be at work on it.
    is_open: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_open {
            let params = json!({"requestId": self.waiting.id(), "reason": "nobody waits for it any more"});
            self.inbox.send_if_there_is_room(Outgoing::notification("notifications/cancelled", &params));
        }
    }
}
