//! What a caller may ask of a session, in every state (contract: sessions, "State × command";
//! where the contract leaves a cell open, `docs/state-machine.md` holds the choice).

use crate::{
    ChildOrder, Effect, Ending, ForceReason, OpenStep, Phase, Rejection, Resumption, Session, State, Steering,
    Transition,
    forms::{Dropped, dropped_call, resume_now, state_change},
};
use quarterdeck_api::{
    ActiveState, AgentEvent, CompletionReason, EventData, SessionId, Timestamp, ToolRequest, ToolResultItem,
    UserMessage,
};

/// A caller's wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Say something to the agent; never empty.
    Message(Vec<UserMessage>),
    /// Stop between steps.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Answer at the next step with what is known.
    ForceAnswer,
    /// Results of calls that the session waits for.
    ToolResults(Vec<ToolResultItem>),
    /// End it for good.
    Cancel,
    /// What the session that it works for wants of it.
    Steer(Steering),
    /// A client created this session to work for it.
    Adopt(SessionId),
}

type Decision = Result<Effect, Rejection>;

impl Session {
    /// Decides what `command` does at `now`.
    pub fn command(&self, command: Command, now: Timestamp) -> Decision {
        let transition = Transition::from(self, self.no_later_than(now));
        match command {
            Command::Message(messages) => self.message(transition, messages),
            Command::Pause => self.pause(transition),
            Command::Resume => self.resume(transition),
            Command::ForceAnswer => self.force_answer(transition),
            Command::ToolResults(results) => self.tool_results(transition, results),
            Command::Cancel => Ok(self.cancel(transition)),
            Command::Steer(steering) => Ok(self.steer(transition, steering)),
            Command::Adopt(child) => Ok(self.adopt(transition, child)),
        }
    }

    /// Whatever its state: its log says nothing of it, and no order reaches the child.
    fn adopt(&self, mut transition: Transition, child: SessionId) -> Effect {
        if self.adopted.len() >= Self::ADOPTED_MAX || self.adopted.contains(&child) {
            return Effect::Unchanged;
        }
        transition.session.adopted.push(child);
        transition.into_effect()
    }

    fn message(&self, mut transition: Transition, messages: Vec<UserMessage>) -> Decision {
        if self.state == State::Ended(Ending::Interrupted) {
            return Err(self.ended());
        }
        self.check_log()?;
        let waiting = self.inbox.waiting();
        if waiting.saturating_add(messages.len() as u64) > crate::Inbox::CAPACITY {
            return Err(Rejection::InboxFull { waiting });
        }
        match &self.state {
            State::Queued | State::Pending | State::Active(Phase::Running(_) | Phase::AwaitingToolResults { .. }) => {}
            State::Active(Phase::Idle { .. }) | State::Ended(_) => transition.open_turn(),
            State::Paused { resume_to } => transition.resume_to(resume_to.clone()),
        }
        transition.accept(messages);
        Ok(transition.into_effect())
    }

    fn pause(&self, mut transition: Transition) -> Decision {
        let resume_to = match &self.state {
            State::Queued => return Err(Rejection::Queued { action: "pause" }),
            State::Ended(_) => return Err(self.ended()),
            State::Paused { .. } | State::Active(Phase::Idle { .. }) => return Ok(Effect::Unchanged),
            State::Pending => Resumption::Pending,
            State::Active(Phase::Running(step)) => Resumption::Running(step.clone()),
            State::Active(Phase::AwaitingToolResults { calls }) => {
                Resumption::AwaitingToolResults { calls: calls.clone() }
            }
        };
        self.check_log()?;
        transition.pause(resume_to);
        Ok(transition.into_effect())
    }

    fn resume(&self, mut transition: Transition) -> Decision {
        match &self.state {
            State::Ended(_) => Err(self.ended()),
            State::Queued | State::Pending | State::Active(_) => Ok(Effect::Unchanged),
            State::Paused { resume_to } => {
                transition.resume_to(resume_to.clone());
                Ok(transition.into_effect())
            }
        }
    }

