//! What a recorded session did, told apart by who did it: the agent and its environments (deeds), the people and programs
//! around it (acts), or the server by itself and time, which both do so again unasked.

use crate::recording::Recording;
use quarterdeck_api::{
    ActiveState, AgentEvent, Answer, AttachmentOrigin, CompletionReason, EnvironmentKind, EventData, FileContent,
    ImageContent, MessageContent, Metrics, ModelUsage, Outcome, RunStatus, Skill, SourceType, ToolError, ToolRequest,
    ToolResultItem, TransferDirection, UserMessage,
};
use serde_json::Value;
use std::time::Duration;

/// The tool by which an agent has others work.
const DELEGATE: &str = "delegate";
/// How the server says that a call was left alone because its worker went.
const ABANDONED: &str = "the call was stopped while it was running";

/// Something that the agent or one of its environments did.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// An environment started.
    Opened {
        /// Its kind.
        kind: EnvironmentKind,
        /// Where it could be watched.
        live_view_url: Option<String>,
    },
    /// Something was seen.
    Observed(AgentEvent),
    /// Something went wrong and was tried again.
    Troubled {
        /// What.
        error: String,
        /// Where.
        origin: String,
    },
    /// The model replied.
    Replied(Box<Replied>),
    /// A call returned.
    Returned(ToolResultItem),
    /// A call brought a file.
    Brought(FileContent),
    /// Its time was over.
    TimedOut,
    /// It could not go on.
    Failed {
        /// What its owner read.
        sentence: String,
        /// Why.
        cause: Option<String>,
    },
}

/// A reply of a model, and what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replied {
    /// What it thought.
    pub reasoning: Option<String>,
    /// What it said.
    pub content: Option<String>,
    /// What it wanted done; of an answer, the call that it was given by.
    pub calls: Vec<ToolRequest>,
    /// What was wrong with it.
    pub validation_errors: Vec<String>,
    /// The answer that it was.
    pub answer: Option<(Answer, Option<Outcome>)>,
    /// Whether it ended the turn without an answer.
    pub asks: bool,
    /// What it used, and what that cost, in billionths of a dollar: read, written, thought.
    pub usage: Option<(ModelUsage, Option<[i64; 3]>)>,
}

/// A deed and its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// How many events there were before it.
    pub after: usize,
    /// How long it took.
    pub wait: Duration,
    /// Whether a message had come by then that nobody had read.
    pub awaits_message: bool,
    /// The deed.
    pub deed: Deed,
}

impl Deed {
    /// Whether the transcript that runners read shows it.
    fn is_seen(&self) -> bool {
        match self {
            Self::Observed(_) | Self::Troubled { .. } | Self::Replied(_) | Self::Returned(_) => true,
            Self::Opened { .. } | Self::Brought(_) | Self::TimedOut | Self::Failed { .. } => false,
        }
    }
}

/// Something that somebody outside did to the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// They said something.
    Message(Vec<UserMessage>),
    /// They gave results of calls.
    ToolResults(Vec<ToolResultItem>),
    /// They paused it.
    Pause,
    /// They let it go on.
    Resume,
    /// They asked for the answer.
    ForceAnswer,
    /// They cancelled it.
    Cancel,
}

/// A recorded session as something to do again.
#[derive(Clone, Debug)]
pub struct Playback {
    deeds: Vec<Placed>,
    roles: Roles,
}

/// Who is answerable for the results of calls.
#[derive(Clone, Debug, Default)]
struct Roles {
    client_tools: Vec<String>,
    delegates: bool,
}

