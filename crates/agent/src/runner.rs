//! The port between the engine and whatever drives a session.

use crate::toolbox::Toolbox;
use async_trait::async_trait;
use quarterdeck_api::{Agent, AgentEvent, SessionId};
use quarterdeck_core::{Fact, Fault, StepMode, Vision};
use std::sync::Arc;
use thiserror::Error;

/// Drives sessions, one step at a time. Plug your own agent in here.
///
/// One step looks, thinks once, acts, and records each of these as it happens. The future may be dropped at
/// any await point, when the session is paused, cancelled or its time is up: a step must not leave anything
/// behind that only it could clean up.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Takes one step and returns once it is recorded.
    ///
    /// # Errors
    /// [`StepError::Superseded`] when a record was refused because the session moved on: not a fault, the
    /// engine looks again. [`StepError::Failed`] when the session cannot go on; the engine records the fault.
    async fn step(&self, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError>;

    /// How the model of this agent sees and points, for the environments that show it pictures.
    fn vision(&self, _agent: &Agent) -> Vision {
        Vision::default()
    }
}

/// Makes facts durable, in order.
#[async_trait]
pub trait Recorder: Send {
    /// Returns once `fact` is committed to the log.
    ///
    /// # Errors
    /// [`Superseded`] when it no longer fits, and nothing was recorded; also when a decision was recorded and its
    /// calls are not to be made, because an answer was forced meanwhile. Either way the step ends here.
    async fn record(&mut self, fact: Fact) -> Result<(), Superseded>;
}

/// What a step may know.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The session.
    pub session: SessionId,
    /// Its agent, resolved.
    pub agent: Arc<Agent>,
    /// The user's time zone, an IANA name.
    pub timezone: Option<String>,
    /// What the agent saw, said and did so far: every agent event of the log, in order.
    pub transcript: Vec<Arc<AgentEvent>>,
    /// The tools that the server runs for it. A call is recorded before it is made:
    /// [`Fact::Decided`](quarterdeck_core::Fact::Decided).
    pub toolbox: Arc<dyn Toolbox>,
    /// What the step may do.
    pub mode: StepMode,
}

/// Why a step ended early.
#[derive(Debug, Error)]
pub enum StepError {
    /// The session moved on.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// The session cannot go on.
    #[error("{0:?}")]
    Failed(Fault),
}

/// A fact was refused: the session moved on, or belongs to another worker now.
#[derive(Debug, Error)]
#[error("the session moved on")]
pub struct Superseded;
