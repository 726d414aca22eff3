//! A session with a second, simpler account of what happened to it, compared after every action.

use super::actions::{Action, answer, decision, fault, numbered_call, result_item, returned};
use crate::{
    ChildOrder, Command, Fact, LoggedEvent, Next, OpenStep, Report, Session, Settings, State, Steering,
    tests::world::{Run, child, messages},
};
use chrono::TimeDelta;
use quarterdeck_api::{AgentEvent, MessageContent, SessionId, Status, Timestamp, ToolRequest, UserMessage};
use serde_json::Value;

pub(super) struct History {
    pub(super) run: Run,
    /// Calls ever made, so that each has an id of its own.
    calls_made: usize,
    /// Those that are to be executed.
    executed: Vec<ToolRequest>,
    /// Calls that have a result in the log.
    settled: Vec<ToolRequest>,
    /// Sessions started for calls, and the call of each.
    children: Vec<(SessionId, ToolRequest)>,
    /// Those whose work was taken, or that were told to end.
    dismissed: Vec<SessionId>,
    /// What was shown to the agent from the inbox.
    shown: Vec<String>,
    /// When the newest event was written.
    last_written: Option<Timestamp>,
}

impl History {
    pub(super) fn new(settings: Settings, queued: bool) -> Self {
        let run = if queued { Run::queue(settings) } else { Run::create(settings) };
        Self {
            run,
            calls_made: 0,
            executed: Vec::new(),
            settled: Vec::new(),
            children: Vec::new(),
            dismissed: Vec::new(),
            shown: Vec::new(),
            last_written: None,
        }
    }

    /// Lets `action` happen and checks everything.
    pub(super) fn meet(&mut self, action: &Action) {
        let (session, length) = (self.run.session.clone(), self.run.log.len());
        let accepted = self.act(action);
        self.read_log_from(length);
        self.checks_out(&session, length, action, accepted);
    }

    /// Whether it was accepted.
    fn act(&mut self, action: &Action) -> bool {
        match action {
            Action::Tick(ms) => {
                self.run.now += TimeDelta::milliseconds(*ms);
                true
            }
            Action::Message { count } => self.say(*count),
            Action::Pause => self.command(Command::Pause),
            Action::Resume => self.command(Command::Resume),
            Action::ForceAnswer => self.command(Command::ForceAnswer),
            Action::ToolResults { which, unknown } => self.settle(which, *unknown),
            Action::Cancel => self.command(Command::Cancel),
            Action::Promoted => self.fact(Fact::Promoted),
            Action::Started { own, missed } => {
                let fact = self.started(*own, *missed);
                self.fact(fact)
            }
            Action::Delivered { fits } => {
                let fact = if *fits { self.delivery() } else { beyond(&self.run.session) };
                self.fact(fact)
            }
            Action::Troubled => {
                self.fact(Fact::Reported(Report::Troubled { error: "503".into(), origin: "model".into() }))
            }
            Action::Decided { mode, tools, number, rejected } => {
                let calls: Vec<_> = tools.iter().map(|tool| self.new_call(tool, *number)).collect();
                let executes = !rejected || self.run.session.turn.force.is_none();
                let accepted = self.fact(decision(*mode, calls.clone(), *rejected));
                if accepted && executes {
                    self.executed.extend(calls);
                }
                accepted
            }
            Action::Returned { which, fits } => {
                let open = self.run.session.state.open_calls();
                let call = open.get(*which).filter(|_| *fits).cloned().unwrap_or_else(unknown_call);
                let child = self.children.iter().find(|(_, worked_off)| *worked_off == call).map(|(child, _)| *child);
                let accepted = self.fact(returned(call));
                self.dismissed.extend(child.filter(|_| accepted));
                accepted
            }
            Action::Delegated { fits } => {
                let waiting = self.run.session.state.open_step().and_then(|step| step.undelegated().first().cloned());
                let fact = self.delegation(waiting.filter(|_| *fits).unwrap_or_else(unknown_call));
                self.start_child(fact)
            }
            Action::Steered { which, order } => {
                let child = self.children.get(*which).map_or(child(0), |(child, _)| *child);
                let accepted = self.fact(Fact::Steered { child, order: *order });
                self.dismissed.extend((*order == ChildOrder::Cancel).then_some(child));
                accepted
            }
            Action::Steer { version, order } => {
                self.command(Command::Steer(Steering { version: *version, order: *order }))
            }
            Action::Answered => self.fact(answer()),
            Action::Failed => self.fact(fault()),
            Action::TakenOver => self.fact(Fact::TakenOver { epoch: self.run.session.recovered_in + 1 }),
            Action::TimePassed => self.fact(Fact::TimePassed),
        }
    }

    /// What a worker reports that starts it and saw all messages but the last `missed`.
    fn started(&self, own: usize, missed: usize) -> Fact {
        let seen = self.waiting().len().saturating_sub(missed);
        let mut shown = messages(&vec!["own"; own]);
        shown.extend_from_slice(&self.waiting()[..seen]);
        let inbox_through = self.run.session.inbox.delivered + seen as u64;
        Fact::Started { messages: shown, inbox_through }
    }