impl Roles {
    fn of(request: &Value) -> Self {
        let list = |name: &str| request.get("agent").and_then(|agent| agent.get(name)).and_then(Value::as_array);
        let names = list("tools").into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str());
        Self {
            client_tools: names.map(str::to_owned).collect(),
            delegates: list("subagents").is_some_and(|subagents| !subagents.is_empty()),
        }
    }

    fn is_clients(&self, call: &ToolRequest) -> bool {
        self.client_tools.contains(&call.tool_name)
    }

    /// Whether the agent's own environments returned this, or the server gave up on them.
    fn is_deed(&self, event: &AgentEvent, after: Option<&AgentEvent>) -> bool {
        match event {
            AgentEvent::PolicyEvent { .. } | AgentEvent::ErrorEvent(ToolError { tool_req: None, .. }) => true,
            AgentEvent::ObservationEvent { source, .. } => !is_part_of_message(source, after),
            AgentEvent::ToolResult(returned) => self.is_run_here(&returned.tool_req),
            AgentEvent::ErrorEvent(ToolError { tool_req: Some(call), origin, error }) => {
                self.is_run_here(call) && (origin != "server" || error.starts_with(ABANDONED))
            }
            AgentEvent::MessageEvent { .. } | AgentEvent::AnswerEvent { .. } | AgentEvent::FlowEvent { .. } => false,
        }
    }

    fn is_run_here(&self, call: &ToolRequest) -> bool {
        let is_delegated = self.delegates && call.tool_name == DELEGATE;
        !self.is_clients(call) && !is_delegated
    }
}

/// Skills and files that come with a message stand behind it as something seen.
fn is_part_of_message(source: &str, after: Option<&AgentEvent>) -> bool {
    let follows_one = match after {
        Some(AgentEvent::MessageEvent { .. }) => true,
        Some(AgentEvent::ObservationEvent { source, .. }) => matches!(source.as_str(), "skill" | "attachment"),
        Some(_) | None => false,
    };
    source == "attachment" || (source == "skill" && follows_one)
}

impl Playback {
    pub(crate) fn of(recording: &Recording) -> Self {
        let roles = Roles::of(&recording.request);
        let mut deeds = Vec::new();
        let mut before: Option<&AgentEvent> = None;
        for (after, event) in recording.events.iter().enumerate() {
            if let Some(deed) = deed(recording, after, &roles, before) {
                let wait = recording.wait_before(after);
                let awaits_message = matches!(&deed, Deed::Replied(reply) if reply.answer.is_some() || reply.asks)
                    && message_follows(recording, after);
                deeds.push(Placed { after, wait, awaits_message, deed });
            }
            before = event.data.agent_event().or(before);
        }
        Self { deeds, roles }
    }

    /// The deeds, in order.
    pub fn deeds(&self) -> &[Placed] {
        &self.deeds
    }

    /// How many deeds a log holds already: it shows this transcript, and is this long. Some deeds no transcript shows.
    pub fn done<'e>(&self, transcript: impl IntoIterator<Item = &'e AgentEvent>, log_length: usize) -> usize {
        let mut before = None;
        let mut seen = 0;
        for event in transcript {
            seen += usize::from(self.roles.is_deed(event, before));
            before = Some(event);
        }
        let shown = self.deeds.iter().enumerate().filter(|(_, placed)| placed.deed.is_seen());
        let next = shown.map(|(place, _)| place).nth(seen).unwrap_or(self.deeds.len());
        let hidden =
            self.deeds[..next].iter().rev().take_while(|placed| !placed.deed.is_seen() && placed.after >= log_length);
        next - hidden.count()
    }
}

fn deed(recording: &Recording, after: usize, roles: &Roles, before: Option<&AgentEvent>) -> Option<Deed> {
    let event = |place: usize| recording.events.get(place).map(|event| &event.data);
    match event(after)? {
        EventData::RunnerSession { kind, .. } => {
            let live_view_url = match event(after + 1) {
                Some(EventData::LiveViewUrl { live_view_url }) => Some(live_view_url.clone()),
                Some(_) | None => None,
            };
            Some(Deed::Opened { kind: (*kind)?, live_view_url })
        }
        EventData::Agent(seen) if !roles.is_deed(seen, before) => None,
        EventData::Agent(seen) => Some(agent_deed(recording, after, seen)),
        EventData::FileTransfer { direction: TransferDirection::Download, path, size_bytes } => {
            let (media_type, source) = match event(after + 1) {
                Some(EventData::Attachment { origin: AttachmentOrigin::Agent, media_type, url, .. }) => {
                    (Some(media_type.clone()), url.clone())
                }
                Some(_) | None => (None, String::new()),
            };
            let file = file(path, media_type, *size_bytes, &source);
            Some(Deed::Brought(file))
        }
        EventData::AgentCompletion { reason: CompletionReason::TimedOut } => Some(Deed::TimedOut),
        EventData::AgentError { error, info, .. } => {
            let cause = info.as_ref().and_then(|info| info.get("cause")?.as_str()).map(str::to_owned);
            Some(Deed::Failed { sentence: error.clone(), cause })
        }
        EventData::RequestStart {}
        | EventData::RequestStartDispatched { .. }
        | EventData::AgentStarted {}
        | EventData::LiveViewUrl { .. }
        | EventData::ActiveStateChange { .. }
        | EventData::AgentRunStatusChange { .. }
        | EventData::MetricsUpdate { .. }
        | EventData::FileTransfer { direction: TransferDirection::Upload, .. }
        | EventData::Attachment { .. }
        | EventData::AgentCompletion { .. } => None,
    }
}

