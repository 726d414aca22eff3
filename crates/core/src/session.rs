//! A session: its projection, its settings, and what a transition makes of it.

use crate::{
    Cast, ChildCall, ChildOrder, Cost, Ending, ForceReason, LoggedEvent, OpenStep, Phase, State, Steering,
    forms::{pause_now, state_change},
};
use chrono::TimeDelta;
use quarterdeck_api::{
    ActiveState, Agent, AgentEvent, Answer, EnvironmentKind, EventData, ModelUsage, OrganizationId, Outcome, Retention,
    SessionId, SessionRequest, Status, Timestamp, ToolRequest, UserId, UserMessage,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What of a request the state machine needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Steps per answer before an answer is forced.
    pub max_steps: Option<u64>,
    /// Working milliseconds per answer before an answer is forced.
    pub max_time_ms: Option<u64>,
    /// Seconds an answered session waits for the next message; none: it ends at its answer.
    pub idle_timeout_s: Option<u64>,
    /// Seconds that it waits for its client, for results of calls or for a message, before it gives its place to others;
    /// none: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_wait_s: Option<u64>,
    /// Names of the tools that the client runs.
    pub client_tools: Vec<String>,
    /// Whether its agent has subagents to delegate to.
    #[serde(skip_serializing_if = "is_false")]
    pub delegates: bool,
    /// How many sessions stand above it, each working for the one before.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// How long it is kept because its client said so.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub retention: Retention,
    /// Seconds after a forced answer at the time limit before the session is timed out.
    #[serde(skip_serializing_if = "is_default_grace")]
    pub answer_grace_s: AnswerGrace,
}

/// Seconds that a session has for its answer once `max_time_s` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerGrace(pub u32);

