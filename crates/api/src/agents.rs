//! Agents: what runs in a session.

use crate::{Environment, JsonObject, Skill, ToolDefinition, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something named in a catalog, or given in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Reference<T> {
    /// A catalog name; for agents `name:N` pins a revision.
    Name(String),
    /// The thing itself.
    Inline(Box<T>),
}

/// An agent's specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "acme/buyer", "description": "Compares prices.", "environments": ["h/web-environment"]}))]
pub struct Agent {
    /// One or two segments split by `/`; `h/` is reserved.
    #[schema(min_length = 1, max_length = 127)]
    pub name: String,
    /// What it is for.
    #[schema(min_length = 1)]
    pub description: String,
    /// Where it acts: catalog ids or environments in full.
    pub environments: Vec<Reference<Environment>>,
    /// The model that drives it; the server's own when absent.
    pub model: Option<String>,
    /// How long the model may think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// What it is told beside the task.
    pub instructions: Option<String>,
    /// Agents it may delegate to.
    #[schema(no_recursion)]
    pub subagents: Option<Vec<Reference<Agent>>>,
    /// Skills it may load.
    pub skills: Option<Vec<Reference<Skill>>>,
    /// JSON Schema that the answer must satisfy.
    #[schema(value_type = Option<Object>)]
    pub answer_format: Option<JsonObject>,
    /// Tools that the client runs.
    pub tools: Option<Vec<ToolDefinition>>,
}

/// How long a model may think before it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningEffort {
    /// Not at all.
    Disabled,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// As long as it wants.
    Xhigh,
}

/// A state that an agent has or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgentRevisionRecord {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    pub number: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom; null for what is built in.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    /// Why.
    #[schema(required = true)]
    pub message: Option<String>,
    /// The revision it brought back.
    #[schema(minimum = 1, required = true)]
    pub restored_from: Option<i64>,
}