fn agent_deed(recording: &Recording, after: usize, event: &AgentEvent) -> Deed {
    match event {
        AgentEvent::PolicyEvent { reasoning_content, content, tool_reqs, validation_errors, .. } => {
            let answer = match recording.events.get(after + 1).map(|event| &event.data) {
                Some(EventData::Agent(AgentEvent::AnswerEvent { answer, outcome })) => Some((answer.clone(), *outcome)),
                Some(_) | None => None,
            };
            let asks = answer.is_none() && tool_reqs.is_empty() && validation_errors.is_empty();
            Deed::Replied(Box::new(Replied {
                reasoning: reasoning_content.clone(),
                content: content.clone(),
                calls: tool_reqs.clone(),
                validation_errors: validation_errors.clone(),
                answer,
                asks,
                usage: usage(recording, after),
            }))
        }
        AgentEvent::ToolResult(returned) => Deed::Returned(ToolResultItem::Result(returned.clone())),
        AgentEvent::ErrorEvent(error) if error.tool_req.is_some() => {
            Deed::Returned(ToolResultItem::Error(error.clone()))
        }
        AgentEvent::ErrorEvent(ToolError { error, origin, .. }) => {
            Deed::Troubled { error: error.clone(), origin: origin.clone() }
        }
        AgentEvent::ObservationEvent { .. }
        | AgentEvent::MessageEvent { .. }
        | AgentEvent::AnswerEvent { .. }
        | AgentEvent::FlowEvent { .. } => Deed::Observed(event.clone()),
    }
}

/// A file as it came, or its address where nobody has its bytes.
fn file(name: &str, media_type: Option<String>, size_bytes: Option<i64>, source: &str) -> FileContent {
    let bytes = source.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).map(|(_, bytes)| bytes);
    let (source_type, source) = match bytes {
        Some(bytes) => (SourceType::Base64, bytes),
        None => (SourceType::Url, source),
    };
    FileContent { source_type, source: source.to_owned(), name: name.to_owned(), media_type, size_bytes }
}

/// What the reply in this place used: the difference between the figures before and after it.
fn usage(recording: &Recording, after: usize) -> Option<(ModelUsage, Option<[i64; 3]>)> {
    let metrics = |event: &crate::RecordedEvent| {
        if let EventData::MetricsUpdate { metrics } = &event.data { Some(metrics.clone()) } else { None }
    };
    let behind: Metrics = recording.events.get(after..)?.iter().take(3).find_map(metrics)?;
    let before: Option<Metrics> = recording.events.get(..after)?.iter().rev().find_map(metrics);
    let known = before.map(|before| before.cost_per_model).unwrap_or_default();
    behind.cost_per_model.iter().find_map(|now| {
        let then = known.iter().find(|then| then.usage.name == now.usage.name);
        if then.is_some_and(|then| then.usage == now.usage && then.total_cost == now.total_cost) {
            return None;
        }
        let less = |now: i64, then: Option<i64>| now.saturating_sub(then.unwrap_or_default());
        let usage = ModelUsage {
            name: now.usage.name.clone(),
            input_tokens: less(now.usage.input_tokens, then.map(|then| then.usage.input_tokens)),
            cached_tokens: less(now.usage.cached_tokens, then.map(|then| then.usage.cached_tokens)),
            output_tokens: less(now.usage.output_tokens, then.map(|then| then.usage.output_tokens)),
            reasoning_tokens: less(now.usage.reasoning_tokens, then.map(|then| then.usage.reasoning_tokens)),
        };
        let part =
            |now: Option<f64>, then: Option<Option<f64>>| Some(billionths(now? - then.flatten().unwrap_or_default()));
        let cost = (|| {
            Some([
                part(now.input_cost, then.map(|then| then.input_cost))?,
                part(now.output_cost, then.map(|then| then.output_cost))?,
                part(now.reasoning_cost, then.map(|then| then.reasoning_cost))?,
            ])
        })();
        Some((usage, cost))
    })
}