impl Default for AnswerGrace {
    /// Clients give up 30 seconds after `max_time_s`.
    fn default() -> Self {
        Self(25)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_grace(grace: &AnswerGrace) -> bool {
    *grace == AnswerGrace::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn is_unsaid(retention: &Retention) -> bool {
    *retention == Retention::default()
}

impl Settings {
    /// Reads them from a request and its resolved agent.
    pub fn of(request: &SessionRequest, agent: &Agent) -> Self {
        Self {
            max_steps: request.max_steps.map(i64::unsigned_abs),
            max_time_ms: request.max_time_s.map(milliseconds),
            idle_timeout_s: request.idle_timeout_s.map(i64::unsigned_abs),
            client_wait_s: None,
            client_tools: agent.tools.iter().flatten().map(|tool| tool.name.clone()).collect(),
            delegates: agent.subagents.as_ref().is_some_and(|subagents| !subagents.is_empty()),
            depth: 0,
            retention: request.explicit_retention,
            answer_grace_s: AnswerGrace::default(),
        }
    }

    /// The same with an end to waiting for the client.
    #[must_use]
    pub fn waiting_for_client(self, seconds: u64) -> Self {
        Self { client_wait_s: Some(seconds), ..self }
    }

    /// With another grace for the answer at the time limit.
    #[must_use]
    pub fn with_answer_grace(self, answer_grace_s: AnswerGrace) -> Self {
        Self { answer_grace_s, ..self }
    }

    /// The same for a session that works for one with these settings.
    #[must_use]
    pub fn below(self, parent: &Self) -> Self {
        Self { depth: parent.depth.saturating_add(1), answer_grace_s: parent.answer_grace_s, ..self }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and the value is positive"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).ceil() as u64
}

/// The turn in progress: what has been spent on the next answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Steps taken.
    pub steps: u64,
    /// Working milliseconds of closed intervals.
    pub worked_ms: u64,
    /// When the open working interval began; none while the session does not work.
    pub working_since: Option<Timestamp>,
    /// Set when the next step must answer.
    pub force: Option<ForceReason>,
    /// When that was decided.
    pub forced_at: Option<Timestamp>,
}

impl Turn {
    pub(crate) fn start_clock(&mut self, now: Timestamp) {
        self.working_since.get_or_insert(now);
    }

    pub(crate) fn stop_clock(&mut self, now: Timestamp) {
        if let Some(since) = self.working_since.take() {
            self.worked_ms = self.worked_ms.saturating_add(elapsed_ms(since, now));
        }
    }

    /// When the work under a forced answer began. A pause does not use up its grace: it begins again with the work.
    pub(crate) fn forced_since(&self) -> Option<Timestamp> {
        let forced_at = self.forced_at?;
        Some(self.working_since.map_or(forced_at, |since| since.max(forced_at)))
    }

    /// Milliseconds worked until `now`.
    pub fn worked_ms(&self, now: Timestamp) -> u64 {
        let open = self.working_since.map_or(0, |since| elapsed_ms(since, now));
        self.worked_ms.saturating_add(open)
    }
}

fn elapsed_ms(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from((now - since).num_milliseconds()).unwrap_or(0)
}

/// Messages accepted and not yet shown to the agent. Their bodies are in the store's inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// Number the next message gets.
    pub next: u64,
    /// How many have been delivered; those from here to `next` wait.
    pub delivered: u64,
    /// About how many bytes those take that came in since none waited.
    #[serde(default)]
    pub bytes: u64,
}

impl Inbox {
    /// Messages one session may have waiting; more are refused.
    pub const CAPACITY: u64 = 1_000;

    /// How many wait.
    pub fn waiting(self) -> u64 {
        self.next.saturating_sub(self.delivered)
    }

    /// Whether everything waiting up to number `through` can be among `count` messages.
    pub(crate) fn can_deliver(self, count: usize, through: u64) -> bool {
        let among = through.checked_sub(self.delivered);
        through <= self.next && among.is_some_and(|among| among <= count as u64)
    }
}

/// A session's projection: everything that can be said of it without reading its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who owns it.
    pub organization: OrganizationId,
    /// Who created it.
    pub user: UserId,
    /// What its request set.
    pub settings: Settings,
    /// Where it stands.
    pub state: State,
    /// Grows by one with every commit; a commit names the version it was decided on.
    pub version: u64,
    /// How many events its log holds; the next one gets this index.
    pub log_length: u64,
    /// How many bytes they take.
    #[serde(default)]
    pub log_bytes: u64,
    /// The turn in progress.
    pub turn: Turn,
    /// Messages not yet shown to the agent.
    pub inbox: Inbox,
    /// Steps taken over all turns.
    pub steps: u64,
    /// Pauses that began. Who hears only of what came of several commits can tell by it that there was one.
    #[serde(default)]
    pub pauses: u64,
    /// Workers that died while they ran it, since it last took a step.
    #[serde(default)]
    pub recoveries: u32,
    /// The epoch in which the last of these was put on record; 0: none was.
    #[serde(default)]
    pub recovered_in: i64,
    /// Tokens used, by model.
    #[serde(default)]
    pub usage: Vec<ModelUsage>,
    /// What these tokens cost, by model; only of models all of whose replies had a price.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub costs: BTreeMap<String, Cost>,
    /// The latest answer.
    pub answer: Option<Answer>,
    /// The agent's verdict on it.
    pub outcome: Option<Outcome>,
    /// Sessions that its agent started, in order.
    #[serde(default)]
    pub subagents: Vec<SessionId>,
    /// Sessions that clients created to work for it, in order; the first [`Session::ADOPTED_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<SessionId>,
    /// Those of its agent's whose work is not wanted any more and that were not cancelled yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<ChildCall>,
    /// The latest order of the session that it works for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steered: Option<Steering>,
    /// The kinds of environments that were open at some time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentKind>,
    /// Pictures that its agent was shown.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub pictures: u64,
    /// What it plays in a model's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cast: Option<Box<Cast>>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the agent started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When it last changed.
    pub last_activity_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// What a command or fact does.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Nothing: it is already so.
    Unchanged,
    /// This, once committed.
    Changed(Box<Transition>),
}

/// A change to commit: the new projection, and what goes with it into the log and the inbox.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The session afterwards; its version is one above the version decided on.
    pub session: Session,
    /// New events, in order.
    pub events: Vec<LoggedEvent>,
    /// New messages for the inbox, with their numbers.
    pub accepted: Vec<(u64, UserMessage)>,
    /// Whether messages left the inbox for the log.
    pub delivers: bool,
    /// The statuses that it goes through, each with the one before; none before the first. What has to be told of a
    /// change of status is written with the commit that makes it.
    pub passed: Vec<(Option<Status>, Status)>,
}

