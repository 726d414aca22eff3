//! A session in memory: the state machine, a log, and a runner that drives it.

pub(crate) mod tools;

use async_trait::async_trait;
use quarterdeck_agent::{
    ApiKey, EndpointClient, EndpointSettings, Media, ModelClient, ModelRunner, NoMedia, NoTools, Reach, Recorded,
    Recorder, Runner, RunnerSettings, StepContext, StepError, Superseded, Toolbox,
};
use quarterdeck_api::{
    Agent, AgentEvent, Answer, ErrorCode, JsonObject, OrganizationId, Status, Timestamp, ToolRequest, ToolResult,
    ToolResultItem, UserId, UserMessage,
};
use quarterdeck_core::{Command, Effect, Ending, Fact, LoggedEvent, Next, Report, Session, Settings, State};
use quarterdeck_test_support::fake_model::FakeModel;
use serde_json::{Value, json};
use std::{fmt::Debug, sync::Arc, time::Duration};

/// Settings that let a test fail fast.
pub(crate) fn quick() -> RunnerSettings {
    let (patience, backoff_base) = (Duration::ZERO, Duration::from_millis(1));
    RunnerSettings { failures_max: 3, patience, backoff_base, ..RunnerSettings::default() }
}

/// A session and its runner.
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) task: String,
    agent: Arc<Agent>,
    runner: ModelRunner,
    pub(crate) toolbox: Arc<dyn Toolbox>,
    pub(crate) media: Arc<dyn Media>,
    log: Vec<LoggedEvent>,
    inbox: Vec<UserMessage>,
}

impl World {
    /// A session whose agent has these fields, driven by `model`.
    pub(crate) fn new(model: Arc<dyn ModelClient>, fields: Value, settings: RunnerSettings) -> Self {
        let mut agent = json!({"name": "tester", "description": "Tests things.", "environments": []});
        let fields: JsonObject = serde_json::from_value(fields).unwrap();
        agent.as_object_mut().unwrap().extend(fields);
        let agent: Agent = serde_json::from_value(agent).unwrap();
        let client_tools = agent.tools.iter().flatten().map(|tool| tool.name.clone()).collect();
        let id = "018f0000-0000-7000-8000-000000000001".parse().unwrap();
        let (organization, user) = (OrganizationId(id), UserId(id));
        let request = Settings { client_tools, ..Settings::default() };
        let created = Session::create(quarterdeck_api::SessionId(id), organization, user, request, false, now());
        Self {
            session: created.session,
            task: "What is it?".into(),
            agent: Arc::new(agent),
            runner: ModelRunner::with_settings(model, settings),
            toolbox: Arc::new(NoTools),
            media: Arc::new(NoMedia),
            log: created.events,
            inbox: Vec::new(),
        }
    }

    /// A session driven by the model at `model`; of `client` its address and key are filled in.
    pub(crate) fn asking(model: &FakeModel, fields: Value, settings: RunnerSettings, client: EndpointSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let api_key = Some(ApiKey::new("CANARY-KEY"));
        let client = EndpointClient::new(EndpointSettings { base_url: model.base_url(), api_key, ..client }).unwrap();
        Self::new(Arc::new(client), fields, settings)
    }

    /// Works on the session as the engine would, until there is nothing to do.
    pub(crate) async fn run(&mut self) {
        loop {
            match self.session.next(now()) {
                Next::Start => self.start(),
                Next::Deliver => {
                    let messages = std::mem::take(&mut self.inbox);
                    self.apply(Fact::Delivered { messages, inbox_through: self.session.inbox.next }).unwrap();
                }
                Next::Step(mode) => self.step(mode).await,
                Next::Settle(calls) => panic!("{calls:?} were left to the server"),
                Next::Delegate(calls) => panic!("{calls:?} are the engine's"),
                Next::TimePassed | Next::Release | Next::Steer(_) | Next::Await(_) => return,
            }
        }
    }

