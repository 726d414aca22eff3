//! The states of a session. Each carries what only it needs, so a wrong combination cannot be written.

use crate::Delegation;
use quarterdeck_api::{ErrorCode, Status, Timestamp, ToolRequest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted above the limit of its organization; nothing is provisioned.
    Queued,
    /// Waits for a worker to start it.
    Pending,
    /// Started and not stopped.
    Active(Phase),
    /// Stopped by a pause; a resume goes on where it stopped.
    Paused {
        /// Where a resume leads.
        resume_to: Resumption,
    },
    /// Over; nothing more happens by itself.
    Ended(Ending),
}

/// What an active session is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The agent acts.
    Running(OpenStep),
    /// The turn is answered, or none has begun; waits for a message.
    Idle {
        /// When waiting began.
        since: Timestamp,
    },
    /// Waits for the client's results of these calls; never empty.
    AwaitingToolResults {
        /// The calls still owed.
        calls: Vec<ToolRequest>,
    },
}

/// The calls of the step in progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenStep {
    /// Calls the server runs, recorded but not returned. After a crash their outcome is unknown.
    pub running: Vec<ToolRequest>,
    /// Calls that other sessions work off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegated: Vec<Delegation>,
    /// Calls the client is to run once the others have returned.
    pub owed: Vec<ToolRequest>,
}

/// Where a resume leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resumption {
    /// It had not started.
    Pending,
    /// It was acting.
    Running(OpenStep),
    /// It was waiting for these results; never empty.
    AwaitingToolResults {
        /// The calls still owed.
        calls: Vec<ToolRequest>,
    },
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With an answer, or after an idle wait.
    Completed,
    /// By a fault.
    Failed(SessionFailure),
    /// By its time limit, without an answer.
    TimedOut,
    /// Cancelled, for good.
    Interrupted,
}

/// Why a session failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFailure {
    /// The contract's code.
    pub code: ErrorCode,
    /// What is known beyond the code, for the owner's eyes: host, status, the model's own words.
    pub cause: Option<String>,
}

impl SessionFailure {
    /// A fault whose code says it all.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, cause: None }
    }

    /// A fault with its cause.
    pub fn because(code: ErrorCode, cause: impl Into<String>) -> Self {
        Self { code, cause: Some(cause.into()) }
    }
}

/// Why the agent must answer at its next step. A later one in this order replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForceReason {
    /// `max_steps` is reached; the client still gets to settle the calls of the last step.
    StepLimit,
    /// The user asked for it.
    User,
    /// `max_time_s` is reached.
    TimeLimit,
}

impl ForceReason {
    /// Who forces, as the log names it.
    pub fn origin(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::StepLimit | Self::TimeLimit => "server",
        }
    }
}

impl State {
    /// The state's word on the wire.
    pub fn status(&self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Pending => Status::Pending,
            Self::Active(Phase::Running(_)) => Status::Running,
            Self::Active(Phase::Idle { .. }) => Status::Idle,
            Self::Active(Phase::AwaitingToolResults { .. }) => Status::AwaitingToolResults,
            Self::Paused { .. } => Status::Paused,
            Self::Ended(Ending::Completed) => Status::Completed,
            Self::Ended(Ending::Failed(_)) => Status::Failed,
            Self::Ended(Ending::TimedOut) => Status::TimedOut,
            Self::Ended(Ending::Interrupted) => Status::Interrupted,
        }
    }

    /// The calls whose results the client owes.
    pub fn pending_tool_calls(&self) -> &[ToolRequest] {
        match self {
            Self::Active(Phase::AwaitingToolResults { calls })
            | Self::Paused { resume_to: Resumption::AwaitingToolResults { calls } } => calls,
            Self::Queued | Self::Pending | Self::Active(_) | Self::Paused { .. } | Self::Ended(_) => &[],
        }
    }

    /// The calls that the server runs and that have not returned, also while paused.
    pub fn running_calls(&self) -> &[ToolRequest] {
        match self {
            Self::Active(Phase::Running(step)) | Self::Paused { resume_to: Resumption::Running(step) } => &step.running,
            Self::Queued | Self::Pending | Self::Active(_) | Self::Paused { .. } | Self::Ended(_) => &[],
        }
    }

    /// The calls that have no result yet, whoever runs them.
    pub(crate) fn open_calls(&self) -> Vec<ToolRequest> {
        match self {
            Self::Active(Phase::Running(step)) | Self::Paused { resume_to: Resumption::Running(step) } => {
                let delegated = step.delegated.iter().map(|delegation| &delegation.call);
                step.running.iter().chain(delegated).chain(&step.owed).cloned().collect()
            }
            Self::Queued | Self::Pending | Self::Active(_) | Self::Paused { .. } | Self::Ended(_) => {
                self.pending_tool_calls().to_vec()
            }
        }
    }

    /// Whether the session holds one of its organization's slots (contract: sessions, section 1).
    pub fn holds_slot(&self) -> bool {
        match self {
            Self::Queued | Self::Ended(_) => false,
            Self::Pending | Self::Active(_) | Self::Paused { .. } => true,
        }
    }
}

/// Why a command or fact was refused. The session is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The session is over.
    #[error("the session has ended ({})", status.as_str())]
    Ended {
        /// How it ended.
        status: Status,
    },
    /// The session has not started, so there is nothing to act on.
    #[error("the session is queued and has nothing to {action} yet")]
    Queued {
        /// What was asked for.
        action: &'static str,
    },
    /// None of the results answers a call that is waited for.
    #[error("no pending tool call matches ({} pending)", pending)]
    NothingPending {
        /// How many calls are waited for.
        pending: usize,
    },
    /// Too many messages wait to be delivered.
    #[error("{} messages already wait to be delivered", waiting)]
    InboxFull {
        /// How many wait.
        waiting: u64,
    },
    /// The log takes nothing new.
    #[error("the session's log is full ({} events)", events)]
    LogFull {
        /// How many it holds.
        events: u64,
    },
    /// A worker's fact does not fit the state any more; the worker looks again.
    #[error("the session moved on: it is {}", status.as_str())]
    MovedOn {
        /// Where it stands.
        status: Status,
    },
}