    fn force_answer(&self, mut transition: Transition) -> Decision {
        match &self.state {
            State::Queued => return Err(Rejection::Queued { action: "answer" }),
            State::Ended(_) => return Err(self.ended()),
            State::Active(Phase::Idle { .. }) => return Ok(Effect::Unchanged),
            State::Pending | State::Active(Phase::Running(_)) if self.turn.force >= Some(ForceReason::User) => {
                return Ok(Effect::Unchanged);
            }
            State::Pending | State::Active(Phase::Running(_)) => {}
            State::Active(Phase::AwaitingToolResults { calls }) => transition.give_up_calls(calls),
            State::Paused { resume_to: Resumption::AwaitingToolResults { calls } } => {
                transition.write(&resume_now());
                transition.give_up_calls(calls);
            }
            State::Paused { resume_to } => transition.resume_to(resume_to.clone()),
        }
        transition.force(ForceReason::User);
        Ok(transition.into_effect())
    }

    fn tool_results(&self, mut transition: Transition, results: Vec<ToolResultItem>) -> Decision {
        let mut calls = self.state.pending_tool_calls().to_vec();
        let pending = calls.len();
        let settled = settle(&mut calls, results);
        match &self.state {
            State::Ended(_) => Err(self.ended()),
            State::Queued | State::Pending | State::Active(_) | State::Paused { .. } if settled.is_empty() => {
                Err(Rejection::NothingPending { pending })
            }
            State::Queued | State::Pending | State::Active(_) => {
                transition.settle_calls(settled, calls);
                Ok(transition.into_effect())
            }
            State::Paused { .. } => {
                transition.settle_calls_paused(settled, calls);
                Ok(transition.into_effect())
            }
        }
    }

    fn cancel(&self, mut transition: Transition) -> Effect {
        if let State::Ended(_) = self.state {
            return Effect::Unchanged;
        }
        transition.complete(Ending::Interrupted, CompletionReason::Stopped);
        transition.into_effect()
    }

    /// An order is a caller's command; what it does not change is fine as it is. That it came is kept, so that an
    /// earlier one that comes late finds itself overtaken.
    fn steer(&self, transition: Transition, steering: Steering) -> Effect {
        if matches!(self.state, State::Ended(_)) || Some(steering) <= self.steered {
            return Effect::Unchanged;
        }
        let unmoved = transition.clone();
        let decided = match steering.order {
            ChildOrder::Resume => self.resume(transition),
            ChildOrder::Pause => self.pause(transition),
            ChildOrder::Answer => self.force_answer(transition),
            ChildOrder::Cancel => Ok(self.cancel(transition)),
        };
        let mut transition = match decided {
            Ok(Effect::Changed(transition)) => *transition,
            Ok(Effect::Unchanged) | Err(_) => unmoved,
        };
        transition.session.steered = Some(steering);
        transition.into_effect()
    }

    /// Refuses what could go on for ever.
    fn check_log(&self) -> Result<(), Rejection> {
        if self.has_full_log() { Err(Rejection::LogFull { events: self.log_length }) } else { Ok(()) }
    }

    fn ended(&self) -> Rejection {
        Rejection::Ended { status: self.state.status() }
    }
}

impl Transition {
    /// Hands a new or promoted session to the workers.
    pub(crate) fn dispatch(&mut self) {
        self.write(&EventData::RequestStartDispatched { status: "pending".into() });
        self.enter(State::Pending);
    }

    /// Begins the next turn, with fresh budgets.
    pub(crate) fn open_turn(&mut self) {
        self.session.turn = crate::Turn::default();
        self.session.finished_at = None;
        self.session.recoveries = 0;
        if self.session.started_at.is_none() {
            return self.dispatch();
        }
        self.enter_running();
    }

