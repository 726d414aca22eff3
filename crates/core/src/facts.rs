//! What a worker reports: each fact is recorded in the state it fits, and refused in any other.
//!
//! A refused fact is no fault: a command came in between, and the worker looks again.

use crate::{
    ChildOrder, Cost, DELEGATE, Effect, Ending, ForceReason, OpenStep, Phase, Rejection, Reply, Report, Resumption,
    Session, SessionFailure, State, StepMode, Transition,
    forms::{Dropped, attachment_event, message_event, skill_event, state_change, user_attachment_event},
};
use quarterdeck_api::{
    ActiveState, AgentEvent, Answer, AttachmentOrigin, CompletionReason, EnvironmentKind, ErrorCode, EventData,
    FileContent, JsonObject, ModelUsage, Outcome, SessionId, Timestamp, ToolError, ToolRequest, ToolResultItem,
    TransferDirection, UserMessage,
};
use uuid::Uuid;

/// Something that happened in a session's run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A slot freed for a queued session.
    Promoted,
    /// A worker started the agent, and shows it these messages.
    Started {
        /// The request's own messages, then those of the inbox.
        messages: Vec<UserMessage>,
        /// Inbox messages up to this number are among them.
        inbox_through: u64,
    },
    /// Waiting messages were shown to the agent.
    Delivered {
        /// The messages.
        messages: Vec<UserMessage>,
        /// Inbox messages up to this number are among them.
        inbox_through: u64,
    },
    /// The runner said something.
    Reported(Report),
    /// An environment is open; once for each opening.
    EnvironmentReady {
        /// The id of the opening.
        runner_session_id: Uuid,
        /// Its kind.
        kind: EnvironmentKind,
        /// Where it can be watched.
        live_view_url: Option<String>,
    },
    /// A call brought a file out of an environment. It has an address among the session's resources by now.
    FileMoved(FileContent),
    /// A session is going to work this call off. It is created under exactly this id, and that may be tried again.
    Delegated {
        /// The call.
        call: ToolRequest,
        /// The id of that session.
        child: SessionId,
    },
    /// A child was told something.
    Steered {
        /// The child.
        child: SessionId,
        /// What it was told.
        order: ChildOrder,
    },
    /// The worker that ran it died, and another one took it over.
    TakenOver {
        /// The epoch of the worker that says so. It says so once, however often it has to say it.
        epoch: i64,
    },
    /// Time passed; timers that are due take effect.
    TimePassed,
}

type Decision = Result<Effect, Rejection>;

impl Session {
    /// Decides what `fact` does at `now`.
    pub fn fact(&self, fact: Fact, now: Timestamp) -> Decision {
        let now = self.no_later_than(now);
        let transition = Transition::from(self, now);
        match fact {
            Fact::Promoted => self.promoted(transition),
            Fact::Started { messages, inbox_through } => self.started(transition, &messages, inbox_through),
            Fact::Delivered { messages, inbox_through } => self.delivered(transition, &messages, inbox_through),
            Fact::Reported(report) => self.reported(transition, report),
            Fact::EnvironmentReady { runner_session_id, kind, live_view_url } => {
                self.while_acting(transition, |t| t.environment_ready(runner_session_id, kind, live_view_url))
            }
            Fact::FileMoved(file) => self.while_acting(transition, |t| t.file_moved(&file)),
            Fact::Delegated { call, child } => self.delegated(transition, &call, child),
            Fact::Steered { child, order } => Ok(self.steered(transition, child, order)),
            Fact::TakenOver { epoch } => Ok(self.taken_over(transition, epoch)),
            Fact::TimePassed => Ok(self.time_passed(transition)),
        }
    }

