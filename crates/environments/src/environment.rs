//! The port: what the engine asks of an environment.

use crate::Tool;
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, JsonObject};
use quarterdeck_core::{CallError, Observation, Output};
use std::{any::Any, fmt::Debug};
use thiserror::Error;

/// One environment of one session, open.
///
/// Every future may be dropped at any await point. A call that is dropped is stopped as well as it can be.
#[async_trait]
pub trait Environment: Any + Debug + Send + Sync + 'static {
    /// Its kind.
    fn kind(&self) -> EnvironmentKind;

    /// How the calls of one reply are to be made.
    fn order(&self) -> CallOrder {
        CallOrder::AtOnce
    }

    /// What becomes of it while its session waits: for a message, for results of the client, for a resume.
    fn parking(&self) -> Parking {
        Parking::Close
    }

    /// How often the machine was started that it is, such as a browser: 0 while one that is `lazy` has not been needed,
    /// one more whenever it had to be started anew. The log names each start. Always 0 where there is no such machine.
    fn starts(&self) -> u32 {
        0
    }

    /// Where people can watch it, if they can.
    fn live_view_url(&self) -> Option<String> {
        None
    }

    /// What the agent is told of it once in a session, before its first reply.
    async fn opening(&self) -> Option<Observation> {
        None
    }

    /// The tools it offers now. Within one environment, names are unique.
    async fn tools(&self) -> Vec<Tool>;

    /// What it looks like now. Asked before the first reply of a turn, and after the last call of a reply that ran
    /// here. Returns within a bounded time.
    async fn look(&self) -> Option<Observation> {
        None
    }

    /// Calls a tool by its name. Returns within a bounded time.
    async fn call(&self, tool: &str, arguments: &JsonObject) -> Result<Output, CallError>;

    /// Lets go of what it holds outside of this process. Dropping it does the same, less politely.
    async fn close(&self) {}
}

/// How the calls of one reply to one environment are made. Calls to others run beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallOrder {
    /// All at once.
    #[default]
    AtOnce,
    /// One after the other, as they stand in the reply.
    InTurn,
}

/// What becomes of an open environment when its session is let go of but not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parking {
    /// It is closed, and opened anew when it is needed again.
    #[default]
    Close,
    /// It stays open for a while, for the next worker of the same process.
    Keep,
}

/// Why an environment cannot be opened: a sentence for the session's owner, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OpenError(pub String);
