//! Environments.

use super::Decode;
use super::fields::{Fields, checked, list, map, nullable, some, tagged};
use super::json::Value;
use super::place::{Fault, Place};
use super::rules::{names, packages};
use super::scalars::{Bounds, boolean, integer_where, number_where, plain, positive, sized, text, uuid, word};
use crate::{
    Android, Browser, BrowserMode, BrowserNetwork, CodeSandbox, Desktop, Environment, EnvironmentKind, Host,
    ManagedProxy, McpEnvironment, McpServer, McpTransport, Memory, ProxyPool, Workstation, WorkstationStorage,
};
use std::borrow::Cow;

/// The first page of a browser that names none.
const START_URL: &str = "https://www.bing.com";
/// How wide and high a page is, in pixels, unless told.
const PAGE_SIZE: i64 = 1200;
/// Characters of a page shown at once, unless told.
const CHUNK_SIZE: i64 = 20_000;

impl Decode for Environment {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let (tag, kind) = tagged("kind", &EnvironmentKind::WORDS, value, at)?;
        let at = at.field(tag);
        match kind {
            EnvironmentKind::Web => Browser::decode(value, &at).map(Self::Web),
            EnvironmentKind::Desktop => Desktop::decode(value, &at).map(Self::Desktop),
            EnvironmentKind::Android => Android::decode(value, &at).map(Self::Android),
            EnvironmentKind::Code => CodeSandbox::decode(value, &at).map(Self::Code),
            EnvironmentKind::Mcp => McpEnvironment::decode(value, &at).map(Self::Mcp),
            EnvironmentKind::Memory => Memory::decode(value, &at).map(Self::Memory),
            EnvironmentKind::Workstation => Workstation::decode(value, &at).map(Self::Workstation),
        }
    }
}

/// The id of an environment, or another key that may not be empty.
pub fn key(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    sized(1..=usize::MAX, value, at)?;
    plain(value, at)
}

impl Decode for Browser {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let host = fields.or("host", Host::Cloud, Host::decode);
        let start_url = fields.or_else("start_url", || START_URL.into(), text);
        let headless = fields.or("headless", false, boolean);
        let session_id = fields.or("session_id", None, nullable(plain));
        let mode = mode(&fields);
        let lazy = fields.or("lazy", false, boolean);
        let settle_s = fields.or("settle_s", 1.0, settle_s);
        let vault_id = fields.or("vault_id", None, nullable(uuid));
        let browser_profile_id = fields.or("browser_profile_id", None, nullable(uuid));
        let use_default_browser_profile = fields.or("use_default_browser_profile", false, boolean);
        let persist_browser_profile = fields.or("persist_browser_profile", false, boolean);
        let network = fields.or("network", None, nullable(BrowserNetwork::decode));
        let browser = Self {
            id: id?,
            host: host?,
            start_url: start_url?,
            headless: headless?,
            session_id: session_id?,
            mode: mode?,
            lazy: lazy?,
            settle_s: settle_s?,
            vault_id: vault_id?,
            browser_profile_id: browser_profile_id?,
            use_default_browser_profile: use_default_browser_profile?,
            persist_browser_profile: persist_browser_profile?,
            network: network?,
        };
        check_browser(&browser).map_or_else(|broken| fields.refuse(broken), |()| Some(browser))
    }
}

fn check_browser(browser: &Browser) -> Result<(), &'static str> {
    let attached = browser.session_id.as_ref().is_some_and(|id| !id.is_empty());
    let proxied =
        browser.network.as_ref().is_some_and(|network| network.proxy_url.is_some() || network.managed_proxy.is_some());
    let profile_id = browser.browser_profile_id.is_some();
    let default_profile = browser.use_default_browser_profile;
    let persisted = browser.persist_browser_profile;
    let broken = [
        (attached && proxied, "a proxy cannot be set for a browser that is already open (`session_id`)"),
        (
            browser.host == Host::UserDevice && (browser.vault_id.is_some() || profile_id || default_profile),
            "a browser on the user's device takes neither a vault nor a profile",
        ),
        (default_profile && profile_id, "`use_default_browser_profile` and `browser_profile_id` exclude each other"),
        (attached && default_profile, "`use_default_browser_profile` and `session_id` exclude each other"),
        (attached && persisted, "`persist_browser_profile` and `session_id` exclude each other"),
        (persisted && !profile_id && !default_profile, "`persist_browser_profile` needs a profile"),
    ];
    broken.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, rule)| Err(rule))
}