#[expect(clippy::cast_possible_truncation, reason = "sums of cost are far below what 63 bits hold")]
fn billionths(dollars: f64) -> i64 {
    (dollars * 1e9).round() as i64
}

/// Whether the turn that the reply in this place ends is followed by another at once.
fn message_follows(recording: &Recording, after: usize) -> bool {
    let mut behind = recording.events.get(after + 1..).unwrap_or_default().iter().map(|event| &event.data);
    let ends_the_turn = |event: &&EventData| {
        matches!(
            event,
            EventData::Agent(AgentEvent::AnswerEvent { .. })
                | EventData::MetricsUpdate { .. }
                | EventData::ActiveStateChange { state: ActiveState::Running, .. }
        )
    };
    let next = behind.find(|event| !ends_the_turn(event));
    matches!(next, Some(EventData::Agent(AgentEvent::MessageEvent { .. })))
}

impl Recording {
    /// What somebody has to do now that the log has come this far; none where the session goes on by itself, or by time.
    pub fn act_at(&self, log_length: usize) -> Option<(Act, quarterdeck_api::Timestamp)> {
        let playback = self.playback();
        let next = playback.deeds.iter().find(|placed| placed.after >= log_length);
        let is_late = next.is_some_and(|placed| placed.after == log_length && placed.awaits_message);
        let mut skips = is_late;
        let mut is_resumed = None;
        for place in log_length..self.events.len() {
            let (data, at) = (&self.events[place].data, self.events[place].timestamp);
            let is_deed = playback.deeds.iter().any(|placed| placed.after == place);
            if is_deed && !skips {
                break;
            }
            match data {
                EventData::Agent(AgentEvent::MessageEvent { .. }) => {
                    // One that waited for the end of a turn came before that end.
                    let at = if is_late { self.events[log_length].timestamp } else { at };
                    return Some((Act::Message(self.messages(place)), at));
                }
                EventData::Agent(AgentEvent::FlowEvent { origin, .. }) if origin == "user" => {
                    return Some((Act::ForceAnswer, at));
                }
                EventData::AgentCompletion { reason: CompletionReason::Stopped } => return Some((Act::Cancel, at)),
                EventData::AgentRunStatusChange { status: RunStatus::Paused } => return Some((Act::Pause, at)),
                EventData::AgentRunStatusChange { status: RunStatus::Running } => is_resumed = Some(at),
                EventData::Agent(event) if playback.roles.is_given(event) => {
                    return Some((Act::ToolResults(self.given(place, &playback.roles)), at));
                }
                EventData::RequestStart {}
                | EventData::RequestStartDispatched { .. }
                | EventData::AgentStarted {}
                | EventData::ActiveStateChange { .. }
                | EventData::MetricsUpdate { .. }
                | EventData::Agent(AgentEvent::ErrorEvent(ToolError { tool_req: Some(_), .. })) => {}
                EventData::Agent(_)
                | EventData::RunnerSession { .. }
                | EventData::LiveViewUrl { .. }
                | EventData::FileTransfer { .. }
                | EventData::Attachment { .. }
                | EventData::AgentCompletion { .. }
                | EventData::AgentError { .. } => {
                    if !skips {
                        break;
                    }
                }
            }
            if is_resumed.is_some() && !self.is_dropped_or_flow(place + 1) {
                break;
            }
            skips &= !matches!(data, EventData::ActiveStateChange { .. });
        }
        is_resumed.map(|at| (Act::Resume, at))
    }

    /// What a forced answer leaves in the log right behind the end of a pause.
    fn is_dropped_or_flow(&self, place: usize) -> bool {
        match self.events.get(place).map(|event| &event.data) {
            Some(EventData::Agent(AgentEvent::FlowEvent { origin, .. })) => origin == "user",
            Some(EventData::Agent(AgentEvent::ErrorEvent(ToolError { tool_req: Some(_), origin, error }))) => {
                origin == "server" && !error.starts_with(ABANDONED)
            }
            Some(EventData::ActiveStateChange { .. }) => self.is_dropped_or_flow(place + 1),
            Some(_) | None => false,
        }
    }

