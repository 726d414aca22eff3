//! Bodies of PATCH: the fields that change. The rules over a whole object run on what comes out.

use crate::decode::environments::{key, pip_packages, screenshot_max_width, settle_s};
use crate::decode::fields::{Fields, list, map, nullable, some};
use crate::decode::json::Value;
use crate::decode::place::Place;
use crate::decode::scalars::{boolean, filled, plain, text, uuid};
use crate::decode::schemas::schema;
use crate::decode::skills::{helper_files, paths, pattern_text};
use crate::{
    Agent, BrowserMode, BrowserNetwork, Decode, Environment, Host, JsonObject, McpServer, Problem, ReasoningEffort,
    Reference, Skill, ToolDefinition, WorkstationStorage, decode_json,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// `current` with the fields of `patch` that it has, decoded again in full.
fn patched<T: Serialize + Decode>(current: &T, patch: &impl Serialize) -> Result<T, Problem> {
    let (Ok(Json::Object(mut merged)), Ok(Json::Object(changes))) =
        (serde_json::to_value(current), serde_json::to_value(patch))
    else {
        return Err(Problem::internal());
    };
    for (name, value) in changes {
        if let Some(field) = merged.get_mut(&name) {
            *field = value;
        }
    }
    decode_json(&Json::Object(merged))
}

/// The body of `PATCH /agents/{name}`. An outer `None` keeps the field, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(default)]
pub struct PatchAgent {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, nullable = false)]
    pub description: Option<String>,
    /// Where it acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub environments: Option<Vec<Reference<Environment>>>,
    /// The model that drives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Option<String>>,
    /// How long the model may think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Option<ReasoningEffort>>,
    /// What it is told beside the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Option<String>>,
    /// Agents it may delegate to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subagents: Option<Option<Vec<Reference<Agent>>>>,
    /// Skills it may load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Option<Vec<Reference<Skill>>>>,
    /// JSON Schema that the answer must satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub answer_format: Option<Option<JsonObject>>,
    /// Tools that the client runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Option<Vec<ToolDefinition>>>,
}

impl PatchAgent {
    /// `current` with these changes.
    pub fn apply(&self, current: &Agent) -> Result<Agent, Problem> {
        patched(current, self)
    }
}

impl Decode for PatchAgent {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let description = fields.present("description", filled);
        let environments = fields.present("environments", list(Reference::<Environment>::decode));
        let model = fields.present("model", nullable(plain));
        let reasoning_effort = fields.present("reasoning_effort", nullable(ReasoningEffort::decode));
        let instructions = fields.present("instructions", nullable(text));
        let subagents = fields.present("subagents", nullable(list(Reference::<Agent>::decode)));
        let skills = fields.present("skills", nullable(list(Reference::<Skill>::decode)));
        let answer_format = fields.present("answer_format", nullable(schema));
        let tools = fields.present("tools", nullable(list(ToolDefinition::decode)));
        Some(Self {
            description: description?,
            environments: environments?,
            model: model?,
            reasoning_effort: reasoning_effort?,
            instructions: instructions?,
            subagents: subagents?,
            skills: skills?,
            answer_format: answer_format?,
            tools: tools?,
        })
    }
}

/// The body of `PATCH /skills/{name}`. An outer `None` keeps the field, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(default)]
pub struct PatchSkill {
    /// When to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, nullable = false)]
    pub description: Option<String>,
    /// The instructions themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, nullable = false)]
    pub body: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Option<String>>,
    /// A regular expression over addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub url_pattern: Option<Option<String>>,
    /// What it needs to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Option<String>>,
    /// Helper files.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub files: Option<BTreeMap<String, String>>,
    /// Which of them are executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub executable_files: Option<Vec<String>>,
}

impl PatchSkill {
    /// `current` with these changes.
    pub fn apply(&self, current: &Skill) -> Result<Skill, Problem> {
        patched(current, self)
    }
}

