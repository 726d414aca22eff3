//! Environments: where an agent acts.

use crate::mask::MASK;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

/// An environment, told apart by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schema(example = json!({"kind": "web", "id": "acme/shop", "start_url": "https://example.com"}))]
pub enum Environment {
    /// A browser.
    Web(Browser),
    /// A desktop.
    Desktop(Desktop),
    /// An Android device.
    Android(Android),
    /// A code sandbox.
    Code(CodeSandbox),
    /// Tools of MCP servers.
    Mcp(McpEnvironment),
    /// Key-value memory that outlives the session.
    Memory(Memory),
    /// A shell with a workspace.
    Workstation(Workstation),
}

impl Environment {
    /// Its kind.
    pub fn kind(&self) -> EnvironmentKind {
        match self {
            Self::Web(_) => EnvironmentKind::Web,
            Self::Desktop(_) => EnvironmentKind::Desktop,
            Self::Android(_) => EnvironmentKind::Android,
            Self::Code(_) => EnvironmentKind::Code,
            Self::Mcp(_) => EnvironmentKind::Mcp,
            Self::Memory(_) => EnvironmentKind::Memory,
            Self::Workstation(_) => EnvironmentKind::Workstation,
        }
    }
}

/// The kinds of environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// A browser.
    Web,
    /// A desktop.
    Desktop,
    /// An Android device.
    Android,
    /// A code sandbox.
    Code,
    /// Tools of MCP servers.
    Mcp,
    /// Key-value memory.
    Memory,
    /// A shell with a workspace.
    Workstation,
}

impl EnvironmentKind {
    /// All of them, by the word on the wire.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("web", Self::Web),
        ("desktop", Self::Desktop),
        ("android", Self::Android),
        ("code", Self::Code),
        ("mcp", Self::Mcp),
        ("memory", Self::Memory),
        ("workstation", Self::Workstation),
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Desktop => "desktop",
            Self::Android => "android",
            Self::Code => "code",
            Self::Mcp => "mcp",
            Self::Memory => "memory",
            Self::Workstation => "workstation",
        }
    }
}

/// Whose machine an environment runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// The user's, through a bridge.
    UserDevice,
    /// The server's.
    Cloud,
}

/// A browser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the contract's fields")]
pub struct Browser {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// Whose machine it runs on.
    #[schema(required = false, default = "cloud")]
    pub host: Host,
    /// The first page.
    #[schema(required = false, default = "https://www.bing.com")]
    pub start_url: String,
    /// Whether it draws no window.
    #[schema(required = false, default = false)]
    pub headless: bool,
    /// An open bridge or browser to use.
    pub session_id: Option<String>,
    /// How pages are shown to the agent.
    #[schema(required = false)]
    pub mode: BrowserMode,
    /// Whether it starts only when first used.
    #[schema(required = false, default = false)]
    pub lazy: bool,
    /// Seconds to wait after an action before looking, 0 to 10.
    #[schema(minimum = 0, maximum = 10, required = false, default = 1.0)]
    pub settle_s: f64,
    /// The vault that holds its secrets.
    pub vault_id: Option<Uuid>,
    /// The profile to start with.
    pub browser_profile_id: Option<Uuid>,
    /// Whether to start with the user's default profile.
    #[schema(required = false, default = false)]
    pub use_default_browser_profile: bool,
    /// Whether to save the profile at the end.
    #[schema(required = false, default = false)]
    pub persist_browser_profile: bool,
    /// How it reaches the network.
    pub network: Option<BrowserNetwork>,
}

/// How pages are shown to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum BrowserMode {
    /// As screenshots.
    Visual {
        /// Width in pixels.
        #[schema(exclusive_minimum = 0, required = false, default = 1200)]
        width: i64,
        /// Height in pixels.
        #[schema(exclusive_minimum = 0, required = false, default = 1200)]
        height: i64,
        /// Whether the page's text comes along.
        #[schema(required = false, default = false)]
        markdown: bool,
    },
    /// As text.
    Text {
        /// Characters shown at once.
        #[schema(exclusive_minimum = 0, required = false, default = 20000)]
        chunk_size: i64,
    },
}

/// How a browser reaches the network: at most one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BrowserNetwork {
    /// A proxy; reads back as `***`.
    pub proxy_url: Option<String>,
    /// A proxy that the platform runs.
    pub managed_proxy: Option<ManagedProxy>,
}

/// A proxy that the platform runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ManagedProxy {
    /// Two-letter country code.
    pub country: Option<String>,
    /// Whether the address stays the same.
    #[schema(required = false, default = true)]
    pub sticky: bool,
    /// Kind of address.
    #[schema(required = false, default = "residential")]
    pub pool: ProxyPool,
}

