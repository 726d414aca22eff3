//! The kind `mcp`: the tools of MCP servers, over streamable HTTP, the older HTTP with server-sent events, or the
//! standard streams of a program.
//!
//! A server that dies is connected to anew when it is needed next. What a server says, its names and descriptions
//! included, is data from outside: made to fit, cut to size, and told to the model as what it is.

mod content;
mod error;
mod events;
mod exchange;
mod greeting;
mod inbox;
mod json;
mod link;
mod mask;
mod message;
mod names;
mod process;
mod server;
mod sse;
mod stdio;
mod streamable;
mod supervise;
mod tool_list;

pub use supervise::{SUPERVISE, hide_process, supervise};

use crate::{CallError, Environment, Hosting, HostingSettings, Observation, OpenError, Output, Tool};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use quarterdeck_api::{EnvironmentKind, JsonObject, McpEnvironment};
use server::Server;
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Tools of one environment that are offered; servers that have more lose the rest.
const TOOLS_MAX: usize = 128;
/// What tools and their schemas may weigh in all, as JSON.
const TOOLS_MAX_BYTES: usize = 1 << 20;

/// No message of a server may be longer.
const MESSAGE_MAX_BYTES: usize = 8 << 20;

/// Servers of one environment that are connected to at once.
const OPENING_MAX: usize = 4;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct McpLimits {
    pub(crate) connect: Duration,
    pub(crate) start: Duration,
    pub(crate) call: Duration,
}

impl McpLimits {
    pub(crate) fn of(settings: &HostingSettings) -> Self {
        Self { connect: settings.connect_timeout, start: settings.start_timeout, call: settings.call_timeout }
    }
}

/// MCP servers, connected.
#[derive(Debug)]
pub(crate) struct McpEnvironmentOpen {
    servers: Vec<Server>,
    /// The tools as they were last offered: by their name the server and its own name for the tool.
    offered: Mutex<HashMap<String, (usize, String)>>,
}

impl McpEnvironmentOpen {
    /// Connects to all servers, a few at a time. All are required: an agent was set up for their tools.
    pub(crate) async fn open(spec: &McpEnvironment, hosting: &Hosting) -> Result<Self, OpenError> {
        let servers = spec.servers.iter().map(|server| Server::new(server, hosting));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let opening = stream::iter(&servers).map(Ok).try_for_each_concurrent(OPENING_MAX, Server::open);
        opening.await?;
        Ok(Self { servers, offered: Mutex::default() })
    }
}

#[async_trait]
impl Environment for McpEnvironmentOpen {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Mcp
    }

    async fn opening(&self) -> Option<Observation> {
        let said: Vec<_> = self.servers.iter().filter_map(Server::instructions).collect();
        (!said.is_empty()).then(|| Observation::of_text(self.kind().as_str(), said.join("\n\n")))
    }

    async fn tools(&self) -> Vec<Tool> {
        let lists = join_all(self.servers.iter().map(Server::tools)).await;
        let mut taken = HashSet::new();
        let mut offered = HashMap::new();
        let mut tools = Vec::new();
        let mut bytes = 0;
        for (place, (server, list)) in self.servers.iter().zip(lists).enumerate() {
            for tool in list {
                let own = tool.name.clone();
                let tool = server.offer(tool, place, &mut taken);
                bytes += tool.description.len() + size(&tool.input_schema);
                if tools.len() == TOOLS_MAX || bytes > TOOLS_MAX_BYTES {
                    tracing::warn!(server = server.name(), "has more tools than can be offered");
                    break;
                }
                offered.insert(tool.name.clone(), (place, own));
                tools.push(tool);
            }
        }
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = offered;
        tools
    }

    async fn call(&self, tool: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        let known = self.offered.lock().unwrap_or_else(PoisonError::into_inner).get(tool).cloned();
        let (place, own) = known.ok_or_else(|| CallError(format!("there is no tool {tool:?} any more")))?;
        let server = self.servers.get(place).ok_or_else(|| CallError(format!("there is no tool {tool:?}")))?;
        server.call(&own, arguments).await
    }

    async fn close(&self) {
        join_all(self.servers.iter().map(Server::close)).await;
    }
}

fn size(schema: &JsonObject) -> usize {
    serde_json::to_string(schema).map_or(usize::MAX, |text| text.len())
}
