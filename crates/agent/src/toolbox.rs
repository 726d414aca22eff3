//! The tools that the server itself runs for a session, as a runner sees them.

use crate::model::ToolSpec;
use async_trait::async_trait;
use quarterdeck_api::{AgentEvent, ImageContent, JsonObject};
use serde_json::Value;
use std::fmt::Debug;

/// What a session's environments offer. The futures may be dropped at any await point: a call that is dropped is
/// stopped as well as it can be, and may have taken effect.
#[async_trait]
pub trait Toolbox: Debug + Send + Sync + 'static {
    /// What the agent is shown of its environments before its first reply.
    fn opening_observations(&self) -> Vec<AgentEvent>;

    /// The tools on offer now; names are unique. They may be others in the next step.
    async fn tools(&self) -> Vec<ToolSpec>;

    /// Calls a tool by the name it was last offered under. Returns within a bounded time.
    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<ToolOutput, ToolFault>;
}

/// What a call returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOutput {
    /// The result, as the log keeps it.
    pub result: Value,
    /// Whether some of it was left out because it was too large.
    pub truncated: bool,
    /// Pictures that came with it; the agent sees them as observations.
    pub images: Vec<ImageContent>,
}

impl ToolOutput {
    /// A result without pictures.
    pub fn of(result: impl Into<Value>) -> Self {
        Self { result: result.into(), ..Self::default() }
    }
}

/// Why a call failed: a sentence for the model and the session's owner, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolFault(pub String);

/// No environment, no tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

#[async_trait]
impl Toolbox for NoTools {
    fn opening_observations(&self) -> Vec<AgentEvent> {
        Vec::new()
    }

    async fn tools(&self) -> Vec<ToolSpec> {
        Vec::new()
    }

    async fn call(&self, name: &str, _arguments: &JsonObject) -> Result<ToolOutput, ToolFault> {
        Err(ToolFault(format!("there is no tool {name:?}")))
    }
}