    async fn step(&mut self, mode: quarterdeck_core::StepMode) {
        let context = StepContext {
            session: self.session.id,
            agent: Arc::clone(&self.agent),
            timezone: None,
            transcript: self.transcript(),
            toolbox: Arc::clone(&self.toolbox),
            media: Arc::clone(&self.media),
            scene: None,
            begun: Reach::default(),
            mode,
        };
        let runner = ModelRunner::clone(&self.runner);
        match runner.step(&context, self).await {
            Ok(()) | Err(StepError::Superseded(_)) => {}
            Err(StepError::Failed(fault)) => self.apply(Fact::Reported(Report::Failed(fault))).unwrap(),
        }
    }

    /// Starts the agent with its task.
    pub(crate) fn start(&mut self) {
        let messages = vec![UserMessage::text(&self.task)];
        self.apply(Fact::Started { messages, inbox_through: 0 }).unwrap();
    }

    /// Has a person say something.
    pub(crate) fn say(&mut self, text: &str) {
        self.command(Command::Message(vec![UserMessage::text(text)]));
    }

    /// Posts the result of a call.
    pub(crate) fn return_result(&mut self, call: ToolRequest, result: Value) {
        let result = ToolResult { tool_req: call, result, truncated: false, output_artifact_path: None };
        self.command(Command::ToolResults(vec![ToolResultItem::Result(result)]));
    }

    /// Gives a command.
    pub(crate) fn command(&mut self, command: Command) {
        let effect = self.session.command(command, now());
        self.commit(effect).unwrap();
    }

    fn apply(&mut self, fact: Fact) -> Result<(), Superseded> {
        let effect = self.session.fact(fact, now());
        self.commit(effect).map_err(|_| Superseded)
    }

    fn commit<E: Debug>(&mut self, effect: Result<Effect, E>) -> Result<(), E> {
        if let Effect::Changed(transition) = effect? {
            self.session = transition.session;
            self.log.extend(transition.events);
            self.inbox.extend(transition.accepted.into_iter().map(|(_, message)| message));
        }
        Ok(())
    }

    /// What the agent did, as the log has it.
    pub(crate) fn transcript(&self) -> Vec<Arc<AgentEvent>> {
        self.log.iter().filter_map(LoggedEvent::agent_event).map(Arc::new).collect()
    }

    /// The failures of model calls in the log.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for event in self.transcript() {
            if let AgentEvent::ErrorEvent(error) = &*event
                && error.origin == "model"
            {
                errors.push(error.error.clone());
            }
        }
        errors
    }

    /// All that a client can read.
    pub(crate) fn log_text(&self) -> String {
        self.log.iter().map(|event| event.json.get()).collect()
    }

    /// Its status.
    pub(crate) fn status(&self) -> Status {
        self.session.state.status()
    }

    /// It completed with this answer.
    pub(crate) fn assert_answer(&self, text: &str) {
        assert_eq!(self.session.answer, Some(Answer::Text(text.into())), "{}", self.log_text());
        assert_eq!(self.status(), Status::Completed);
    }

    /// It failed for this reason.
    pub(crate) fn assert_failed(&self, code: ErrorCode, cause: &str) {
        let State::Ended(Ending::Failed(fault)) = &self.session.state else { panic!("{}", self.log_text()) };
        assert_eq!(fault.code, code, "{fault:?}");
        assert!(fault.cause.as_ref().unwrap().contains(cause), "{fault:?} instead of {cause}");
    }
}

#[async_trait]
impl Recorder for World {
    async fn record(&mut self, report: Report) -> Result<Recorded, Superseded> {
        let is_decision = matches!(report, Report::Decided { .. });
        self.apply(Fact::Reported(report))?;
        Ok(if is_decision { Recorded::after_decision(&self.session) } else { Recorded::default() })
    }

    async fn reach(&mut self, _: Option<u64>) -> Result<Reach, Superseded> {
        Ok(Reach { version: self.session.version, log_length: self.session.log_length })
    }
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}
