//! What the tests share: sessions in every state, and a short word for everything that goes in or out.

use crate::{
    AnswerGrace, ChildOrder, Command, Effect, Fact, LoggedEvent, Next, OpenStep, Phase, Rejection, Reply, Report,
    Resumption, Session, SessionFailure, Settings, State, StepMode,
};
use chrono::{DateTime, TimeDelta};
use quarterdeck_api::{
    Answer, ErrorCode, ModelUsage, OrganizationId, Outcome, Retention, SessionId, Status, Timestamp, ToolError,
    ToolRequest, ToolResult, ToolResultItem, UserId, UserMessage,
};
use serde_json::Value;
use uuid::Uuid;

/// A session with its log and its clock.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) session: Session,
    pub(super) now: Timestamp,
    pub(super) log: Vec<LoggedEvent>,
    pub(super) inbox: Vec<UserMessage>,
}

impl Run {
    /// A session that waits for a worker.
    pub(super) fn create(settings: Settings) -> Self {
        Self::accepted(settings, false)
    }

    /// A session above the limit of its organization.
    pub(super) fn queue(settings: Settings) -> Self {
        Self::accepted(settings, true)
    }

    /// A session whose agent has its first message.
    pub(super) fn start(settings: Settings) -> Self {
        let mut run = Self::create(settings);
        run.fact(started(&["Find the price"]));
        run
    }

    fn accepted(settings: Settings, queued: bool) -> Self {
        let (id, owner) = (SessionId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let created = Session::create(id, owner, UserId(Uuid::from_u128(3)), settings, queued, noon());
        Self { session: created.session, now: noon(), log: created.events, inbox: Vec::new() }
    }

    /// Gives a command that must be accepted; returns what it wrote.
    pub(super) fn command(&mut self, command: Command) -> Vec<String> {
        self.try_command(command).expect("the command is accepted")
    }

    /// Reports a fact that must be recorded; returns what it wrote.
    pub(super) fn fact(&mut self, fact: Fact) -> Vec<String> {
        self.try_fact(fact).expect("the fact is recorded")
    }

    pub(super) fn try_command(&mut self, command: Command) -> Result<Vec<String>, Rejection> {
        let effect = self.session.command(command, self.now)?;
        Ok(self.commit(effect))
    }

    pub(super) fn try_fact(&mut self, fact: Fact) -> Result<Vec<String>, Rejection> {
        let effect = self.session.fact(fact, self.now)?;
        Ok(self.commit(effect))
    }

    /// Reports that the waiting messages were shown to the agent.
    pub(super) fn deliver(&mut self) -> Vec<String> {
        let first = usize::try_from(self.session.inbox.delivered).expect("a small number");
        let messages = self.inbox[first..].to_vec();
        self.fact(Fact::Delivered { messages, inbox_through: self.session.inbox.next })
    }

    pub(super) fn wait_s(&mut self, seconds: i64) -> &mut Self {
        self.now += TimeDelta::seconds(seconds);
        self
    }

    pub(super) fn status(&self) -> Status {
        self.session.state.status()
    }

    /// What a worker does now.
    pub(super) fn next(&self) -> Next {
        self.session.next(self.now)
    }

    /// The whole log, a word an event.
    pub(super) fn words(&self) -> Vec<String> {
        self.log.iter().map(word).collect()
    }

    fn commit(&mut self, effect: Effect) -> Vec<String> {
        let Effect::Changed(transition) = effect else { return Vec::new() };
        check_passed(&transition.passed, self.status(), transition.session.state.status());
        let words = transition.events.iter().map(word).collect();
        self.log.extend(transition.events);
        self.inbox.extend(transition.accepted.into_iter().map(|(_, message)| message));
        self.session = transition.session;
        words
    }
}

/// The statuses of a transition lead from the one before it to the one after it, without a gap and without standing still.
fn check_passed(passed: &[(Option<Status>, Status)], before: Status, after: Status) {
    let mut at = before;
    for (from, to) in passed {
        assert_eq!((*from, *to == at), (Some(at), false), "{passed:?} does not lead on from {before:?}");
        at = *to;
    }
    assert_eq!(at, after, "{passed:?} does not lead to the status of the session");
}

/// Every state a session can be in, with the name the tables use.
pub(super) fn every_state() -> Vec<(&'static str, Run)> {
    vec![
        ("queued", Run::queue(one_shot())),
        ("pending", Run::create(one_shot())),
        ("running", Run::start(one_shot())),
        ("running with an open call", after(Run::start(one_shot()), [decided(&["click"])])),
        ("running with a subagent", delegating()),
        ("paused from pending", paused(Run::create(one_shot()))),
        ("paused from running", paused(Run::start(one_shot()))),
        ("paused with an open call", paused(after(Run::start(one_shot()), [decided(&["click"])]))),
        ("paused with a subagent", after(paused(delegating()), [steered(1, ChildOrder::Pause)])),
        ("paused from awaiting", paused(awaiting())),
        ("idle", after(Run::start(interactive()), [answered("19 €")])),
        ("awaiting_tool_results", awaiting()),
        ("completed", after(Run::start(one_shot()), [answered("19 €")])),
        ("failed", after(Run::start(one_shot()), [failed()])),
        ("timed_out", timed_out()),
        ("interrupted", interrupted()),
    ]
}

pub(super) fn after(mut run: Run, facts: impl IntoIterator<Item = Fact>) -> Run {
    for fact in facts {
        run.fact(fact);
    }
    run
}

/// Waits for the client's results of `ask` and `look`.
pub(super) fn awaiting() -> Run {
    after(Run::start(one_shot()), [decided(&["ask", "look"])])
}

/// Waits for the first of its subagents.
pub(super) fn delegating() -> Run {
    after(Run::start(one_shot()), [decided(&["delegate"]), delegated("delegate", 1)])
}

pub(super) fn paused(mut run: Run) -> Run {
    run.command(Command::Pause);
    run
}

fn timed_out() -> Run {
    let mut run = Run::start(one_shot());
    run.wait_s(600).fact(Fact::TimePassed);
    run.wait_s(600).fact(Fact::TimePassed);
    run
}

fn interrupted() -> Run {
    let mut run = Run::start(one_shot());
    run.command(Command::Cancel);
    run
}

/// Ends at its answer; ten minutes an answer; the client runs `ask` and `look`, and it may delegate.
pub(super) fn one_shot() -> Settings {
    Settings {
        max_steps: None,
        max_time_ms: Some(600_000),
        idle_timeout_s: None,
        client_wait_s: None,
        client_tools: vec!["ask".into(), "look".into()],
        delegates: true,
        depth: 0,
        retention: Retention::default(),
        answer_grace_s: AnswerGrace::default(),
    }
}

/// Waits five minutes for the next message.
pub(super) fn interactive() -> Settings {
    Settings { idle_timeout_s: Some(300), ..one_shot() }
}

pub(super) fn noon() -> Timestamp {
    DateTime::from_timestamp(1_767_268_800, 0).expect("a moment of 2026")
}

pub(super) fn say(texts: &[&str]) -> Command {
    Command::Message(messages(texts))
}

pub(super) fn messages(texts: &[&str]) -> Vec<UserMessage> {
    texts.iter().copied().map(UserMessage::text).collect()
}

pub(super) fn results(tools: &[&str]) -> Command {
    Command::ToolResults(tools.iter().map(|tool| result(tool)).collect())
}

pub(super) fn result(tool: &str) -> ToolResultItem {
    ToolResultItem::Result(result_of(call(tool)))
}

pub(super) fn result_of(tool_req: ToolRequest) -> ToolResult {
    ToolResult { tool_req, result: Value::from("done"), truncated: false, output_artifact_path: None }
}

pub(super) fn error_of(call: ToolRequest) -> ToolResultItem {
    ToolResultItem::Error(ToolError { error: "no".into(), origin: "client".into(), tool_req: Some(call) })
}

/// A call whose id is `c-` and the tool's name.
pub(super) fn call(tool: &str) -> ToolRequest {
    ToolRequest { tool_name: tool.into(), args: None, id: Some(format!("c-{tool}")) }
}

/// Started by a worker that read the inbox when nothing was in it.
pub(super) fn started(texts: &[&str]) -> Fact {
    Fact::Started { messages: messages(texts), inbox_through: 0 }
}

pub(super) fn decided(tools: &[&str]) -> Fact {
    let calls = tools.iter().map(|tool| call(tool)).collect();
    Fact::Reported(Report::Decided { mode: StepMode::Act, reply: reply(), calls, validation_errors: Vec::new() })
}

/// The call of this tool gets child number `number`.
pub(super) fn delegated(tool: &str, number: u128) -> Fact {
    Fact::Delegated { call: call(tool), child: child(number) }
}

pub(super) fn steered(number: u128, order: ChildOrder) -> Fact {
    Fact::Steered { child: child(number), order }
}

pub(super) fn child(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(100 + number))
}