    fn reported(&self, transition: Transition, report: Report) -> Decision {
        match report {
            Report::Observed(event @ AgentEvent::ObservationEvent { .. }) => {
                self.while_acting(transition, |t| t.observed(event))
            }
            Report::Observed(_) => self.moved_on(),
            Report::Troubled { error, origin } => self.while_running(transition, |t| {
                t.write_agent(AgentEvent::ErrorEvent(ToolError { error, origin, tool_req: None }));
            }),
            Report::Decided { mode, reply, calls, validation_errors } => {
                self.between_steps(transition, |t| t.decided(mode, reply, calls, validation_errors))
            }
            Report::Returned(item) => self.returned(transition, item),
            Report::Answered { reply, call, answer, outcome } => {
                self.between_steps(transition, |t| t.answered(reply, call, answer, outcome))
            }
            Report::Asked { reply } => self.between_steps(transition, |t| t.asked(reply)),
            Report::TimedOut => self.while_running(transition, Transition::time_out),
            Report::Opened { runner_session_id, kind, live_view_url } => {
                self.while_acting(transition, |t| t.environment_ready(runner_session_id, kind, live_view_url))
            }
            Report::Brought(file) => self.while_acting(transition, |t| t.file_moved(&file)),
            Report::Failed(fault) => self.failed(transition, fault),
        }
    }

    fn promoted(&self, mut transition: Transition) -> Decision {
        match &self.state {
            State::Queued => {
                transition.dispatch();
                Ok(transition.into_effect())
            }
            State::Pending | State::Active(_) | State::Paused { .. } | State::Ended(_) => self.moved_on(),
        }
    }

    fn started(&self, mut transition: Transition, messages: &[UserMessage], inbox_through: u64) -> Decision {
        if self.state != State::Pending || !self.inbox.can_deliver(messages.len(), inbox_through) {
            return self.moved_on();
        }
        // A message may have come in since the worker read the inbox: then there is work.
        let more_waiting = self.inbox.waiting() > 0;
        transition.start(messages, inbox_through, more_waiting);
        Ok(transition.into_effect())
    }

    fn delivered(&self, transition: Transition, messages: &[UserMessage], inbox_through: u64) -> Decision {
        let follows = self.inbox.delivered.checked_add(messages.len() as u64) == Some(inbox_through);
        if !follows || inbox_through > self.inbox.next {
            return self.moved_on();
        }
        self.between_steps(transition, |t| t.deliver(messages, inbox_through))
    }

    /// What begins a step must wait for the last one's calls: their results stand right behind them in the log.
    fn between_steps(&self, transition: Transition, record: impl FnOnce(&mut Transition)) -> Decision {
        if !self.state.open_calls().is_empty() {
            return self.moved_on();
        }
        self.while_running(transition, record)
    }

    fn while_running(&self, mut transition: Transition, record: impl FnOnce(&mut Transition)) -> Decision {
        if !matches!(self.state, State::Active(Phase::Running(_))) {
            return self.moved_on();
        }
        record(&mut transition);
        Ok(transition.into_effect())
    }

    /// What a running call shows is seen during a pause too, as its result is.
    fn while_acting(&self, mut transition: Transition, record: impl FnOnce(&mut Transition)) -> Decision {
        if self.state.running_calls().is_empty() {
            return self.while_running(transition, record);
        }
        record(&mut transition);
        Ok(transition.into_effect())
    }

    /// A call that was already running when a pause came may still return.
    fn returned(&self, mut transition: Transition, item: ToolResultItem) -> Decision {
        let Some(mut step) = self.state.open_step().cloned() else { return self.moved_on() };
        if !call_of(&item).is_some_and(|call| step.settle(call)) {
            return self.moved_on();
        }
        transition.write_agent(returned_event(item));
        let paused = matches!(self.state, State::Paused { .. });
        transition.go_on_with(step, paused);
        Ok(transition.into_effect())
    }

    fn failed(&self, mut transition: Transition, fault: SessionFailure) -> Decision {
        match &self.state {
            State::Pending | State::Active(Phase::Running(_)) => {
                match self.turn.force {
                    // It was asked to answer because its time was up.
                    Some(reason @ ForceReason::TimeLimit) if fault.code == ErrorCode::NoAnswer => {
                        transition.no_answer(reason);
                    }
                    _ => transition.fail(fault),
                }
                Ok(transition.into_effect())
            }
            State::Queued | State::Active(_) | State::Paused { .. } | State::Ended(_) => self.moved_on(),
        }
    }