/// Kind of proxy address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyPool {
    /// Homes.
    Residential,
    /// Data centres.
    Datacenter,
    /// Internet providers.
    Isp,
    /// Mobile networks.
    Mobile,
}

/// A desktop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Desktop {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// Whose machine it runs on.
    #[schema(required = false, default = "cloud")]
    pub host: Host,
    /// An open bridge to use.
    pub session_id: Option<String>,
    /// Whether it starts only when first used.
    #[schema(required = false, default = false)]
    pub lazy: bool,
    /// Seconds to wait after an action before looking, 0 to 10.
    #[schema(minimum = 0, maximum = 10, required = false, default = 0.5)]
    pub settle_s: f64,
    /// Screenshots are scaled down to this width in pixels, 1 to 1920.
    #[schema(exclusive_minimum = 0, maximum = 1920)]
    pub screenshot_max_width: Option<i64>,
}

/// An Android device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Android {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// An open device to use.
    pub session_id: Option<String>,
    /// The system image.
    pub image: Option<String>,
    /// Whether it starts only when first used.
    #[schema(required = false, default = false)]
    pub lazy: bool,
}

/// A code sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CodeSandbox {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// Python packages to install.
    #[schema(required = false)]
    pub pip_packages: Vec<String>,
    /// Environment variables; values read back as `***`.
    #[schema(required = false)]
    pub env: BTreeMap<String, String>,
    /// MCP servers reachable from inside.
    #[schema(required = false)]
    pub mcp_servers: Vec<McpServer>,
    /// Whether it starts only when first used.
    #[schema(required = false, default = false)]
    pub lazy: bool,
}

/// Tools of MCP servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct McpEnvironment {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// The servers, at least one.
    #[schema(min_items = 1)]
    pub servers: Vec<McpServer>,
}

/// One MCP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct McpServer {
    /// Letters, digits, `_`, `.` and `-`.
    #[schema(min_length = 1, pattern = "^[A-Za-z0-9_.-]+$")]
    pub name: String,
    /// How it is spoken to.
    pub transport: McpTransport,
    /// The program, for `stdio`.
    pub command: Option<String>,
    /// Its arguments; read back as `***`.
    #[schema(required = false)]
    pub args: Vec<String>,
    /// Its environment variables; values read back as `***`.
    #[schema(required = false)]
    pub env: BTreeMap<String, String>,
    /// The address, for the HTTP transports.
    pub url: Option<String>,
    /// Headers to send; values read back as `***`.
    #[schema(required = false)]
    pub headers: BTreeMap<String, String>,
}

impl McpServer {
    /// Whether what `before` may know goes to nobody else when `self` is told it: the same address to the letter, or the
    /// same program with the same arguments and variables, for these, too, say where it sends what it knows. A `***`
    /// stands for what was there before.
    pub(crate) fn is_where(&self, before: &Self) -> bool {
        let is_same = |now: &String, before: &String| now == before || now == MASK;
        let has_same_args = self.args.len() == before.args.len()
            && self.args.iter().zip(&before.args).all(|(now, before)| is_same(now, before));
        let has_same_env = self.env.len() == before.env.len()
            && self.env.iter().all(|(name, now)| before.env.get(name).is_some_and(|before| is_same(now, before)));
        self.transport == before.transport
            && match self.transport {
                McpTransport::Stdio => self.command == before.command && has_same_args && has_same_env,
                McpTransport::StreamableHttp | McpTransport::Sse => address(self) == address(before),
            }
    }
}

/// The address in its normal form; as it is where it is none.
fn address(server: &McpServer) -> Option<String> {
    let url = server.url.as_deref()?;
    Some(Url::parse(url).map_or_else(|_| url.to_owned(), String::from))
}

/// How an MCP server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpTransport {
    /// A child process.
    Stdio,
    /// HTTP, one endpoint.
    StreamableHttp,
    /// HTTP with server-sent events.
    Sse,
}

/// Key-value memory that outlives the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// Which memory.
    #[schema(min_length = 1)]
    pub namespace: String,
}

/// A shell with a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Workstation {
    /// Catalog id.
    #[schema(min_length = 1)]
    pub id: String,
    /// Whose machine it runs on.
    #[schema(required = false, default = "cloud")]
    pub host: Host,
    /// An open bridge to use.
    pub session_id: Option<String>,
    /// Where its files are kept.
    pub storage: Option<WorkstationStorage>,
    /// Whether it starts only when first used.
    #[schema(required = false, default = false)]
    pub lazy: bool,
}

/// Where a workstation's files are kept: exactly one of the three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkstationStorage {
    /// This volume.
    pub volume_id: Option<String>,
    /// The user's default volume.
    #[schema(required = false, default = false)]
    pub use_default_volume: bool,
    /// Nowhere; they go with the session.
    #[schema(required = false, default = false)]
    pub ephemeral: bool,
}
