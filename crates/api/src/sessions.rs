//! Sessions: the request that makes one and the records that show one.

use crate::{Agent, JsonObject, Messages, Reference, SessionId, ToolRequest, UserMessage};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};
use utoipa::ToSchema;

/// The body of `POST /sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"agent": "h/web-surfer-pro", "messages": "Find the price."}))]
pub struct SessionRequest {
    /// Who acts: a catalog name, `name:N`, or an agent in full.
    pub agent: Reference<Agent>,
    /// What to do.
    pub messages: Option<Messages>,
    /// Steps per answer before an answer is forced.
    #[schema(minimum = 1)]
    pub max_steps: Option<i64>,
    /// Working seconds per answer before an answer is forced.
    #[schema(exclusive_minimum = 0)]
    pub max_time_s: Option<f64>,
    /// Seconds an answered session waits for the next message. Absent: the session ends at its answer.
    #[schema(exclusive_minimum = 0)]
    pub idle_timeout_s: Option<i64>,
    /// The user's time zone, an IANA name.
    pub timezone: Option<String>,
    /// Minutes until the session is deleted.
    #[schema(minimum = 1, default = 43200)]
    pub delete_after_min: Option<i64>,
    /// Minutes until its screenshots are deleted.
    #[schema(minimum = 1, default = 43200)]
    pub delete_screenshot_after_min: Option<i64>,
    /// What the client asked for of the two above, which read as a default otherwise. Not on the wire.
    #[serde(skip)]
    #[schema(ignore)]
    pub explicit_retention: Retention,
    /// Over the limit: wait (true) or be refused with 429 (false).
    #[schema(required = false, default = true)]
    pub queue: bool,
    /// A free label to filter by.
    pub group_id: Option<String>,
    /// The session this one works for.
    pub parent_session_id: Option<String>,
    /// Reserved by the hosted service; kept and echoed.
    pub agent_artifact: Option<String>,
    /// Path to value: changes to the resolved request.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub overrides: JsonObject,
}

/// How long a session and its screenshots are kept because a client said so, in minutes; none where it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Until the session is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after_min: Option<i64>,
    /// Until its screenshots are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_screenshot_after_min: Option<i64>,
}

impl SessionRequest {
    /// The messages it opens with, in order.
    pub fn opening_messages(&self) -> Vec<UserMessage> {
        self.messages.as_ref().map(Messages::to_vec).unwrap_or_default()
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted above the limit; starts when a slot frees.
    Queued,
    /// About to start.
    Pending,
    /// The agent is acting.
    Running,
    /// Stopped between steps.
    Paused,
    /// Answered; waits for the next message.
    Idle,
    /// Waits for results of custom tools.
    AwaitingToolResults,
    /// Ended with an answer.
    Completed,
    /// Ended by a fault.
    Failed,
    /// Ended by its time limit.
    TimedOut,
    /// Cancelled.
    Interrupted,
}

impl Status {
    /// All of them, in the order of a session's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Idle,
        Self::AwaitingToolResults,
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Idle => "idle",
            Self::AwaitingToolResults => "awaiting_tool_results",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::TimedOut | Self::Interrupted)
    }
}

/// Why a session failed or timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// An environment could not be had.
    EnvironmentError,
    /// The agent gave no answer.
    NoAnswer,
    /// The answer never satisfied `answer_format`.
    AnswerValidation,
    /// The time limit passed without an answer.
    Timeout,
    /// No credit left; hosted service only.
    InsufficientCredit,
    /// Anything else.
    Internal,
}

/// The agent's own verdict on its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done as asked.
    Success,
    /// Done in part.
    Partial,
    /// Cannot be done.
    Infeasible,
    /// Could be done, but something stood in the way.
    Blocked,
}

/// An answer: text, or an object when `answer_format` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Answer {
    /// Text.
    Text(String),
    /// An object that satisfies `answer_format`.
    #[schema(value_type = Object)]
    Object(JsonObject),
}