impl Transition {
    pub(crate) fn from(session: &Session, now: Timestamp) -> Self {
        let mut session = session.clone();
        session.version += 1;
        session.last_activity_at = now;
        Self { session, events: Vec::new(), accepted: Vec::new(), delivers: false, passed: Vec::new() }
    }

    pub(crate) fn write(&mut self, data: &EventData) {
        let event = LoggedEvent::new(self.session.log_length, data, self.session.last_activity_at);
        self.session.log_length += 1;
        self.session.log_bytes = self.session.log_bytes.saturating_add(event.json.get().len() as u64);
        self.events.push(event);
    }

    pub(crate) fn write_agent(&mut self, event: AgentEvent) {
        self.write(&EventData::Agent(event));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.session.last_activity_at
    }

    /// Moves to `state` and keeps the working clock in step with it.
    pub(crate) fn enter(&mut self, state: State) {
        let now = self.now();
        match &state {
            State::Active(Phase::Running(_)) => self.session.turn.start_clock(now),
            State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => {
                self.session.turn.stop_clock(now);
            }
            State::Ended(_) => {
                self.session.turn.stop_clock(now);
                self.session.finished_at = Some(now);
            }
        }
        let (before, after) = (self.session.state.status(), state.status());
        if before != after {
            self.passed.push((Some(before), after));
        }
        self.session.state = state;
    }

    pub(crate) fn enter_awaiting(&mut self, calls: Vec<ToolRequest>) {
        self.write(&state_change(ActiveState::AwaitingToolResults, Some(&calls)));
        self.enter(State::Active(Phase::AwaitingToolResults { calls }));
    }

    pub(crate) fn enter_running(&mut self) {
        self.write(&state_change(ActiveState::Running, None));
        self.enter(State::Active(Phase::Running(OpenStep::default())));
    }

    pub(crate) fn pause(&mut self, resume_to: crate::Resumption) {
        self.write(&pause_now());
        self.session.pauses += 1;
        self.enter(State::Paused { resume_to });
    }

    /// Makes the next step answer, unless it must already for as good a reason.
    pub(crate) fn force(&mut self, reason: ForceReason) {
        if self.session.turn.force >= Some(reason) {
            return;
        }
        let now = self.now();
        self.session.turn.force = Some(reason);
        self.session.turn.forced_at = Some(now);
        if reason != ForceReason::StepLimit {
            self.drop_undelegated();
        }
        self.write_agent(AgentEvent::FlowEvent { flow: "force_answer".into(), origin: reason.origin().into() });
    }

    /// Puts messages into the inbox.
    pub(crate) fn accept(&mut self, messages: Vec<UserMessage>) {
        let inbox = &mut self.session.inbox;
        for message in messages {
            inbox.bytes = inbox.bytes.saturating_add(message.weight() as u64);
            self.accepted.push((inbox.next, message));
            inbox.next += 1;
        }
    }

    pub(crate) fn into_effect(self) -> Effect {
        Effect::Changed(Box::new(self))
    }
}

