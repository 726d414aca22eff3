//! The wire types of the Agents API: what a request may hold, what an answer looks like.
//!
//! Requests are decoded by [`decode`], which carries the location of every value and collects every
//! error; answers are plain serde. A type says in one place what it accepts, and its `OpenAPI` schema
//! says the same.
//!
//! This crate never touches a clock, a store, the network or a task: it only knows shapes. Nothing in
//! it depends on stored state; what does (does the agent exist, is the session running) is decided above.

mod agents;
mod environments;
mod error;
mod events;
mod ids;
mod messages;
mod pages;
mod sessions;
mod skills;
mod tools;

pub use agents::{Agent, ReasoningEffort, Reference};
pub use environments::{
    Android, Browser, BrowserMode, BrowserNetwork, CodeSandbox, Desktop, Environment, EnvironmentKind, Host,
    ManagedProxy, McpEnvironment, McpServer, McpTransport, Memory, ProxyPool, Workstation, WorkstationStorage,
};
pub use error::{Detail, ErrorBody, LocationPart};
pub use events::{
    ActiveState, AgentEvent, AttachmentOrigin, CompletionReason, EventData, MessageContent, RunStatus, TransferDirection,
};
pub use ids::{OrganizationId, SessionId, UserId};
pub use messages::{FileContent, ImageContent, Messages, SourceType, UserMessage};
pub use pages::Page;
pub use sessions::{
    Answer, ErrorCode, Metrics, ModelCost, ModelUsage, Outcome, QuotaScope, QuotaStatus, Session, SessionChanges,
    SessionRequest, SessionStatus, SessionSummary, Status,
};
pub use skills::Skill;
pub use tools::{ToolDefinition, ToolError, ToolRequest, ToolResult, ToolResultItem};

/// A free-form JSON object, keys in the order they were sent.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// A moment in UTC; on the wire RFC 3339 with microseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