    pub(super) fn start(&self) -> Fact {
        self.started(1, 0)
    }

    pub(super) fn delivery(&self) -> Fact {
        Fact::Delivered { messages: self.waiting().to_vec(), inbox_through: self.run.session.inbox.next }
    }

    /// What a worker reports that has found somebody for the call.
    pub(super) fn delegation(&self, call: ToolRequest) -> Fact {
        Fact::Delegated { call, child: child(self.run.session.subagents.len() as u128 + 1) }
    }

    fn start_child(&mut self, fact: Fact) -> bool {
        let Fact::Delegated { call, child } = &fact else { panic!("{fact:?} starts nobody") };
        let (call, child) = (call.clone(), *child);
        let accepted = self.fact(fact);
        self.children.extend(accepted.then_some((child, call)));
        accepted
    }

    fn waiting(&self) -> &[UserMessage] {
        &self.run.inbox[usize::try_from(self.run.session.inbox.delivered).expect("a small number")..]
    }

    fn say(&mut self, count: usize) -> bool {
        let first = self.run.inbox.len();
        let numbered = (first..first + count).map(|number| UserMessage::text(number.to_string()));
        self.command(Command::Message(numbered.collect()))
    }

    fn settle(&mut self, which: &[usize], unknown: bool) -> bool {
        let pending = self.run.session.state.pending_tool_calls();
        let known = which.iter().filter_map(|position| pending.get(*position).cloned());
        let calls = known.chain(unknown.then(unknown_call));
        let results = calls.map(result_item).collect();
        self.command(Command::ToolResults(results))
    }

    fn new_call(&mut self, tool: &str, argument: f64) -> ToolRequest {
        self.calls_made += 1;
        numbered_call(tool, self.calls_made, argument)
    }

    fn command(&mut self, command: Command) -> bool {
        self.run.try_command(command).is_ok()
    }

    fn fact(&mut self, fact: Fact) -> bool {
        self.run.try_fact(fact).is_ok()
    }
}

/// Claims to deliver a message that never came in.
fn beyond(session: &Session) -> Fact {
    Fact::Delivered { messages: messages(&["never said"]), inbox_through: session.inbox.next + 1 }
}

fn unknown_call() -> ToolRequest {
    ToolRequest { tool_name: "guess".into(), args: None, id: Some("never-asked".into()) }
}

impl History {
    fn read_log_from(&mut self, length: usize) {
        for (event, index) in self.run.log[length..].iter().zip(length as u64..) {
            assert_eq!(event.index, index);
            let written = written_at(event);
            assert!(Some(written) >= self.last_written, "time went back at {index}");
            self.last_written = Some(written);
            let Some(event) = event.agent_event() else { continue };
            self.shown.extend(spoken(&event).filter(|text| *text != "own").map(str::to_owned));
            self.settled.extend(settled_call(event));
        }
    }

    fn checks_out(&self, old: &Session, old_length: usize, action: &Action, accepted: bool) {
        let new = &self.run.session;
        if accepted && old != new {
            self.change_is_whole(old, old_length);
        } else {
            assert_eq!(old, new, "what is refused changes nothing");
        }
        ended_is_ended(old, new, action, accepted);
        self.pending_calls_fit_the_status();
        self.messages_are_delivered_once_and_in_order();
        self.every_executed_call_is_open_or_has_one_result();
        self.every_child_is_known_and_at_work_or_dismissed();
        self.rest_is_rest();
        let status = new.state.status();
        assert_eq!(new.finished_at.is_some(), status.is_terminal());
        assert_eq!(new.state.holds_slot(), status != Status::Queued && !status.is_terminal());
    }

    fn change_is_whole(&self, old: &Session, old_length: usize) {
        let new = &self.run.session;
        assert_eq!(new.version, old.version + 1);
        assert_eq!(new.log_length, self.run.log.len() as u64);
        assert!(new.last_activity_at >= old.last_activity_at);
        assert_eq!(new.inbox.next, self.run.inbox.len() as u64);
        if old.state.status() != new.state.status() {
            assert!(self.run.log.len() > old_length, "a status change without an event");
        }
    }

    fn pending_calls_fit_the_status(&self) {
        let session = &self.run.session;
        let pending = !session.state.pending_tool_calls().is_empty();
        match session.state.status() {
            Status::AwaitingToolResults => assert!(pending),
            Status::Paused => {}
            Status::Queued
            | Status::Pending
            | Status::Running
            | Status::Idle
            | Status::Completed
            | Status::Failed
            | Status::TimedOut
            | Status::Interrupted => assert!(!pending),
        }
        assert_eq!(session.status_record().pending_tool_calls.is_empty(), !pending);
    }

