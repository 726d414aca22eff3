//! The port between the engine and whatever drives a session.

use crate::{media::Media, scene::Scene, toolbox::Toolbox};
use async_trait::async_trait;
use quarterdeck_api::{Agent, AgentEvent, SessionId, ToolRequest};
use quarterdeck_core::{Report, Session, SessionFailure, StepMode, Vision};
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

    /// Lets go of what it keeps in memory past its time. It is told to every few seconds, also when no session takes steps.
    fn let_go(&self) {}
}

/// Makes reports durable, in order.
#[async_trait]
pub trait Recorder: Send {
    /// Returns once `report` is committed to the log.
    ///
    /// # Errors
    /// [`Superseded`] when it no longer fits, and nothing was recorded. The step ends here.
    async fn record(&mut self, report: Report) -> Result<Recorded, Superseded>;

    /// How far the session has come, once it is beyond the version `after`.
    ///
    /// # Errors
    /// [`Superseded`] when it belongs to another worker now.
    async fn reach(&mut self, after: Option<u64>) -> Result<Reach, Superseded>;
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// It grows with each change.
    pub version: u64,
    /// Events of its log.
    pub log_length: u64,
}

/// What follows from a report that was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// After a decision: those of its calls that the runner makes now, neither the client's nor a subagent's. None when
    /// an answer was forced meanwhile.
    pub to_run: Vec<ToolRequest>,
}

impl Recorded {
    /// What follows from a decision once it has led to this session.
    pub fn after_decision(session: &Session) -> Self {
        Self { to_run: session.state.running_calls().to_vec() }
    }
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
    /// [`Report::Decided`](quarterdeck_core::Report::Decided).
    pub toolbox: Arc<dyn Toolbox>,
    /// The pictures of the transcript.
    pub media: Arc<dyn Media>,
    /// What the session plays in a model's place.
    pub scene: Option<Arc<Scene>>,
    /// How far the session had come when the step began.
    pub begun: Reach,
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
    Failed(SessionFailure),
}

/// A report was refused: the session moved on, or belongs to another worker now.
#[derive(Debug, Error)]
#[error("the session moved on")]
pub struct Superseded;