/// The mode, or what an older client said instead with up to four flat fields.
fn mode(fields: &Fields<'_, '_>) -> Option<BrowserMode> {
    let sent = fields.raw("mode");
    let word = match sent {
        Some(Value::Str(word)) => Some(word.as_ref()),
        None | Some(Value::Null) if has_flat_fields(fields) => Some("visual"),
        _ => None,
    };
    let at = fields.at.field("mode");
    match (word.and_then(|word| nested_mode(word, fields)), sent) {
        (Some(nested), _) => BrowserMode::decode(&nested, &at),
        (None, Some(value)) => BrowserMode::decode(value, &at),
        (None, None) => Some(BrowserMode::Visual { width: PAGE_SIZE, height: PAGE_SIZE, markdown: false }),
    }
}

fn has_flat_fields(fields: &Fields<'_, '_>) -> bool {
    ["width", "height", "page_chars"].into_iter().any(|name| fields.raw(name).is_some())
}

/// Today's shape of an older mode.
fn nested_mode<'v>(word: &str, fields: &Fields<'v, '_>) -> Option<Value<'v>> {
    let text = |text: &'static str| Value::Str(Cow::Borrowed(text));
    let flat = |old: &str, new: &'static str| {
        fields.raw(old).filter(|value| !matches!(value, Value::Null)).map(|value| (Cow::Borrowed(new), value.clone()))
    };
    let visual = |markdown| {
        let given = [(Cow::Borrowed("type"), text("visual")), (Cow::Borrowed("markdown"), Value::Bool(markdown))];
        given.into_iter().chain(flat("width", "width")).chain(flat("height", "height")).collect::<Vec<_>>()
    };
    let members = match word {
        "text" => {
            std::iter::once((Cow::Borrowed("type"), text("text"))).chain(flat("page_chars", "chunk_size")).collect()
        }
        "visual" => visual(false),
        "multimodal" => visual(true),
        _ => return None,
    };
    Some(Value::Object(members.into()))
}

#[derive(Clone, Copy)]
enum ModeType {
    Visual,
    Text,
}

impl Decode for BrowserMode {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const TYPES: [(&str, ModeType); 2] = [("visual", ModeType::Visual), ("text", ModeType::Text)];
        let (tag, mode_type) = tagged("type", &TYPES, value, at)?;
        let at = at.field(tag);
        let fields = Fields::of(value, &at)?;
        match mode_type {
            ModeType::Visual => {
                let width = fields.or("width", PAGE_SIZE, positive);
                let height = fields.or("height", PAGE_SIZE, positive);
                let markdown = fields.or("markdown", false, boolean);
                Some(Self::Visual { width: width?, height: height?, markdown: markdown? })
            }
            ModeType::Text => Some(Self::Text { chunk_size: fields.or("chunk_size", CHUNK_SIZE, positive)? }),
        }
    }
}

/// Seconds to wait after an action.
pub fn settle_s(value: &Value<'_>, at: &Place<'_>) -> Option<f64> {
    number_where(Bounds { above: None, least: Some(0.0), most: Some(10.0) })(value, at)
}

/// The width that screenshots are scaled down to.
pub fn screenshot_max_width(value: &Value<'_>, at: &Place<'_>) -> Option<i64> {
    integer_where(Bounds { above: Some(0), least: None, most: Some(1920) })(value, at)
}

impl Decode for Host {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        word("literal_error", &[("user_device", Self::UserDevice), ("cloud", Self::Cloud)], value, at)
    }
}

impl Decode for BrowserNetwork {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let proxy_url = fields.or("proxy_url", None, nullable(text));
        let managed_proxy = fields.or("managed_proxy", None, nullable(ManagedProxy::decode));
        let network = Self { proxy_url: proxy_url?.filter(|url| !url.is_empty()), managed_proxy: managed_proxy? };
        if network.proxy_url.is_some() && network.managed_proxy.is_some() {
            return fields.refuse("`proxy_url` and `managed_proxy` exclude each other");
        }
        Some(network)
    }
}

impl Decode for ManagedProxy {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let country = fields.or("country", None, nullable(text));
        let sticky = fields.or("sticky", true, boolean);
        let pool = fields.or("pool", ProxyPool::Residential, ProxyPool::decode);
        Some(Self { country: country?, sticky: sticky?, pool: pool? })
    }
}

impl Decode for ProxyPool {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const WORDS: [(&str, ProxyPool); 4] = [
            ("residential", ProxyPool::Residential),
            ("datacenter", ProxyPool::Datacenter),
            ("isp", ProxyPool::Isp),
            ("mobile", ProxyPool::Mobile),
        ];
        word("enum", &WORDS, value, at)
    }
}

impl Decode for Desktop {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let host = fields.or("host", Host::Cloud, Host::decode);
        let session_id = fields.or("session_id", None, nullable(plain));
        let lazy = fields.or("lazy", false, boolean);
        let settle_s = fields.or("settle_s", 0.5, settle_s);
        let screenshot_max_width = fields.or("screenshot_max_width", None, nullable(screenshot_max_width));
        Some(Self {
            id: id?,
            host: host?,
            session_id: session_id?,
            lazy: lazy?,
            settle_s: settle_s?,
            screenshot_max_width: screenshot_max_width?,
        })
    }
}