impl Decode for PatchSkill {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let description = fields.present("description", filled);
        let body = fields.present("body", filled);
        let source = fields.present("source", nullable(text));
        let url_pattern = fields.present("url_pattern", nullable(pattern_text));
        let compatibility = fields.present("compatibility", nullable(text));
        let files = fields.present("files", helper_files);
        let executable_files = fields.present("executable_files", paths);
        Some(Self {
            description: description?,
            body: body?,
            source: source?,
            url_pattern: url_pattern?,
            compatibility: compatibility?,
            files: files?,
            executable_files: executable_files?,
        })
    }
}

/// The body of `PATCH /environments/{id}`: fields of every kind, of which those of the stored kind count.
/// An outer `None` keeps the field, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(default)]
pub struct PatchEnvironment {
    /// Whose machine it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub host: Option<Host>,
    /// The first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub start_url: Option<String>,
    /// Whether it draws no window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub headless: Option<bool>,
    /// An open bridge or browser to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Option<String>>,
    /// How pages are shown to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mode: Option<BrowserMode>,
    /// Whether it starts only when first used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lazy: Option<bool>,
    /// Seconds to wait after an action before looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 10, nullable = false)]
    pub settle_s: Option<f64>,
    /// The vault that holds its secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_id: Option<Option<Uuid>>,
    /// The profile to start with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_profile_id: Option<Option<Uuid>>,
    /// Whether to start with the user's default profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub use_default_browser_profile: Option<bool>,
    /// Whether to save the profile at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub persist_browser_profile: Option<bool>,
    /// How it reaches the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Option<BrowserNetwork>>,
    /// Screenshots are scaled down to this width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 1920)]
    pub screenshot_max_width: Option<Option<i64>>,
    /// The system image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Option<String>>,
    /// Python packages to install.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pip_packages: Option<Vec<String>>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub env: Option<BTreeMap<String, String>>,
    /// MCP servers reachable from inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mcp_servers: Option<Vec<McpServer>>,
    /// The servers, at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, nullable = false)]
    pub servers: Option<Vec<McpServer>>,
    /// Which memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, nullable = false)]
    pub namespace: Option<String>,
    /// Where a workstation's files are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Option<WorkstationStorage>>,
}

impl PatchEnvironment {
    /// `current` with these changes.
    pub fn apply(&self, current: &Environment) -> Result<Environment, Problem> {
        patched(current, self)
    }
}

impl Decode for PatchEnvironment {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let host = fields.present("host", Host::decode);
        let start_url = fields.present("start_url", text);
        let headless = fields.present("headless", boolean);
        let session_id = fields.present("session_id", nullable(plain));
        let mode = fields.present("mode", BrowserMode::decode);
        let lazy = fields.present("lazy", boolean);
        let settle_s = fields.present("settle_s", settle_s);
        let vault_id = fields.present("vault_id", nullable(uuid));
        let browser_profile_id = fields.present("browser_profile_id", nullable(uuid));
        let use_default_browser_profile = fields.present("use_default_browser_profile", boolean);
        let persist_browser_profile = fields.present("persist_browser_profile", boolean);
        let network = fields.present("network", nullable(BrowserNetwork::decode));
        let screenshot_max_width = fields.present("screenshot_max_width", nullable(screenshot_max_width));
        let image = fields.present("image", nullable(text));
        let pip_packages = fields.present("pip_packages", pip_packages);
        let env = fields.present("env", map(text));
        let mcp_servers = fields.present("mcp_servers", list(McpServer::decode));
        let servers = fields.present("servers", some(McpServer::decode));
        let namespace = fields.present("namespace", key);
        let storage = fields.present("storage", nullable(WorkstationStorage::decode));
        Some(Self {
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
            screenshot_max_width: screenshot_max_width?,
            image: image?,
            pip_packages: pip_packages?,
            env: env?,
            mcp_servers: mcp_servers?,
            servers: servers?,
            namespace: namespace?,
            storage: storage?,
        })
    }
}
