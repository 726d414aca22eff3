//! What a delegated call asks for, the session it becomes, and what its caller is told of it.

use crate::shared::Shared;
use chrono::TimeDelta;
use quarterdeck_api::{
    Agent, Answer, JsonObject, Messages, Outcome, Reference, SessionId, SessionRequest, Status, Timestamp, ToolError,
    ToolRequest, ToolResult, ToolResultItem, UserMessage,
};
use quarterdeck_core::{Ending, Phase, Session, Settings, State, error_sentence};
use quarterdeck_store::{Admission, Creation, Error, NewSession};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Who gave the task, as the child's log names it.
const CALLER: &str = "agent";
/// Who says that a delegated call failed.
const ORIGIN: &str = "subagent";
/// Seconds that a child has at least.
const TIME_LEFT_MIN_S: f64 = 0.001;

/// What a call of `delegate` asks for.
pub(crate) struct Task {
    agent: Agent,
    words: String,
    /// The id of the call.
    call: Option<String>,
}

#[derive(Deserialize)]
struct Arguments {
    agent: String,
    task: String,
}

impl Task {
    /// Reads it, or says what is wrong with it in words for the model.
    pub(crate) fn of(agent: &Agent, call: &ToolRequest) -> Result<Self, String> {
        let arguments = call.args.clone().unwrap_or_default();
        let Arguments { agent: name, task } = serde_json::from_value(arguments.into())
            .map_err(|error| format!("no subagent was started: it needs `agent` and `task`, both texts ({error})"))?;
        if task.trim().is_empty() {
            return Err("no subagent was started: the task is empty".into());
        }
        let agent = subagents(agent).find(|subagent| subagent.name == name).cloned();
        let agent = agent.ok_or_else(|| format!("no subagent was started: there is none of the name {name:?}"))?;
        Ok(Self { agent, words: task, call: call.id.clone() })
    }

    /// The request of the child. It inherits what limits and labels its parent; its budget of time is what is left of
    /// the parent's.
    fn request(self, parent: &Session, request: &SessionRequest, now: Timestamp) -> SessionRequest {
        let message = UserMessage { caller_id: CALLER.into(), ..UserMessage::text(self.words) };
        SessionRequest {
            agent: Reference::Inline(Box::new(self.agent)),
            messages: Some(Messages::One(Box::new(message))),
            max_steps: request.max_steps,
            max_time_s: time_left_s(parent, now),
            idle_timeout_s: None,
            timezone: request.timezone.clone(),
            delete_after_min: request.delete_after_min,
            delete_screenshot_after_min: request.delete_screenshot_after_min,
            explicit_retention: parent.settings.retention,
            queue: true,
            group_id: request.group_id.clone(),
            parent_session_id: Some(parent.id.to_string()),
            agent_artifact: None,
            overrides: JsonObject::new(),
        }
    }
}

/// The subagents of an agent; a stored one holds them in full.
fn subagents(agent: &Agent) -> impl Iterator<Item = &Agent> {
    agent.subagents.iter().flatten().filter_map(|subagent| match subagent {
        Reference::Inline(agent) => Some(&**agent),
        Reference::Name(_) => None,
    })
}

fn time_left_s(parent: &Session, now: Timestamp) -> Option<f64> {
    let limit_ms = parent.settings.max_time_ms?;
    let left_ms = limit_ms.saturating_sub(parent.turn.worked_ms(now));
    let left = i64::try_from(left_ms).ok().and_then(TimeDelta::try_milliseconds)?;
    Some(left.as_seconds_f64().max(TIME_LEFT_MIN_S))
}

impl Shared {
    /// Creates the child that works a call off, under the id allotted to it. Nothing refuses it: it counts in the
    /// quota, but its parent already waits. With a permit it starts here and now.
    pub(crate) async fn create_child(
        self: &Arc<Self>,
        parent: &Session,
        request: &SessionRequest,
        task: Task,
        id: SessionId,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Creation, Error> {
        let now = self.clock.now();
        let agent = Arc::new(task.agent.clone());
        let cast = parent.cast.as_ref().and_then(|cast| cast.below(task.call.as_deref()));
        let request = Arc::new(task.request(parent, request, now));
        let settings = Settings::of(&request, &agent)
            .waiting_for_client(self.settings.client_wait.as_secs())
            .below(&parent.settings);
        let mut transition = Session::create(id, parent.organization, parent.user, settings, false, now);
        transition.session.cast = cast.map(Box::new);
        if permit.is_some() {
            transition.start_at_once(&request.opening_messages());
        }
        let session = NewSession {
            transition,
            request,
            agent,
            agent_reference: None,
            agent_revision: None,
            parent: Some(parent.id),
            owner: None,
            idempotency: None,
            admission: Admission::Granted,
        };
        self.create_and_run(session, permit).await
    }
}

/// Whether a child has done what it was started for, well or not.
pub(crate) fn is_settled(child: &Session) -> bool {
    match child.state {
        State::Active(Phase::Idle { .. }) | State::Ended(_) => true,
        State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => false,
    }
}

#[derive(Serialize)]
struct Report<'a> {
    session_id: SessionId,
    status: Status,
    answer: Option<&'a Answer>,
    outcome: Option<Outcome>,
}

/// What the caller is told of a child that will say no more.
pub(crate) fn returned(call: ToolRequest, child: &Session) -> ToolResultItem {
    let what = match &child.state {
        State::Ended(Ending::Completed) | State::Active(Phase::Idle { .. }) => return answered(call, child),
        State::Ended(Ending::Failed(_)) => "failed",
        State::Ended(Ending::TimedOut) => "ran out of time",
        State::Ended(Ending::Interrupted) => "was cancelled",
        State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => "did not end in time",
    };
    // The parent may be shared: its log says no more of the cause than others may read.
    let why = child.error_code().map(|code| format!(": {}", error_sentence(code))).unwrap_or_default();
    failed(call, format!("the subagent's session {} {what}{why}", child.id))
}

fn answered(call: ToolRequest, child: &Session) -> ToolResultItem {
    let report = Report {
        session_id: child.id,
        status: child.state.status(),
        answer: child.answer.as_ref(),
        outcome: child.outcome,
    };
    match serde_json::to_value(report) {
        Ok(result) => {
            ToolResultItem::Result(ToolResult { tool_req: call, result, truncated: false, output_artifact_path: None })
        }
        Err(error) => failed(call, format!("the subagent's answer cannot be shown: {error}")),
    }
}

pub(crate) fn failed(call: ToolRequest, error: String) -> ToolResultItem {
    ToolResultItem::Error(ToolError { error, origin: ORIGIN.into(), tool_req: Some(call) })
}