    /// The messages that were delivered together, from this place on.
    fn messages(&self, place: usize) -> Vec<UserMessage> {
        let mut messages: Vec<UserMessage> = Vec::new();
        let at = self.events.get(place).map(|event| event.timestamp);
        for event in self.events.get(place..).unwrap_or_default() {
            if Some(event.timestamp) != at {
                break;
            }
            match (&event.data, messages.last_mut()) {
                (EventData::Agent(AgentEvent::MessageEvent { caller_id, content }), _) => {
                    messages.push(said(caller_id, content));
                }
                (EventData::Agent(AgentEvent::ObservationEvent { source, text, metadata, .. }), Some(message))
                    if source == "skill" =>
                {
                    message.skills.extend(skill(text.as_deref(), metadata));
                }
                (
                    EventData::Attachment { origin: AttachmentOrigin::User, name, media_type, size_bytes, url, .. },
                    Some(message),
                ) => message.files.push(file(name, Some(media_type.clone()), Some(*size_bytes), url)),
                _ => break,
            }
        }
        messages
    }

    /// The results that were given together, from this place on.
    fn given(&self, place: usize, roles: &Roles) -> Vec<ToolResultItem> {
        let at = self.events.get(place).map(|event| event.timestamp);
        let together = self.events.get(place..).unwrap_or_default().iter();
        let items = together.map_while(|event| {
            let given = event.data.agent_event().filter(|given| roles.is_given(given));
            given.filter(|_| Some(event.timestamp) == at).and_then(item)
        });
        items.collect()
    }
}

impl Roles {
    /// Whether a client gave this.
    fn is_given(&self, event: &AgentEvent) -> bool {
        match event {
            AgentEvent::ToolResult(returned) => self.is_clients(&returned.tool_req),
            AgentEvent::ErrorEvent(ToolError { tool_req: Some(call), origin, .. }) => {
                self.is_clients(call) && origin != "server"
            }
            AgentEvent::ErrorEvent(_)
            | AgentEvent::MessageEvent { .. }
            | AgentEvent::ObservationEvent { .. }
            | AgentEvent::PolicyEvent { .. }
            | AgentEvent::AnswerEvent { .. }
            | AgentEvent::FlowEvent { .. } => false,
        }
    }
}

fn item(event: &AgentEvent) -> Option<ToolResultItem> {
    match event {
        AgentEvent::ToolResult(returned) => Some(ToolResultItem::Result(returned.clone())),
        AgentEvent::ErrorEvent(error) => Some(ToolResultItem::Error(error.clone())),
        AgentEvent::MessageEvent { .. }
        | AgentEvent::ObservationEvent { .. }
        | AgentEvent::PolicyEvent { .. }
        | AgentEvent::AnswerEvent { .. }
        | AgentEvent::FlowEvent { .. } => None,
    }
}

fn said(caller_id: &str, content: &[MessageContent]) -> UserMessage {
    let texts = content.iter().filter_map(|part| match part {
        MessageContent::Text(text) => Some(text.as_str()),
        MessageContent::Image(_) | MessageContent::Unknown(_) => None,
    });
    let images = content.iter().filter_map(|part| match part {
        MessageContent::Image(image) => Some(as_text(image)),
        MessageContent::Text(_) | MessageContent::Unknown(_) => None,
    });
    UserMessage {
        caller_id: caller_id.to_owned(),
        images: images.collect(),
        ..UserMessage::text(texts.collect::<Vec<_>>().join("\n"))
    }
}

fn as_text(image: &ImageContent) -> String {
    match (image.source_type, &image.media_type) {
        (SourceType::Base64, Some(media_type)) => format!("data:{media_type};base64,{}", image.source),
        (SourceType::Base64 | SourceType::Url, _) => image.source.clone(),
    }
}

fn skill(text: Option<&str>, metadata: &quarterdeck_api::JsonObject) -> Option<Skill> {
    let mut fields = metadata.clone();
    fields.insert("body".into(), text.unwrap_or_default().into());
    serde_json::from_value(fields.into()).ok()
}