/// What a worker that owns the session does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Start it: [`crate::Fact::Started`].
    Start,
    /// Show waiting messages to the agent: [`crate::Fact::Delivered`].
    Deliver,
    /// Take a step.
    Step(StepMode),
    /// Settle calls that were running when their worker died: [`crate::Report::Returned`].
    Settle(Vec<ToolRequest>),
    /// Start sessions that work these calls off: [`crate::Fact::Delegated`].
    Delegate(Vec<ToolRequest>),
    /// Tell children something: [`crate::Fact::Steered`].
    Steer(Vec<(ChildCall, ChildOrder)>),
    /// Wait until one of these sessions has worked its call off: [`crate::Report::Returned`].
    Await(Vec<ChildCall>),
    /// Tell it that time has passed: [`crate::Fact::TimePassed`].
    TimePassed,
    /// Nothing; let go of it.
    Release,
}

/// What a step may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepMode {
    /// Anything.
    Act,
    /// Only answer.
    AnswerOnly,
}

impl Session {
    /// Sessions of clients that a session's status names as working for it. Lists by parent find all.
    pub const ADOPTED_MAX: usize = 1_000;

    /// Seconds a session without a message and without `idle_timeout_s` waits for the first one,
    /// when it has no `max_time_s` either.
    pub const FIRST_MESSAGE_WAIT_S: i64 = 3_600;

    /// Workers that may die over a session before one of them records a step. One more, and it fails: it is
    /// likely that the session itself kills them.
    pub const RECOVERIES_MAX: u32 = 3;

    /// Events in a log from which on nothing new is begun. What was begun or acknowledged before is still recorded.
    pub const LOG_EVENTS_MAX: u64 = 50_000;

    /// The same in bytes.
    pub const LOG_BYTES_MAX: u64 = 128 * 1024 * 1024;

    /// Whether its log takes nothing new: then an answer is forced, and messages and pauses are refused. What waits to
    /// be delivered counts: it was accepted for the log.
    pub fn has_full_log(&self) -> bool {
        let events = self.log_length.saturating_add(self.inbox.waiting());
        let bytes = self.log_bytes.saturating_add(self.inbox.bytes);
        events >= Self::LOG_EVENTS_MAX || bytes >= Self::LOG_BYTES_MAX
    }

    /// Accepts a session: its first state and its first events.
    pub fn create(
        id: SessionId,
        organization: OrganizationId,
        user: UserId,
        settings: Settings,
        queued: bool,
        now: Timestamp,
    ) -> Transition {
        let session = Self {
            id,
            organization,
            user,
            settings,
            state: State::Queued,
            version: 1,
            log_length: 0,
            log_bytes: 0,
            turn: Turn::default(),
            inbox: Inbox::default(),
            steps: 0,
            pauses: 0,
            recoveries: 0,
            recovered_in: 0,
            usage: Vec::new(),
            costs: BTreeMap::new(),
            answer: None,
            outcome: None,
            subagents: Vec::new(),
            adopted: Vec::new(),
            orphans: Vec::new(),
            steered: None,
            environments: Vec::new(),
            pictures: 0,
            cast: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            last_activity_at: now,
        };
        let passed = vec![(None, session.state.status())];
        let mut transition = Transition { session, events: Vec::new(), accepted: Vec::new(), delivers: false, passed };
        transition.write(&EventData::RequestStart {});
        if !queued {
            transition.dispatch();
        }
        transition
    }

    /// What a worker does next, at `now`.
    pub fn next(&self, now: Timestamp) -> Next {
        if self.due_at().is_some_and(|due| due <= now) && self.time_is_up(now) {
            return Next::TimePassed;
        }
        if self.has_orders(now) {
            return Next::Steer(self.orders(now));
        }
        match &self.state {
            State::Pending => Next::Start,
            State::Active(Phase::Running(step)) if !step.running.is_empty() => Next::Settle(step.running.clone()),
            State::Active(Phase::Running(step)) if !step.undelegated().is_empty() => Next::Delegate(step.undelegated()),
            State::Active(Phase::Running(step)) if !step.delegated.is_empty() => Next::Await(step.awaited()),
            State::Active(Phase::Running(_)) if self.inbox.waiting() > 0 => Next::Deliver,
            State::Active(Phase::Running(_)) => Next::Step(self.step_mode()),
            State::Queued | State::Active(_) | State::Paused { .. } | State::Ended(_) => Next::Release,
        }
    }

