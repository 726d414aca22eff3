//! Custom tools, the calls an agent makes and the results a client posts.

use crate::JsonObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A tool that the client runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolDefinition {
    /// A letter or `_`, then letters, digits and `_`; at most 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it does, for the model.
    #[schema(min_length = 1)]
    pub description: String,
    /// JSON Schema of its arguments; the top level is an object.
    #[serde(default = "empty_input_schema")]
    #[schema(value_type = Object)]
    pub input_schema: JsonObject,
}

/// What `input_schema` is when a tool takes no arguments.
pub fn empty_input_schema() -> JsonObject {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(JsonObject::new()));
    schema
}

/// A call of a tool by the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolRequest {
    /// The tool's name.
    pub tool_name: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object, required = false)]
    pub args: Option<JsonObject>,
    /// The model's id of the call; unique within a step only.
    #[serde(default)]
    pub id: Option<String>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolResult {
    /// The call it answers.
    pub tool_req: ToolRequest,
    /// What the tool returned.
    #[serde(default)]
    pub result: Value,
    /// Whether `result` was cut.
    #[schema(default = false)]
    #[serde(default)]
    pub truncated: bool,
    /// Where the whole output is, when it was cut.
    #[serde(default)]
    pub output_artifact_path: Option<String>,
}

/// A fault: of a call when `tool_req` is set, else of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolError {
    /// What went wrong.
    pub error: String,
    /// Who says so: `client`, `server`, `model`, ...
    pub origin: String,
    /// The call it answers.
    #[serde(default)]
    pub tool_req: Option<ToolRequest>,
}

/// What a client posts for one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind")]
pub enum ToolResultItem {
    /// The call went through.
    #[serde(rename = "tool_result")]
    Result(ToolResult),
    /// The call failed.
    #[serde(rename = "error_event")]
    Error(ToolError),
}
