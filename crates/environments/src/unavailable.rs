//! What stands in for an environment that this server does not host: the agent is told, and works without it.

use crate::{CallError, Environment, Observation, Output, Tool};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, JsonObject};

/// An environment that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unavailable(pub(crate) EnvironmentKind);

#[async_trait]
impl Environment for Unavailable {
    fn kind(&self) -> EnvironmentKind {
        self.0
    }

    async fn opening(&self) -> Option<Observation> {
        let kind = self.0.as_str();
        let told = format!(
            "The environment \"{kind}\" is not available: this server does not run any of that kind. Do what can be \
             done without it, and say so where the task needs it."
        );
        Some(Observation::of_text(kind, told))
    }

    async fn tools(&self) -> Vec<Tool> {
        Vec::new()
    }

    async fn call(&self, tool: &str, _arguments: &JsonObject) -> Result<Output, CallError> {
        Err(CallError(format!("there is no tool {tool:?}")))
    }
}
