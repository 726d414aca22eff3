//! The events of a session's log, as they go over the wire.
//!
//! An event is serialized once, when it is written; from then on it is passed through as it stands.
//! Readers must accept types they do not know: later versions add some.

use crate::{Answer, EnvironmentKind, ImageContent, JsonObject, Metrics, Outcome, ToolError, ToolRequest, ToolResult};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

// For the document only. Whoever stores an event writes the two together, once.
/// An event as it is stored and served: what happened, and when.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// What happened.
    #[serde(flatten)]
    pub data: EventData,
    /// When it was stored; never goes back within a log.
    pub timestamp: DateTime<Utc>,
}

/// What happened, by type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum EventData {
    /// The session was accepted; always the first event.
    #[serde(rename = "RequestStartEvent")]
    RequestStart {},
    /// It was handed to a worker.
    #[serde(rename = "RequestStartDispatchedEvent")]
    RequestStartDispatched {
        /// The status it was handed over in.
        status: String,
    },
    /// The agent started.
    #[serde(rename = "AgentStartedEvent")]
    AgentStarted {},
    /// An environment is ready.
    #[serde(rename = "RunnerSessionEvent")]
    RunnerSession {
        /// The environment's own id.
        runner_session_id: String,
        /// Its kind.
        #[schema(required = true)]
        kind: Option<EnvironmentKind>,
    },
    /// It can be watched live.
    #[serde(rename = "LiveViewUrlEvent")]
    LiveViewUrl {
        /// Where.
        live_view_url: String,
    },
    /// The turn's state or the pending calls changed.
    #[serde(rename = "ActiveStateChangeEvent")]
    ActiveStateChange {
        /// The state now.
        state: ActiveState,
        /// Calls whose results the client owes.
        #[schema(required = true)]
        pending_tool_calls: Option<Vec<ToolRequest>>,
    },
    /// A pause or resume took effect.
    #[serde(rename = "AgentRunStatusChangeEvent")]
    AgentRunStatusChange {
        /// The status now.
        status: RunStatus,
    },
    /// The agent did something.
    #[serde(rename = "AgentEvent")]
    Agent(AgentEvent),
    /// Steps, usage and cost so far.
    #[serde(rename = "MetricsUpdateEvent")]
    MetricsUpdate {
        /// The figures.
        metrics: Metrics,
    },
    /// A file moved in or out of an environment.
    #[serde(rename = "FileTransferEvent")]
    FileTransfer {
        /// Which way.
        direction: TransferDirection,
        /// The file.
        path: String,
        /// Its size, in bytes.
        #[schema(required = true)]
        size_bytes: Option<i64>,
    },
    /// A file was delivered.
    #[serde(rename = "AttachmentEvent")]
    Attachment {
        /// By whom.
        origin: AttachmentOrigin,
        /// Its name.
        name: String,
        /// Where it lies.
        path: String,
        /// Its media type.
        media_type: String,
        /// Its size, in bytes.
        size_bytes: i64,
        /// Where to fetch it.
        url: String,
    },
    /// The session ended without a fault.
    #[serde(rename = "AgentCompletionEvent")]
    AgentCompletion {
        /// How.
        reason: CompletionReason,
    },
    /// The session failed.
    #[serde(rename = "AgentErrorEvent")]
    AgentError {
        /// Why.
        error: String,
        /// Always empty: internals stay inside.
        trace: String,
        /// What is known beyond that.
        #[schema(value_type = Option<Object>, required = true)]
        info: Option<JsonObject>,
    },
}

impl EventData {
    /// The agent's part, if it is an event of an agent.
    pub fn agent_event(&self) -> Option<&AgentEvent> {
        match self {
            Self::Agent(event) => Some(event),
            Self::RequestStart {}
            | Self::RequestStartDispatched { .. }
            | Self::AgentStarted {}
            | Self::RunnerSession { .. }
            | Self::LiveViewUrl { .. }
            | Self::ActiveStateChange { .. }
            | Self::AgentRunStatusChange { .. }
            | Self::MetricsUpdate { .. }
            | Self::FileTransfer { .. }
            | Self::Attachment { .. }
            | Self::AgentCompletion { .. }
            | Self::AgentError { .. } => None,
        }
    }
}

/// What an agent did, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentEvent {
    /// Somebody spoke to it.
    MessageEvent {
        /// Who.
        caller_id: String,
        /// What was said and shown.
        content: Vec<MessageContent>,
    },
    /// It looked at its environment.
    ObservationEvent {
        /// The environment's kind, or what else was looked at.
        #[serde(rename = "type")]
        source: String,
        /// What it saw, in words.
        #[schema(required = true)]
        text: Option<String>,
        /// What it saw, as a picture.
        #[schema(required = true)]
        image: Option<ImageContent>,
        /// What goes with it, such as the page's address.
        #[schema(value_type = Object)]
        metadata: JsonObject,
    },
    /// The model replied.
    PolicyEvent {
        /// What it thought.
        #[schema(required = true)]
        reasoning_content: Option<String>,
        /// What it said.
        #[schema(required = true)]
        content: Option<String>,
        /// What it wants done.
        tool_reqs: Vec<ToolRequest>,
        /// What was wrong with the reply.
        validation_errors: Vec<String>,
        /// What the model's host put into the reply and wants back. It is in the log and no part of the wire.
        #[serde(skip)]
        kept: Option<Box<JsonObject>>,
    },
    /// A call returned.
    ToolResult(ToolResult),
    /// It answered.
    AnswerEvent {
        /// The answer.
        answer: Answer,
        /// Its own verdict.
        #[schema(required = true)]
        outcome: Option<Outcome>,
    },
    /// Something went wrong and the session goes on.
    ErrorEvent(ToolError),
    /// Its course was changed from outside.
    FlowEvent {
        /// How: `force_answer`, ...
        flow: String,
        /// By whom.
        origin: String,
    },
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MessageContent {
    /// Words.
    Text(String),
    /// A picture.
    Image(ImageContent),
    /// A part of a later version.
    #[schema(value_type = Object)]
    Unknown(Value),
}

/// The state of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActiveState {
    /// The agent acts.
    Running,
    /// It answered.
    Idle,
    /// It waits for results of custom tools.
    AwaitingToolResults,
}

/// Whether a pause is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Off.
    Running,
    /// On.
    Paused,
}

/// How a session ended without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionReason {
    /// By its answer.
    Finished,
    /// By a cancel.
    Stopped,
    /// By its time limit.
    TimedOut,
}

/// Which way a file moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransferDirection {
    /// Out of the environment.
    Download,
    /// Into it.
    Upload,
}

/// Who delivered a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentOrigin {
    /// The agent.
    Agent,
    /// The user.
    User,
}