/// A session, as creation and `GET /sessions/{id}` show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The request, agent resolved, overrides applied, secrets masked.
    #[schema(value_type = SessionRequest)]
    pub request: Box<RawValue>,
    /// Where it stands.
    pub status: SessionStatus,
    /// The catalog revision used; null for inline agents.
    #[schema(required = true)]
    pub agent_revision: Option<i64>,
    /// Where to watch it, when a page is served.
    #[schema(required = true)]
    pub agent_view_url: Option<String>,
    /// The last answer of any turn.
    #[schema(required = true)]
    pub latest_answer: Option<Answer>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When the agent started.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// One line of a session listing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionSummary {
    /// Its id.
    pub id: SessionId,
    /// The catalog name used, or the inline agent's name.
    #[schema(required = true)]
    pub agent: Option<String>,
    /// The catalog revision used.
    #[schema(required = true)]
    pub agent_revision: Option<i64>,
    /// Where it stands.
    pub status: Status,
    /// Where to watch it.
    #[schema(required = true)]
    pub agent_view_url: Option<String>,
    /// What it was asked first.
    #[schema(value_type = Option<UserMessage>, required = true)]
    pub first_message: Option<Box<RawValue>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When the agent started.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// When its log last grew.
    #[schema(required = true)]
    pub last_activity_at: Option<DateTime<Utc>>,
    /// When its content was removed and the record kept.
    #[schema(required = true)]
    pub anonymized_at: Option<DateTime<Utc>>,
}

/// What a listing says of a session when it is asked for more: how far it came, and what it used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionFigures {
    /// Steps taken, over all turns.
    pub steps: i64,
    /// Tokens used, of all models.
    pub tokens: Tokens,
    /// The agent's own verdict.
    #[schema(required = true)]
    pub outcome: Option<Outcome>,
    /// Why it failed.
    #[schema(required = true)]
    pub error_code: Option<ErrorCode>,
    /// Its label.
    #[schema(required = true)]
    pub group_id: Option<String>,
    /// The session that it works for.
    #[schema(required = true)]
    pub parent_session_id: Option<SessionId>,
}

/// Tokens of all models together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tokens {
    /// Tokens read.
    pub input: i64,
    /// Tokens written.
    pub output: i64,
}

impl Tokens {
    /// Of all models together.
    pub fn of(models: &[ModelUsage]) -> Self {
        models.iter().fold(Self::default(), |sum, model| Self {
            input: sum.input.saturating_add(model.input_tokens),
            output: sum.output.saturating_add(model.output_tokens),
        })
    }
}

/// Where a session stands, in detail.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionStatus {
    /// The status.
    pub status: Status,
    /// Why it failed, a fixed sentence for each code.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    pub error_code: Option<ErrorCode>,
    /// The agent's own verdict.
    #[schema(required = true)]
    pub outcome: Option<Outcome>,
    /// Steps taken, over all turns.
    pub steps: i64,
    /// Tokens used.
    pub usage_per_model: Vec<ModelUsage>,
    /// Sessions that work for this one.
    pub subagent_session_ids: Vec<SessionId>,
    /// Calls whose results the client owes.
    pub pending_tool_calls: Vec<ToolRequest>,
}

/// Tokens used of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelUsage {
    /// The model's name.
    pub name: String,
    /// Tokens read.
    pub input_tokens: i64,
    /// Of those, read from a cache.
    #[serde(default)]
    pub cached_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of those, spent on thinking.
    pub reasoning_tokens: i64,
}

/// Usage and cost of one model; costs are null when no price is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelCost {
    /// The usage.
    #[serde(flatten)]
    pub usage: ModelUsage,
    /// Cost of tokens read.
    #[schema(required = true)]
    pub input_cost: Option<f64>,
    /// Cost of tokens written.
    #[schema(required = true)]
    pub output_cost: Option<f64>,
    /// Cost of thinking.
    #[schema(required = true)]
    pub reasoning_cost: Option<f64>,
    /// All together.
    #[schema(required = true)]
    pub total_cost: Option<f64>,
}

