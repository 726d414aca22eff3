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

    /// Where calls of a tool are made, by the name it was last offered under. None for a tool that nobody offers.
    fn place(&self, _name: &str) -> Option<Place> {
        None
    }

    /// Calls a tool by the name it was last offered under. Returns within a bounded time.
    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<Output, CallError>;

    /// What environments look like now. Returns within a bounded time.
    async fn look(&self, at: Look) -> Vec<Observation>;
}

/// Where calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number of the environment.
    pub environment: usize,
    /// Whether the calls of one reply are made there one after the other, as they stand in it.
    pub in_turn: bool,
}

/// Which environments are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// All: before the first reply of a turn.
    All,
    /// Those that nobody has looked at since they were opened.
    New,
    /// One: after the last call of a reply that was made there.
    At(usize),
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

    async fn look(&self, _at: Look) -> Vec<Observation> {
        Vec::new()
    }
}