pub(super) fn answered(text: &str) -> Fact {
    let answer = Answer::Text(text.into());
    Fact::Reported(Report::Answered { reply: reply(), call: None, answer, outcome: Some(Outcome::Success) })
}

pub(super) fn failed() -> Fact {
    Fact::Reported(Report::Failed(SessionFailure::because(ErrorCode::EnvironmentError, "the browser is gone")))
}

pub(super) fn reply() -> Reply {
    let usage = ModelUsage {
        name: "scripted".into(),
        input_tokens: 10,
        cached_tokens: 0,
        output_tokens: 2,
        reasoning_tokens: 0,
    };
    Reply { reasoning: None, content: Some("thinking".into()), usage: Some(usage), ..Reply::default() }
}

pub(super) fn running() -> State {
    State::Active(Phase::Running(OpenStep::default()))
}

pub(super) fn paused_while_running() -> State {
    State::Paused { resume_to: Resumption::Running(OpenStep::default()) }
}

/// An event in short: its type or kind, and what tells it from others of that type.
pub(super) fn word(event: &LoggedEvent) -> String {
    let json: Value = serde_json::from_str(event.json.get()).expect("an event is JSON");
    let data = &json["data"];
    let kind = data["kind"].as_str().filter(|_| &*event.type_name == "AgentEvent");
    let name = kind.unwrap_or(event.type_name.trim_end_matches("Event"));
    let details = ["state", "status", "reason", "flow", "origin", "answer"].map(|field| data[field].as_str());
    let tool = data["tool_req"]["tool_name"].as_str();
    let names = |list: &Value| list.as_array().into_iter().flatten().map(tool_name).collect::<Vec<_>>().join("+");
    let calls = [&data["pending_tool_calls"], &data["tool_reqs"]].map(names);
    let text = data["content"][0].as_str();
    let parts = [Some(name)].into_iter().chain(details).chain([tool, text]).flatten();
    let parts = parts.chain(calls.iter().map(String::as_str).filter(|calls| !calls.is_empty()));
    parts.collect::<Vec<_>>().join(" ")
}

fn tool_name(call: &Value) -> String {
    call["tool_name"].as_str().unwrap_or_default().to_owned()
}