/// Steps, usage and cost of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metrics {
    /// Steps taken, over all turns.
    pub steps: i64,
    /// By model.
    pub cost_per_model: Vec<ModelCost>,
    /// Cost of tokens read.
    #[schema(required = true)]
    pub input_cost: Option<f64>,
    /// Cost of tokens written.
    #[schema(required = true)]
    pub output_cost: Option<f64>,
    /// Cost of thinking.
    #[schema(required = true)]
    pub reasoning_cost: Option<f64>,
    /// All together.
    #[schema(required = true)]
    pub total_cost: Option<f64>,
}

impl Metrics {
    /// Metrics of these tokens, which cost what `cost` says of each model, in dollars: read, written, thought. The sums are
    /// known when all of it has a price.
    pub fn new(steps: i64, usage: &[ModelUsage], cost: impl Fn(&str) -> Option<[f64; 3]>) -> Self {
        let costs: Vec<_> = usage.iter().map(|usage| cost(&usage.name)).collect();
        let priced = |(usage, cost): (&ModelUsage, &Option<[f64; 3]>)| ModelCost {
            usage: usage.clone(),
            input_cost: cost.map(|[input, ..]| input),
            output_cost: cost.map(|[_, output, _]| output),
            reasoning_cost: cost.map(|[.., reasoning]| reasoning),
            total_cost: cost.map(|parts| parts.iter().sum()),
        };
        let all: Option<Vec<[f64; 3]>> = costs.iter().copied().collect();
        let all = all.filter(|all| !all.is_empty());
        let sum = |part: usize| all.as_ref().map(|all| all.iter().map(|cost| cost[part]).sum::<f64>());
        Self {
            steps,
            cost_per_model: usage.iter().zip(&costs).map(priced).collect(),
            input_cost: sum(0),
            output_cost: sum(1),
            reasoning_cost: sum(2),
            total_cost: all.as_ref().map(|all| all.iter().flatten().sum()),
        }
    }
}

/// What happened since an index of the log, and where the session stands now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionChanges {
    /// Where it stands.
    pub status: Status,
    /// When the agent started.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    pub error_code: Option<ErrorCode>,
    /// The events from `first_index` on, as they were stored.
    #[schema(value_type = Vec<crate::Event>)]
    pub new_events: Vec<Arc<RawValue>>,
    /// The index of the first of `new_events`.
    pub first_index: i64,
    /// The latest answer.
    #[schema(required = true)]
    pub answer: Option<Answer>,
    /// The agent's own verdict.
    #[schema(required = true)]
    pub outcome: Option<Outcome>,
    /// Steps, usage and cost.
    pub metrics: Metrics,
    /// Calls whose results the client owes.
    pub pending_tool_calls: Vec<ToolRequest>,
}

// For the document only: the log is written piece by piece.
/// A shared session, as its link shows it.
#[derive(Serialize, ToSchema)]
pub struct SharedTrajectory {
    /// The session's fields.
    #[serde(flatten)]
    pub session: Session,
    /// Its whole log.
    #[schema(value_type = Vec<crate::Event>)]
    pub events: Vec<Arc<RawValue>>,
}

/// Where a shared session can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareLink {
    /// A path on this server.
    pub share_url: String,
}

/// How many sessions may run and do run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuotaStatus {
    /// Whose limit it is.
    pub scope: QuotaScope,
    /// The limit.
    pub limit: i64,
    /// Sessions that hold a slot.
    pub active: i64,
    /// Slots left.
    pub available: i64,
    /// Who holds them, and who waits: sessions in each status that is no end. Not in the hosted service's answer.
    pub by_status: BTreeMap<String, i64>,
}

/// How many tokens may be used and were used, since when and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenQuotaStatus {
    /// The limit; null: there is none.
    #[schema(required = true)]
    pub limit: Option<i64>,
    /// Tokens used in the window; null: they are not counted.
    #[schema(required = true)]
    pub used: Option<i64>,
    /// Tokens left.
    #[schema(required = true)]
    pub remaining: Option<i64>,
    /// When the window began.
    pub window_start: DateTime<Utc>,
    /// When it ends; null: it does not.
    #[schema(required = true)]
    pub window_end: Option<DateTime<Utc>>,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuotaScope {
    /// The caller's.
    User,
    /// The organization's.
    Org,
}