    fn step_mode(&self) -> StepMode {
        match self.turn.force {
            Some(_) => StepMode::AnswerOnly,
            None => StepMode::Act,
        }
    }

    /// From when on a worker must look after it: the past for work to do, the future for a timer,
    /// none when only a command can move it.
    pub fn due_at(&self) -> Option<Timestamp> {
        // Only a running session's orders depend on the time, and that one is due anyway.
        if self.has_orders(self.last_activity_at) {
            return Some(self.turn.working_since.unwrap_or(self.last_activity_at));
        }
        match &self.state {
            State::Pending => Some(self.created_at),
            State::Active(Phase::Running(_)) => Some(self.turn.working_since.unwrap_or(self.last_activity_at)),
            State::Active(Phase::Idle { since }) => self.idle_deadline(*since),
            State::Active(Phase::AwaitingToolResults { .. }) => self.client_deadline(self.last_activity_at),
            State::Queued | State::Paused { .. } | State::Ended(_) => None,
        }
    }

    fn idle_deadline(&self, since: Timestamp) -> Option<Timestamp> {
        let wait = match (self.settings.idle_timeout_s, self.settings.max_time_ms) {
            (Some(seconds), _) => i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds),
            (None, Some(ms)) => i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds),
            (None, None) => TimeDelta::try_seconds(Self::FIRST_MESSAGE_WAIT_S),
        };
        let deadline = wait.and_then(|wait| since.checked_add_signed(wait));
        deadline.into_iter().chain(self.client_deadline(since)).min()
    }

    /// When the client has been waited for long enough: whatever it sends begins the wait anew.
    fn client_deadline(&self, since: Timestamp) -> Option<Timestamp> {
        let wait = i64::try_from(self.settings.client_wait_s?).ok().and_then(TimeDelta::try_seconds)?;
        since.checked_add_signed(wait)
    }

    /// When the step in progress must stop for the time limit; none when there is no limit.
    pub fn step_deadline(&self) -> Option<Timestamp> {
        if !matches!(self.state, State::Active(Phase::Running(_))) {
            return None;
        }
        match (self.turn.force, self.turn.forced_since()) {
            (Some(ForceReason::TimeLimit), Some(since)) => {
                since.checked_add_signed(TimeDelta::seconds(i64::from(self.settings.answer_grace_s.0)))
            }
            _ => self.time_limit_at(),
        }
    }

    fn time_limit_at(&self) -> Option<Timestamp> {
        let left = self.settings.max_time_ms?.saturating_sub(self.turn.worked_ms);
        let since = self.turn.working_since?;
        i64::try_from(left).ok().and_then(TimeDelta::try_milliseconds).and_then(|left| since.checked_add_signed(left))
    }

    pub(crate) fn time_is_up(&self, now: Timestamp) -> bool {
        match &self.state {
            State::Active(Phase::Idle { since }) => self.idle_deadline(*since).is_some_and(|deadline| deadline <= now),
            State::Active(Phase::Running(_)) => self.step_deadline().is_some_and(|deadline| deadline <= now),
            State::Active(Phase::AwaitingToolResults { .. }) => {
                self.client_deadline(self.last_activity_at).is_some_and(|deadline| deadline <= now)
            }
            State::Queued | State::Pending | State::Paused { .. } | State::Ended(_) => false,
        }
    }

    pub(crate) fn no_later_than(&self, now: Timestamp) -> Timestamp {
        now.max(self.last_activity_at)
    }

    /// How it ended, if it did.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.state {
            State::Ended(ending) => Some(ending),
            State::Queued | State::Pending | State::Active(_) | State::Paused { .. } => None,
        }
    }
}