    /// A session that nobody needs to run cannot have killed the worker that still had it.
    fn taken_over(&self, mut transition: Transition, epoch: i64) -> Effect {
        let is_worked_on = matches!(self.state, State::Pending | State::Active(Phase::Running(_)));
        if !is_worked_on || epoch <= self.recovered_in {
            return Effect::Unchanged;
        }
        transition.session.recovered_in = epoch;
        transition.session.recoveries = self.recoveries.saturating_add(1);
        if transition.session.recoveries > Self::RECOVERIES_MAX {
            let cause = format!(
                "{} servers in a row ended while they ran this session, and none of them recorded a step",
                transition.session.recoveries
            );
            transition.fail(SessionFailure::because(ErrorCode::Internal, cause));
        }
        transition.into_effect()
    }

    fn time_passed(&self, mut transition: Transition) -> Effect {
        if !self.time_is_up(transition.now()) {
            return Effect::Unchanged;
        }
        if let State::Active(Phase::Idle { .. }) = self.state {
            transition.give_up_waiting();
        } else if let State::Active(Phase::AwaitingToolResults { calls }) = &self.state {
            transition.give_up_on_client(calls.len());
        } else if self.turn.force == Some(ForceReason::TimeLimit) {
            transition.time_out();
        } else {
            transition.force(ForceReason::TimeLimit);
        }
        transition.into_effect()
    }

    pub(crate) fn moved_on(&self) -> Decision {
        Err(Rejection::MovedOn { status: self.state.status() })
    }
}

impl Transition {
    /// Starts a session in the commit that creates it: a worker is there already, and nothing must be prepared.
    /// One commit less for every session.
    pub fn start_at_once(&mut self, messages: &[UserMessage]) {
        if self.session.state == State::Pending {
            self.start(messages, 0, false);
        }
    }

    fn start(&mut self, messages: &[UserMessage], inbox_through: u64, more_waiting: bool) {
        self.session.started_at = Some(self.now());
        self.write(&EventData::AgentStarted {});
        if messages.is_empty() && !more_waiting {
            self.wait_for_message();
        } else {
            self.enter_running();
            self.deliver(messages, inbox_through);
        }
    }

    fn deliver(&mut self, messages: &[UserMessage], inbox_through: u64) {
        for message in messages {
            self.write_agent(message_event(message));
            for skill in &message.skills {
                self.write_agent(skill_event(skill));
            }
            for attachment in message.files.iter().filter_map(user_attachment_event) {
                self.write(&attachment);
            }
        }
        self.delivers = inbox_through > self.session.inbox.delivered;
        self.session.inbox.delivered = inbox_through;
        if self.session.inbox.waiting() == 0 {
            self.session.inbox.bytes = 0;
        }
    }

    fn observed(&mut self, event: AgentEvent) {
        if matches!(event, AgentEvent::ObservationEvent { image: Some(_), .. }) {
            self.session.pictures += 1;
        }
        self.write_agent(event);
    }

    fn environment_ready(&mut self, id: Uuid, kind: EnvironmentKind, live_view_url: Option<String>) {
        if !self.session.environments.contains(&kind) {
            self.session.environments.push(kind);
        }
        self.write(&EventData::RunnerSession { runner_session_id: id.to_string(), kind: Some(kind) });
        if let Some(live_view_url) = live_view_url {
            self.write(&EventData::LiveViewUrl { live_view_url });
        }
    }

    fn file_moved(&mut self, file: &FileContent) {
        let direction = TransferDirection::Download;
        self.write(&EventData::FileTransfer { direction, path: file.name.clone(), size_bytes: file.size_bytes });
        if let Some(event) = attachment_event(file, AttachmentOrigin::Agent) {
            self.write(&event);
        }
    }

    fn wait_for_message(&mut self) {
        self.write(&state_change(ActiveState::Idle, None));
        self.enter(State::Active(Phase::Idle { since: self.now() }));
    }