impl Decode for Android {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let session_id = fields.or("session_id", None, nullable(plain));
        let image = fields.or("image", None, nullable(text));
        let lazy = fields.or("lazy", false, boolean);
        Some(Self { id: id?, session_id: session_id?, image: image?, lazy: lazy? })
    }
}

impl Decode for CodeSandbox {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let pip_packages = fields.or_empty("pip_packages", pip_packages);
        let env = fields.or_empty("env", map(text));
        let mcp_servers = fields.or_empty("mcp_servers", list(McpServer::decode));
        let lazy = fields.or("lazy", false, boolean);
        Some(Self { id: id?, pip_packages: pip_packages?, env: env?, mcp_servers: mcp_servers?, lazy: lazy? })
    }
}

/// Python packages.
pub fn pip_packages(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<String>> {
    checked(list(text), |entries| entries.iter().try_for_each(|entry| packages::check(entry)))(value, at)
}

impl Decode for McpEnvironment {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let servers = fields.required("servers", some(McpServer::decode));
        Some(Self { id: id?, servers: servers? })
    }
}

impl Decode for McpServer {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.required("name", server_name);
        let transport = fields.required("transport", McpTransport::decode);
        let command = fields.or("command", None, nullable(text));
        let args = fields.or_empty("args", list(text));
        let env = fields.or_empty("env", map(text));
        let url = fields.or("url", None, nullable(text));
        let headers = fields.or_empty("headers", map(text));
        let server = Self {
            name: name?,
            transport: transport?,
            command: command?,
            args: args?,
            env: env?,
            url: url?,
            headers: headers?,
        };
        check_server(&server).map_or_else(|broken| fields.refuse(broken), |()| Some(server))
    }
}

/// The name of an MCP server.
pub fn server_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    const PATTERN: &str = "^[A-Za-z0-9_.-]+$";
    let name = sized(1..=usize::MAX, value, at)?;
    if !names::is_server_name(name) {
        let msg = "must consist of letters, digits, `_`, `.` and `-`";
        return at.refuse(Fault::new("string_pattern_mismatch", msg).with("pattern", PATTERN), value);
    }
    Some(name.to_owned())
}

fn check_server(server: &McpServer) -> Result<(), &'static str> {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match server.transport {
        McpTransport::Stdio if !filled(&server.command) => Err("`stdio` needs a command"),
        McpTransport::Stdio if server.url.is_some() || !server.headers.is_empty() => {
            Err("`stdio` takes neither an address nor headers")
        }
        McpTransport::StreamableHttp | McpTransport::Sse if !filled(&server.url) => {
            Err("this transport needs an address")
        }
        McpTransport::StreamableHttp | McpTransport::Sse
            if server.command.is_some() || !server.args.is_empty() || !server.env.is_empty() =>
        {
            Err("this transport takes no command, arguments or variables")
        }
        McpTransport::Stdio | McpTransport::StreamableHttp | McpTransport::Sse => Ok(()),
    }
}

impl Decode for McpTransport {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const WORDS: [(&str, McpTransport); 3] = [
            ("stdio", McpTransport::Stdio),
            ("streamable_http", McpTransport::StreamableHttp),
            ("sse", McpTransport::Sse),
        ];
        word("literal_error", &WORDS, value, at)
    }
}

impl Decode for Memory {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let namespace = fields.required("namespace", key);
        Some(Self { id: id?, namespace: namespace? })
    }
}

impl Decode for Workstation {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let id = fields.required("id", key);
        let host = fields.or("host", Host::Cloud, Host::decode);
        let session_id = fields.or("session_id", None, nullable(plain));
        let storage = fields.or("storage", None, nullable(WorkstationStorage::decode));
        let lazy = fields.or("lazy", false, boolean);
        Some(Self { id: id?, host: host?, session_id: session_id?, storage: storage?, lazy: lazy? })
    }
}

impl Decode for WorkstationStorage {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let volume_id = fields.or("volume_id", None, nullable(plain));
        let use_default_volume = fields.or("use_default_volume", false, boolean);
        let ephemeral = fields.or("ephemeral", false, boolean);
        let storage = Self { volume_id: volume_id?, use_default_volume: use_default_volume?, ephemeral: ephemeral? };
        let chosen = [storage.volume_id.is_some(), storage.use_default_volume, storage.ephemeral];
        if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
            return fields.refuse("exactly one of `volume_id`, `use_default_volume` and `ephemeral` must be chosen");
        }
        Some(storage)
    }
}