    fn messages_are_delivered_once_and_in_order(&self) {
        let inbox = self.run.session.inbox;
        let accepted = self.run.inbox.iter().map(|message| &message.message);
        assert!(self.shown.iter().eq(accepted.take(self.shown.len())), "a message was lost, repeated or overtaken");
        assert_eq!(self.shown.len() as u64, inbox.delivered);
        assert_eq!(inbox.delivered + inbox.waiting(), self.run.inbox.len() as u64);
        assert!(inbox.waiting() <= crate::Inbox::CAPACITY);
    }

    fn every_executed_call_is_open_or_has_one_result(&self) {
        let open = self.run.session.state.open_calls();
        for call in &self.executed {
            let count = |calls: &[ToolRequest]| calls.iter().filter(|other| other.id == call.id).count();
            assert_eq!(count(&self.settled) + count(&open), 1, "{call:?}");
        }
        assert_eq!(self.settled.len() + open.len(), self.executed.len(), "a result or a call from nowhere");
    }

    /// Nobody works on unseen: a child has its call open, or is still to be stopped, or its work was taken or stopped.
    fn every_child_is_known_and_at_work_or_dismissed(&self) {
        let session = &self.run.session;
        let started: Vec<_> = self.children.iter().map(|(child, _)| *child).collect();
        assert_eq!(session.subagents, started);
        assert!(started.len() <= Session::SUBAGENTS_MAX);
        let step = session.state.open_step();
        let working: Vec<_> = step.into_iter().flat_map(OpenStep::awaited).map(|child_call| child_call.child).collect();
        assert!(working.len() <= Session::DELEGATIONS_OPEN_MAX);
        for child in &started {
            let places = [working.contains(child), session.orphans.iter().any(|orphan| orphan.child == *child)];
            let places = places.into_iter().filter(|is_there| *is_there).count();
            let dismissed = self.dismissed.contains(child);
            assert!(places == 1 || (dismissed && places == 0), "{child:?} is forgotten: {session:?}");
        }
    }

    fn rest_is_rest(&self) {
        if self.run.next() == Next::Release {
            assert_eq!(self.run.session.orphans, [], "nobody stops them");
            let step = self.run.session.state.open_step();
            let paused = matches!(self.run.session.state, State::Paused { .. });
            let mut told = step.iter().flat_map(|step| &step.delegated).filter_map(|open| open.child);
            assert!(told.all(|child| paused && child.told >= ChildOrder::Pause && child.told != ChildOrder::Answer));
        }
        let due = self.run.session.due_at();
        if self.run.next() == Next::Release {
            assert!(due.is_none_or(|due| due > self.run.now), "due and nothing to do");
        }
        if self.run.status() == Status::Idle {
            assert_eq!(self.run.session.inbox.waiting(), 0, "idle before a waiting message");
        }
    }
}

fn ended_is_ended(old: &Session, new: &Session, action: &Action, accepted: bool) {
    match old.state.status() {
        Status::Interrupted => assert_eq!((&old.state, &old.turn), (&new.state, &new.turn), "a cancel is for good"),
        Status::Completed | Status::Failed | Status::TimedOut if !matches!(action, Action::Message { .. }) => {
            let stopped = Session { orphans: old.orphans.clone(), version: old.version, ..new.clone() };
            let stopped = Session { last_activity_at: old.last_activity_at, ..stopped };
            assert_eq!(*old, stopped, "only a message restarts, and only children are still stopped");
        }
        Status::Completed | Status::Failed | Status::TimedOut if accepted => assert_ne!(old, new),
        Status::Completed
        | Status::Failed
        | Status::TimedOut
        | Status::Queued
        | Status::Pending
        | Status::Running
        | Status::Paused
        | Status::Idle
        | Status::AwaitingToolResults => {}
    }
}

fn written_at(event: &LoggedEvent) -> Timestamp {
    let json: Value = serde_json::from_str(event.json.get()).expect("an event is JSON");
    json["timestamp"].as_str().and_then(|text| text.parse().ok()).expect("a moment")
}

fn spoken(event: &AgentEvent) -> Option<&str> {
    match event {
        AgentEvent::MessageEvent { content, .. } => match content.first() {
            Some(MessageContent::Text(text)) => Some(text),
            Some(MessageContent::Image(_) | MessageContent::Unknown(_)) | None => None,
        },
        AgentEvent::ObservationEvent { .. }
        | AgentEvent::PolicyEvent { .. }
        | AgentEvent::ToolResult(_)
        | AgentEvent::AnswerEvent { .. }
        | AgentEvent::ErrorEvent(_)
        | AgentEvent::FlowEvent { .. } => None,
    }
}

fn settled_call(event: AgentEvent) -> Option<ToolRequest> {
    match event {
        AgentEvent::ToolResult(result) => Some(result.tool_req),
        AgentEvent::ErrorEvent(error) => error.tool_req,
        AgentEvent::MessageEvent { .. }
        | AgentEvent::ObservationEvent { .. }
        | AgentEvent::PolicyEvent { .. }
        | AgentEvent::AnswerEvent { .. }
        | AgentEvent::FlowEvent { .. } => None,
    }
}