    fn decided(&mut self, mode: StepMode, reply: Reply, calls: Vec<ToolRequest>, validation_errors: Vec<String>) {
        self.count_step(reply.usage.as_ref(), reply.cost.as_deref().copied());
        let rejected = !validation_errors.is_empty();
        self.write_agent(AgentEvent::PolicyEvent {
            reasoning_content: reply.reasoning,
            content: reply.content,
            tool_reqs: calls.clone(),
            validation_errors,
            kept: reply.kept,
        });
        self.write_metrics();
        match (self.session.turn.force, mode) {
            // A rejected answer is asked for again; the runner gives up after its own few tries.
            (Some(_), _) if rejected => {}
            (Some(reason), StepMode::AnswerOnly) => {
                self.drop_calls(&calls, Dropped::AnswerForced);
                self.no_answer(reason);
            }
            (Some(_), StepMode::Act) => self.drop_calls(&calls, Dropped::AnswerForced),
            (None, _) => {
                self.open_calls(calls);
                self.apply_step_limit();
            }
        }
    }

    /// Splits the calls between the server, sessions of their own and the client.
    fn open_calls(&mut self, calls: Vec<ToolRequest>) {
        let settings = &self.session.settings;
        let (delegated, others): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| settings.delegates && call.tool_name == DELEGATE);
        let (owed, running): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|call| settings.client_tools.contains(&call.tool_name));
        let delegated = self.open_delegations(delegated);
        self.go_on_with(OpenStep { running, delegated, owed }, false);
    }

    /// Keeps running while the server's calls and the children do; then the client's turn comes, unless an answer is
    /// forced.
    pub(crate) fn go_on_with(&mut self, step: OpenStep, paused: bool) {
        let client_next = step.running.is_empty() && step.delegated.is_empty() && !step.owed.is_empty();
        match (client_next, paused) {
            (true, _) if matches!(self.session.turn.force, Some(ForceReason::User | ForceReason::TimeLimit)) => {
                self.drop_calls(&step.owed, Dropped::AnswerForced);
                self.run_or_stay_paused(OpenStep::default(), paused);
            }
            (true, false) => self.enter_awaiting(step.owed),
            (true, true) => self.await_paused(step.owed),
            (false, _) => self.run_or_stay_paused(step, paused),
        }
    }

    fn run_or_stay_paused(&mut self, step: OpenStep, paused: bool) {
        self.enter(if paused {
            State::Paused { resume_to: Resumption::Running(step) }
        } else {
            State::Active(Phase::Running(step))
        });
    }

    /// The limit counts steps, and client calls are part of the step that asked for them: an answer is
    /// forced once they are settled. A full log leaves no room for another step either.
    fn apply_step_limit(&mut self) {
        let reached = self.session.settings.max_steps.is_some_and(|limit| self.session.turn.steps >= limit);
        if reached || self.session.has_full_log() {
            self.force(ForceReason::StepLimit);
        }
    }

    fn no_answer(&mut self, reason: ForceReason) {
        match reason {
            ForceReason::TimeLimit => self.time_out(),
            ForceReason::StepLimit if self.session.has_full_log() => {
                self.fail(SessionFailure::because(ErrorCode::NoAnswer, "its log is full"));
            }
            ForceReason::User | ForceReason::StepLimit => self.fail(SessionFailure::new(ErrorCode::NoAnswer)),
        }
    }

    fn answered(&mut self, reply: Reply, call: Option<ToolRequest>, answer: Answer, outcome: Option<Outcome>) {
        self.count_step(reply.usage.as_ref(), reply.cost.as_deref().copied());
        self.write_agent(AgentEvent::PolicyEvent {
            reasoning_content: reply.reasoning,
            content: reply.content,
            tool_reqs: call.into_iter().collect(),
            validation_errors: Vec::new(),
            kept: reply.kept,
        });
        self.write_agent(AgentEvent::AnswerEvent { answer: answer.clone(), outcome });
        self.session.answer = Some(answer);
        self.session.outcome = outcome;
        self.write_metrics();
        self.close_turn();
    }

    /// As an answer that nobody gave: the session waits for a message, whether or not it was to be talked to.
    fn asked(&mut self, reply: Reply) {
        self.count_step(reply.usage.as_ref(), reply.cost.as_deref().copied());
        self.write_agent(AgentEvent::PolicyEvent {
            reasoning_content: reply.reasoning,
            content: reply.content,
            tool_reqs: Vec::new(),
            validation_errors: Vec::new(),
            kept: reply.kept,
        });
        self.write_metrics();
        if self.session.inbox.waiting() > 0 {
            self.open_turn();
        } else {
            self.wait_for_message();
        }
    }

    /// A message that came in too late for this answer opens the next turn at once: it was acknowledged.
    fn close_turn(&mut self) {
        if self.session.inbox.waiting() > 0 {
            self.open_turn();
        } else if self.session.settings.idle_timeout_s.is_some() {
            self.wait_for_message();
        } else {
            self.complete(Ending::Completed, CompletionReason::Finished);
        }
    }

    fn count_step(&mut self, usage: Option<&ModelUsage>, cost: Option<Cost>) {
        self.session.steps += 1;
        self.session.recoveries = 0;
        self.session.turn.steps += 1;
        let Some(usage) = usage else { return };
        let known = self.session.usage.iter_mut().find(|known| known.name == usage.name);
        let is_new = known.is_none();
        if let Some(known) = known {
            add(known, usage);
        } else {
            self.session.usage.push(usage.clone());
        }
        self.count_cost(&usage.name, cost, is_new);
    }

    /// A sum of which a part is unknown is unknown.
    fn count_cost(&mut self, model: &str, cost: Option<Cost>, is_new: bool) {
        let costs = &mut self.session.costs;
        match (cost, costs.get_mut(model)) {
            (Some(cost), Some(known)) => known.add(cost),
            (Some(cost), None) if is_new => {
                costs.insert(model.to_owned(), cost);
            }
            (Some(_), None) => {}
            (None, _) => {
                costs.remove(model);
            }
        }
    }

    fn write_metrics(&mut self) {
        let metrics = self.session.metrics();
        self.write(&EventData::MetricsUpdate { metrics });
    }

    pub(crate) fn fail(&mut self, fault: SessionFailure) {
        self.drop_open_calls();
        let info = fault.cause.clone().map(|cause| JsonObject::from_iter([("cause".to_owned(), cause.into())]));
        let error = fault.sentence();
        self.write(&EventData::AgentError { error, trace: String::new(), info });
        self.enter(State::Ended(Ending::Failed(fault)));
    }

    fn time_out(&mut self) {
        self.complete(Ending::TimedOut, CompletionReason::TimedOut);
    }

    /// The wait for a message is over: a session that was to be talked to completes, one that never
    /// got its task fails.
    fn give_up_waiting(&mut self) {
        if self.session.settings.idle_timeout_s.is_some() || self.session.answer.is_some() {
            self.complete(Ending::Completed, CompletionReason::Finished);
        } else {
            self.fail(SessionFailure::because(ErrorCode::NoAnswer, "no message arrived"));
        }
    }

    /// The results that the client owes did not come in time.
    fn give_up_on_client(&mut self, owed: usize) {
        let waited = self.session.settings.client_wait_s.unwrap_or_default();
        let cause = format!("the client did not send the results of its {owed} calls within {waited} s");
        self.fail(SessionFailure::because(ErrorCode::NoAnswer, cause));
    }
}

fn call_of(item: &ToolResultItem) -> Option<&ToolRequest> {
    match item {
        ToolResultItem::Result(result) => Some(&result.tool_req),
        ToolResultItem::Error(error) => error.tool_req.as_ref(),
    }
}

fn returned_event(item: ToolResultItem) -> AgentEvent {
    match item {
        ToolResultItem::Result(result) => AgentEvent::ToolResult(result),
        ToolResultItem::Error(error) => AgentEvent::ErrorEvent(error),
    }
}

fn add(known: &mut ModelUsage, more: &ModelUsage) {
    known.input_tokens = known.input_tokens.saturating_add(more.input_tokens);
    known.cached_tokens = known.cached_tokens.saturating_add(more.cached_tokens);
    known.output_tokens = known.output_tokens.saturating_add(more.output_tokens);
    known.reasoning_tokens = known.reasoning_tokens.saturating_add(more.reasoning_tokens);
}
