//! The shape of a request, as far as overrides can reach: which fields there are, what they accept and what
//! lies inside. The rules themselves are those of the decoders.

use super::{Segment, Selector};
use crate::decode::agents::{agent_name, environments, tools};
use crate::decode::environments::{key, pip_packages, screenshot_max_width, server_name, settle_s};
use crate::decode::fields::{list, map, nullable, some};
use crate::decode::json::Value;
use crate::decode::messages::{picture, skills_without_files};
use crate::decode::place::Place;
use crate::decode::scalars::{at_least, boolean, filled, plain, positive, text, uuid, word};
use crate::decode::schemas::schema;
use crate::decode::sessions::{agent, override_map, seconds, timezone};
use crate::decode::skills::{helper_files, paths, prompt_part, prompt_text, skill_name, url_pattern};
use crate::decode::tools::{input_schema, tool_name};
use crate::{
    Agent, BrowserMode, BrowserNetwork, Decode, Environment, EnvironmentKind, FileContent, Host, ManagedProxy,
    McpServer, McpTransport, Messages, ProxyPool, ReasoningEffort, Reference, Skill, ToolDefinition,
    WorkstationStorage,
};

type Check = fn(&Value<'_>, &Place<'_>) -> Option<()>;

struct Field {
    name: &'static str,
    check: Check,
    inside: Inside,
}

/// What a path can enter.
#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    Object(&'static [Field]),
    /// Entries with these fields, any of which selects one, and what may stand in an entry's place.
    List(&'static [Field], Check),
    /// Entries whose fields depend on their kind, which is what selects one.
    Environments,
}

/// What a path leads to.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Place(Check),
    Environment(EnvironmentKind),
}

impl Target {
    /// Whether `value` may stand there.
    pub(super) fn fits(self, value: &Value<'_>, at: &Place<'_>) -> bool {
        match self {
            Self::Place(check) => check(value, at).is_some(),
            Self::Environment(kind) => Environment::decode(value, at).is_some_and(|decoded| decoded.kind() == kind),
        }
    }
}

/// Where the path leads, if it leads anywhere.
pub(super) fn target(path: &[Segment<'_>]) -> Result<Target, String> {
    let mut fields = REQUEST;
    let mut target = Err("the path is empty".to_owned());
    for (index, segment) in path.iter().enumerate() {
        let field = fields.iter().find(|field| field.name == segment.field);
        let field = field.ok_or_else(|| format!("there is no field `{}`", segment.field))?;
        let (found, inside) = step(field, segment.selector)?;
        target = Ok(found);
        if index + 1 < path.len() {
            fields = inside.ok_or_else(|| format!("`{}` cannot be entered", segment.field))?;
        }
    }
    target
}

fn step(field: &Field, selector: Option<Selector<'_>>) -> Result<(Target, Option<&'static [Field]>), String> {
    let Some(selector) = selector else {
        let inside = match field.inside {
            Inside::Object(fields) => Some(fields),
            Inside::Nothing | Inside::List(..) | Inside::Environments => None,
        };
        return Ok((Target::Place(field.check), inside));
    };
    match field.inside {
        Inside::List(fields, check) if fields.iter().any(|field| field.name == selector.field) => {
            Ok((Target::Place(check), Some(fields)))
        }
        Inside::Environments if selector.field == "kind" => {
            let kind = EnvironmentKind::WORDS.into_iter().find(|(word, _)| *word == selector.value);
            let (_, kind) = kind.ok_or_else(|| format!("there is no kind `{}`", selector.value))?;
            Ok((Target::Environment(kind), Some(fields_of(kind))))
        }
        Inside::List(..) | Inside::Environments => Err(format!("`{}` selects no entry", selector.field)),
        Inside::Nothing | Inside::Object(_) => Err(format!("`{}` is not a list", field.name)),
    }
}

fn fields_of(kind: EnvironmentKind) -> &'static [Field] {
    match kind {
        EnvironmentKind::Web => BROWSER,
        EnvironmentKind::Desktop => DESKTOP,
        EnvironmentKind::Android => ANDROID,
        EnvironmentKind::Code => CODE,
        EnvironmentKind::Mcp => MCP,
        EnvironmentKind::Memory => MEMORY,
        EnvironmentKind::Workstation => WORKSTATION,
    }
}

macro_rules! field {
    ($name:literal, $decode:expr) => {
        field!($name, $decode, Inside::Nothing)
    };
    ($name:literal, $decode:expr, $inside:expr) => {
        Field { name: $name, check: |value, at| $decode(value, at).map(drop), inside: $inside }
    };
}

macro_rules! constant {
    ($name:literal, $word:literal) => {
        Field {
            name: $name,
            check: |value, at| word("literal_error", &[($word, ())], value, at),
            inside: Inside::Nothing,
        }
    };
}

static REQUEST: &[Field] = &[
    field!("agent", agent, Inside::Object(&AGENT)),
    field!("messages", nullable(Messages::decode), Inside::Object(MESSAGE)),
    field!("max_steps", nullable(at_least(1))),
    field!("max_time_s", nullable(seconds)),
    field!("idle_timeout_s", nullable(positive)),
    field!("timezone", nullable(timezone)),
    field!("delete_after_min", nullable(at_least(1))),
    field!("delete_screenshot_after_min", nullable(at_least(1))),
    field!("queue", boolean),
    field!("group_id", nullable(plain)),
    field!("parent_session_id", nullable(plain)),
    field!("agent_artifact", nullable(plain)),
    field!("overrides", override_map),
];

