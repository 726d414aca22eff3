//! One connection to an MCP server: a transport, and the SDK's client on it.

use super::{
    mask::Secrets,
    process::{self, Process},
    sse::SseTransport,
};
use crate::{Guard, Hosting};
use http::{HeaderMap, HeaderName, HeaderValue};
use quarterdeck_api::{McpServer, McpTransport};
use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{ClientConfig, Implementation},
    service::{NotificationContext, RunningService},
    transport::{
        StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use std::{
    collections::HashMap,
    ffi::OsString,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// No message of a server may be longer.
pub(super) const MESSAGE_MAX_BYTES: usize = 8 << 20;
/// How long a server may take to hear that we go.
const GOODBYE: Duration = Duration::from_secs(1);

/// How to reach a server.
#[derive(Debug)]
pub(super) enum Route {
    Program { command: Vec<String>, path: OsString, server: McpServer },
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
            let command = settings.commands.get(name).ok_or("its command is not allowed")?;
            let (command, path) = (command.clone(), settings.path.clone());
            return Ok(Self::Program { command, path, server: server.clone() });
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

/// Hears what a server says unasked. Wishes of its own (to ask our model, our user) are refused by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    tools_changed: Arc<AtomicBool>,
}

impl ClientHandler for Listener {
    fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) -> impl Future<Output = ()> + Send + '_ {
        self.tools_changed.store(true, Ordering::Release);
        std::future::ready(())
    }

    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info = Implementation::new("quarterdeck", env!("CARGO_PKG_VERSION"));
        config
    }
}

type Service = RunningService<RoleClient, Listener>;

/// A connection. Dropping it closes it; a program is killed with all that it started.
pub(super) struct Link {
    peer: rmcp::Peer<RoleClient>,
    service: Mutex<Option<Service>>,
    listener: Listener,
    _process: Option<Process>,
}

impl Link {
    /// Connects and greets. Takes as long as it takes: the caller bounds it.
    ///
    /// # Errors
    /// A sentence that may hold secrets.
    pub(super) async fn connect(route: &Route, secrets: &Secrets) -> Result<Self, String> {
        let listener = Listener::default();
        let (service, process) = match route {
            Route::Program { command, path, server } => {
                let (process, stdout, stdin) = process::start(server, command, path, secrets)
                    .map_err(|error| format!("its program cannot be started: {error}"))?;
                let transport = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_MAX_BYTES);
                (listener.clone().serve(transport).await, Some(process))
            }
            Route::Http { url, headers, client, guard } => {
                guard.check(url).map_err(|refused| refused.to_string())?;
                let custom: HashMap<_, _> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(custom)
                    .max_sse_event_size(MESSAGE_MAX_BYTES);
                let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
                (listener.clone().serve(transport).await, None)
            }
            Route::Sse { url, headers, client, guard } => {
                guard.check(url).map_err(|refused| refused.to_string())?;
                let transport = SseTransport::connect(client, url, headers).await.map_err(|error| error.to_string())?;
                (listener.clone().serve(transport).await, None)
            }
        };
        let service = service.map_err(|error| error.to_string())?;
        let peer = service.peer().clone();
        Ok(Self { peer, service: Mutex::new(Some(service)), listener, _process: process })
    }

    pub(super) fn peer(&self) -> &rmcp::Peer<RoleClient> {
        &self.peer
    }

    pub(super) fn is_open(&self) -> bool {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        service.as_ref().is_some_and(|service| !service.is_closed()) && !self.peer.is_transport_closed()
    }

    /// Whether the server said since the last time that its tools are others now.
    pub(super) fn take_tools_changed(&self) -> bool {
        self.listener.tools_changed.swap(false, Ordering::AcqRel)
    }

    /// The tools are to be listed again.
    pub(super) fn note_tools_changed(&self) {
        self.listener.tools_changed.store(true, Ordering::Release);
    }

    /// Says goodbye, if the server listens.
    pub(super) async fn close(&self) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut service) = service {
            drop(service.close_with_timeout(GOODBYE).await);
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
