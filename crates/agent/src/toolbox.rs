//! The tools that the server itself runs for a session, as a runner sees them.

use async_trait::async_trait;
use quarterdeck_api::{JsonObject, ToolDefinition};
use quarterdeck_core::{CallError, Observation, Output};
use std::fmt::Debug;

/// What a session's environments offer. The futures may be dropped at any await point: a call that is dropped is
/// stopped as well as it can be, and may have taken effect.
#[async_trait]
pub trait Toolbox: Debug + Send + Sync + 'static {
    /// What the agent is told of its environments once in a session, before its first reply.
    async fn opening(&self) -> Vec<Observation>;

    /// The tools on offer now; names are unique. They may be others in the next step.
    async fn tools(&self) -> Vec<ToolDefinition>;

    /// The lane of a tool, by the name it was last offered under. Calls of one reply in one lane are made one after
    /// the other, as they stand in the reply; a call without a lane runs beside all others.
    fn lane(&self, _name: &str) -> Option<usize> {
        None
    }

    /// Calls a tool by the name it was last offered under. Returns within a bounded time.
    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<Output, CallError>;

    /// What the environments look like now: those that these tools belong to, or all of them.
    async fn look(&self, at: Look<'_>) -> Vec<Observation>;
}

/// Which environments are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// All, before the first reply of a turn.
    All,
    /// Those that these tools belong to: what was called in a reply.
    After(&'a [&'a str]),
}

/// No environment, no tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

#[async_trait]
impl Toolbox for NoTools {
    async fn opening(&self) -> Vec<Observation> {
        Vec::new()
    }

    async fn tools(&self) -> Vec<ToolDefinition> {
        Vec::new()
    }

    async fn call(&self, name: &str, _arguments: &JsonObject) -> Result<Output, CallError> {
        Err(CallError(format!("there is no tool {name:?}")))
    }

    async fn look(&self, _at: Look<'_>) -> Vec<Observation> {
        Vec::new()
    }
}