    fn resume_to(&mut self, resume_to: Resumption) {
        self.write(&resume_now());
        self.enter(match resume_to {
            Resumption::Pending => State::Pending,
            Resumption::Running(step) => State::Active(Phase::Running(step)),
            Resumption::AwaitingToolResults { calls } => State::Active(Phase::AwaitingToolResults { calls }),
        });
    }

    /// Gives up on calls the client owes and goes on.
    fn give_up_calls(&mut self, calls: &[ToolRequest]) {
        self.drop_calls(calls, Dropped::AnswerForced);
        self.enter_running();
    }

    /// Settles calls that will not be made, so that each has its result in the log.
    pub(crate) fn drop_calls(&mut self, calls: &[ToolRequest], why: Dropped) {
        for call in calls {
            self.write_agent(dropped_call(call.clone(), why));
        }
    }

    /// A session that ends may be restarted with its history, so no call in it is left without a result.
    pub(crate) fn drop_open_calls(&mut self) {
        self.orphan_children();
        let calls = self.session.state.open_calls();
        self.drop_calls(&calls, Dropped::SessionEnded);
    }

    fn write_settled(&mut self, settled: Vec<AgentEvent>) {
        for event in settled {
            self.write_agent(event);
        }
    }

    fn settle_calls(&mut self, settled: Vec<AgentEvent>, left: Vec<ToolRequest>) {
        self.write_settled(settled);
        if left.is_empty() {
            self.enter_running();
        } else {
            self.enter_awaiting(left);
        }
    }

    /// As [`Self::settle_calls`], but the session stays paused: only the turn's state moves.
    fn settle_calls_paused(&mut self, settled: Vec<AgentEvent>, left: Vec<ToolRequest>) {
        self.write_settled(settled);
        if left.is_empty() {
            self.write(&state_change(ActiveState::Running, None));
            self.enter(State::Paused { resume_to: Resumption::Running(OpenStep::default()) });
        } else {
            self.await_paused(left);
        }
    }

    /// Waits for the client's results while paused.
    pub(crate) fn await_paused(&mut self, calls: Vec<ToolRequest>) {
        self.write(&state_change(ActiveState::AwaitingToolResults, Some(&calls)));
        self.enter(State::Paused { resume_to: Resumption::AwaitingToolResults { calls } });
    }

    /// Ends the session without a fault.
    pub(crate) fn complete(&mut self, ending: Ending, reason: CompletionReason) {
        self.drop_open_calls();
        self.write(&EventData::AgentCompletion { reason });
        self.enter(State::Ended(ending));
    }
}

/// Takes the answered calls out of `calls`; results that answer none are left out.
fn settle(calls: &mut Vec<ToolRequest>, results: Vec<ToolResultItem>) -> Vec<AgentEvent> {
    results.into_iter().filter_map(|result| settle_one(calls, result)).collect()
}

/// The logged call is the one that was asked, whatever the client echoed of it.
fn settle_one(calls: &mut Vec<ToolRequest>, result: ToolResultItem) -> Option<AgentEvent> {
    match result {
        ToolResultItem::Result(mut result) => {
            result.tool_req = take_call(calls, &result.tool_req)?;
            Some(AgentEvent::ToolResult(result))
        }
        ToolResultItem::Error(mut error) => {
            error.tool_req = Some(take_call(calls, error.tool_req.as_ref()?)?);
            Some(AgentEvent::ErrorEvent(error))
        }
    }
}

/// By id; by name and arguments when the answer names no id.
fn take_call(calls: &mut Vec<ToolRequest>, answered: &ToolRequest) -> Option<ToolRequest> {
    let position = calls.iter().position(|call| match &answered.id {
        Some(id) => call.id.as_ref() == Some(id),
        None => call.tool_name == answered.tool_name && arguments(call) == arguments(answered),
    })?;
    Some(calls.remove(position))
}

/// Absent arguments are no arguments.
fn arguments(call: &ToolRequest) -> Option<&quarterdeck_api::JsonObject> {
    call.args.as_ref().filter(|arguments| !arguments.is_empty())
}
