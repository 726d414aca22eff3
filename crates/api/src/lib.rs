//! The wire types of the Agents API: what a request may hold, what an answer looks like.
//!
//! Requests are decoded by [`decode`], which carries the location of every value and collects every
//! error; answers are plain serde. A type says in one place what it accepts, and its `OpenAPI` schema
//! says the same.
//!
//! This crate never touches a clock, a store, the network or a task: it only knows shapes. Nothing in
//! it depends on stored state; what does (does the agent exist, is the session running) is decided above.

mod agents;
mod cron;
pub mod decode;
mod environments;
mod error;
mod events;
mod ids;
pub mod mask;
mod messages;
mod overrides;
mod pages;
mod patches;
pub mod patterns;
mod schedules;
mod sessions;
mod skills;
mod tools;
pub mod unmask;
mod webhooks;

pub use agents::{Agent, AgentRevisionRecord, ReasoningEffort, Reference};
pub use cron::Cron;
pub use decode::Decode;
pub use decode::body::Body;
pub use decode::decoder::{Decoder, Parts, decode_json};
pub use decode::headers::{IdempotencyKey, IfMatch};
pub use decode::messages::MessagesBody;
pub use decode::queries::{
    AgentGetQuery, AgentListQuery, AgentOrder, AgentSort, AgentWriteQuery, ChangesQuery, EnvironmentListQuery,
    EnvironmentOrder, EnvironmentSort, EventOrder, EventSort, EventsQuery, Owner, Paging, PlainListQuery, PlainSort,
    RevisionListQuery, RevisionOrder, RevisionSort, RunListQuery, RunSort, SessionListQuery, SessionOrder, SessionSort,
    SkillListQuery, SkillOrder, SkillSort,
};
pub use decode::query::{DecodeQuery, Query};
pub use decode::schemas::{check_patterns, in_a_known_draft};
pub use decode::sessions::Feedback;
pub use decode::sorting::{Sort, SortField};
pub use decode::tools::ToolResultsBody;
pub use environments::{
    Android, Browser, BrowserMode, BrowserNetwork, CodeSandbox, Desktop, Environment, EnvironmentKind, Host,
    ManagedProxy, McpEnvironment, McpServer, McpTransport, Memory, ProxyPool, Workstation, WorkstationStorage,
};
pub use error::{Detail, ErrorBody, LocationPart, Problem};
pub use events::{
    ActiveState, AgentEvent, AttachmentOrigin, CompletionReason, Event, EventData, MessageContent, RunStatus,
    TransferDirection,
};
pub use ids::{OrganizationId, SessionId, UserId};
pub use messages::{FileContent, ImageContent, Messages, SourceType, UserMessage, picture_ending};
pub use overrides::apply_overrides;
pub use pages::Page;
pub use patches::{PatchAgent, PatchEnvironment, PatchSkill};
pub use schedules::{CreateSchedule, CronTiming, PauseSchedule, UpdateSchedule};
pub use sessions::{
    Answer, ErrorCode, Metrics, ModelCost, ModelUsage, Outcome, QuotaScope, QuotaStatus, Retention, Session,
    SessionChanges, SessionFigures, SessionRequest, SessionStatus, SessionSummary, ShareLink, SharedTrajectory, Status,
    TokenQuotaStatus, Tokens,
};
pub use skills::Skill;
pub use tools::{ToolDefinition, ToolError, ToolRequest, ToolResult, ToolResultItem, empty_input_schema};
pub use webhooks::{CreateWebhook, UpdateWebhook, WebhookEventType};

/// A free-form JSON object, keys in the order they were sent.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// A moment in UTC; on the wire RFC 3339 with microseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