static AGENT: [Field; 10] = [
    field!("name", agent_name),
    field!("description", prompt_text),
    field!("environments", environments, Inside::Environments),
    field!("model", nullable(plain)),
    field!("reasoning_effort", nullable(ReasoningEffort::decode)),
    field!("instructions", nullable(prompt_part)),
    field!(
        "subagents",
        nullable(list(Reference::<Agent>::decode)),
        Inside::List(&AGENT, |value, at| Reference::<Agent>::decode(value, at).map(drop))
    ),
    field!(
        "skills",
        nullable(list(Reference::<Skill>::decode)),
        Inside::List(SKILL, |value, at| Reference::<Skill>::decode(value, at).map(drop))
    ),
    field!("answer_format", nullable(schema)),
    field!("tools", nullable(tools), Inside::List(TOOL, |value, at| ToolDefinition::decode(value, at).map(drop))),
];

static MESSAGE: &[Field] = &[
    constant!("type", "user_message"),
    field!("message", text),
    field!("images", list(picture)),
    field!("files", list(FileContent::decode)),
    field!("skills", skills_without_files),
    field!("caller_id", text),
];

static TOOL: &[Field] =
    &[field!("name", tool_name), field!("description", filled), field!("input_schema", input_schema)];

static SKILL: &[Field] = &[
    field!("name", skill_name),
    field!("description", prompt_text),
    field!("body", prompt_text),
    field!("source", nullable(prompt_part)),
    field!("url_pattern", nullable(url_pattern)),
    field!("compatibility", nullable(prompt_part)),
    field!("files", helper_files),
    field!("executable_files", paths),
];

static BROWSER: &[Field] = &[
    constant!("kind", "web"),
    field!("id", key),
    field!("host", Host::decode),
    field!("start_url", text),
    field!("headless", boolean),
    field!("session_id", nullable(plain)),
    field!("mode", BrowserMode::decode, Inside::Object(MODE)),
    field!("lazy", boolean),
    field!("settle_s", settle_s),
    field!("vault_id", nullable(uuid)),
    field!("browser_profile_id", nullable(uuid)),
    field!("use_default_browser_profile", boolean),
    field!("persist_browser_profile", boolean),
    field!("network", nullable(BrowserNetwork::decode), Inside::Object(NETWORK)),
];

/// Of both modes: which one it is shows when the override is written.
static MODE: &[Field] = &[
    field!("type", mode_type),
    field!("width", positive),
    field!("height", positive),
    field!("markdown", boolean),
    field!("chunk_size", positive),
];

fn mode_type(value: &Value<'_>, at: &Place<'_>) -> Option<()> {
    word("literal_error", &[("visual", ()), ("text", ())], value, at)
}

static NETWORK: &[Field] = &[
    field!("proxy_url", nullable(text)),
    field!("managed_proxy", nullable(ManagedProxy::decode), Inside::Object(PROXY)),
];

static PROXY: &[Field] =
    &[field!("country", nullable(text)), field!("sticky", boolean), field!("pool", ProxyPool::decode)];

static DESKTOP: &[Field] = &[
    constant!("kind", "desktop"),
    field!("id", key),
    field!("host", Host::decode),
    field!("session_id", nullable(plain)),
    field!("lazy", boolean),
    field!("settle_s", settle_s),
    field!("screenshot_max_width", nullable(screenshot_max_width)),
];

static ANDROID: &[Field] = &[
    constant!("kind", "android"),
    field!("id", key),
    field!("session_id", nullable(plain)),
    field!("image", nullable(text)),
    field!("lazy", boolean),
];

static CODE: &[Field] = &[
    constant!("kind", "code"),
    field!("id", key),
    field!("pip_packages", pip_packages),
    field!("env", map(text)),
    field!("mcp_servers", list(McpServer::decode), SERVERS),
    field!("lazy", boolean),
];

static MCP: &[Field] =
    &[constant!("kind", "mcp"), field!("id", key), field!("servers", some(McpServer::decode), SERVERS)];

const SERVERS: Inside = Inside::List(SERVER, |value, at| McpServer::decode(value, at).map(drop));

static SERVER: &[Field] = &[
    field!("name", server_name),
    field!("transport", McpTransport::decode),
    field!("command", nullable(text)),
    field!("args", list(text)),
    field!("env", map(text)),
    field!("url", nullable(text)),
    field!("headers", map(text)),
];

static MEMORY: &[Field] = &[constant!("kind", "memory"), field!("id", key), field!("namespace", key)];

static WORKSTATION: &[Field] = &[
    constant!("kind", "workstation"),
    field!("id", key),
    field!("host", Host::decode),
    field!("session_id", nullable(plain)),
    field!("storage", nullable(WorkstationStorage::decode), Inside::Object(STORAGE)),
    field!("lazy", boolean),
];

static STORAGE: &[Field] =
    &[field!("volume_id", nullable(plain)), field!("use_default_volume", boolean), field!("ephemeral", boolean)];
