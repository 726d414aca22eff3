//! The port: what the engine asks of an environment.

use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, ImageContent, JsonObject};
use serde_json::Value;
use std::fmt::Debug;
use thiserror::Error;

/// One environment of one session, open.
///
/// Every future may be dropped at any await point. A call that is dropped is stopped as well as it can be.
#[async_trait]
pub trait Environment: Debug + Send + Sync + 'static {
    /// Its kind.
    fn kind(&self) -> EnvironmentKind;

    /// What the agent is told of it before its first reply.
    fn opening(&self) -> Option<String> {
        None
    }

    /// The tools it offers now. Within one environment, names are unique.
    async fn tools(&self) -> Vec<Tool>;

    /// Calls a tool by its name. Returns within a bounded time.
    async fn call(&self, tool: &str, arguments: &JsonObject) -> Result<Output, CallError>;

    /// Lets go of what it holds outside of this process. Dropping it does the same, less politely.
    async fn close(&self) {}
}

/// A tool on offer. Its name fits `^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments; the top level is an object.
    pub input_schema: JsonObject,
}

/// What a call returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The result.
    pub result: Value,
    /// Whether some of it was left out because it was too large.
    pub truncated: bool,
    /// Pictures that came with it.
    pub images: Vec<ImageContent>,
}

impl Output {
    /// A result without pictures.
    pub fn of(result: impl Into<Value>) -> Self {
        Self { result: result.into(), ..Self::default() }
    }
}

/// Why a call failed: a sentence for the model and the session's owner, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CallError(pub String);

/// Why an environment cannot be opened: a sentence for the session's owner, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OpenError(pub String);
