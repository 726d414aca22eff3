//! A runner that does what a test tells it, step by step.

use async_trait::async_trait;
use quarterdeck_agent::{Recorder, Runner, StepContext, StepError};
use quarterdeck_api::{AgentEvent, Answer, ErrorCode, MessageContent, ToolRequest, ToolResult, ToolResultItem};
use quarterdeck_core::{Reply, Report, SessionFailure, StepMode};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::sync::{Semaphore, watch};

/// What the runner logs at each step.
pub(crate) const ACTS: &str = "the test's runner acts";

/// What one step does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers.
    Answer(&'static str),
    /// Says something that cannot be used, so that another step follows.
    Mumble,
    /// Calls this tool; the client's, if the agent has one of this name, else the server's, which returns at once.
    Call(&'static str),
    /// Calls this tool of the server's, which never returns.
    CallForEver(&'static str),
    /// Waits until the test opens the gate, then does the other.
    Gated(Box<Act>),
    /// Never ends by itself.
    Hang,
    Panic,
    Fail,
}

/// The runner. Steps take the queued acts in order; past them, every step answers `Done.`.
pub(crate) struct FakeRunner {
    acts: Mutex<VecDeque<Act>>,
    contexts: Mutex<Vec<StepContext>>,
    begun: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
    let_go: watch::Sender<bool>,
    gate: Semaphore,
}

impl FakeRunner {
    pub(crate) fn doing(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            contexts: Mutex::default(),
            begun: watch::Sender::new(0),
            dropped: watch::Sender::new(0),
            let_go: watch::Sender::new(false),
            gate: Semaphore::new(0),
        })
    }

    /// Lets one gated step pass.
    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    /// Returns once this many steps have begun.
    pub(crate) async fn begun(&self, count: usize) {
        self.begun.subscribe().wait_for(|begun| *begun >= count).await.unwrap();
    }

    /// Returns once this many steps were dropped before their end.
    pub(crate) async fn dropped(&self, count: usize) {
        self.dropped.subscribe().wait_for(|dropped| *dropped >= count).await.unwrap();
    }

    /// Returns once it was told to let go of what it keeps.
    pub(crate) async fn let_go_of_all(&self) {
        self.let_go.subscribe().wait_for(|told| *told).await.unwrap();
    }

    pub(crate) fn steps(&self) -> usize {
        *self.begun.borrow()
    }

    /// The mode of each step so far.
    pub(crate) fn modes(&self) -> Vec<StepMode> {
        self.contexts.lock().unwrap().iter().map(|context| context.mode).collect()
    }

    /// What the first two steps were told.
    pub(crate) fn first_two(&self) -> (StepContext, StepContext) {
        let contexts = self.contexts.lock().unwrap();
        (contexts[0].clone(), contexts[1].clone())
    }

    /// What people had said, as a step saw it.
    pub(crate) fn heard_by(&self, step: usize) -> Vec<String> {
        self.contexts.lock().unwrap()[step].transcript.iter().filter_map(|event| words(event)).collect()
    }

    /// How many events a step saw.
    pub(crate) fn seen_by(&self, step: usize) -> usize {
        self.contexts.lock().unwrap()[step].transcript.len()
    }
}

#[async_trait]
impl Runner for FakeRunner {
    fn let_go(&self) {
        self.let_go.send_replace(true);
    }

    async fn step(&self, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer("Done."));
        self.contexts.lock().unwrap().push(context.clone());
        self.begun.send_modify(|begun| *begun += 1);
        let mut unfinished = Unfinished { dropped: &self.dropped, finished: false };
        tracing::info!(?act, "{ACTS}");
        let result = self.act(act, context, recorder).await;
        unfinished.finished = true;
        result
    }
}

impl FakeRunner {
    async fn act(&self, act: Act, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        match act {
            Act::Answer(text) => drop(recorder.record(answered(text)).await?),
            Act::Mumble => drop(recorder.record(decided(context.mode, Vec::new())).await?),
            Act::Call(tool) => {
                let call = call(tool);
                recorder.record(decided(context.mode, vec![call.clone()])).await?;
                let is_clients = context.agent.tools.iter().flatten().any(|known| known.name == tool);
                if !is_clients {
                    recorder.record(Report::Returned(ToolResultItem::Result(result_of(call)))).await?;
                }
            }
            Act::CallForEver(tool) => {
                recorder.record(decided(context.mode, vec![call(tool)])).await?;
                std::future::pending::<()>().await;
            }
            Act::Gated(act) => {
                self.gate.acquire().await.unwrap().forget();
                Box::pin(self.act(*act, context, recorder)).await?;
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("the test wants it so"),
            Act::Fail => {
                return Err(StepError::Failed(SessionFailure::because(
                    ErrorCode::EnvironmentError,
                    "the browser is gone",
                )));
            }
        }
        Ok(())
    }
}

/// Counts a step that is dropped.
struct Unfinished<'a> {
    dropped: &'a watch::Sender<usize>,
    finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.dropped.send_modify(|dropped| *dropped += 1);
        }
    }
}

pub(crate) fn call(tool: &str) -> ToolRequest {
    ToolRequest { tool_name: tool.into(), args: None, id: Some(format!("c-{tool}")) }
}

pub(crate) fn result_of(tool_req: ToolRequest) -> ToolResult {
    ToolResult { tool_req, result: "done".into(), truncated: false, output_artifact_path: None }
}

fn answered(text: &str) -> Report {
    Report::Answered { reply: Reply::default(), call: None, answer: Answer::Text(text.into()), outcome: None }
}

fn decided(mode: StepMode, calls: Vec<ToolRequest>) -> Report {
    let validation_errors = if calls.is_empty() { vec!["it makes no sense".into()] } else { Vec::new() };
    Report::Decided { mode, reply: Reply::default(), calls, validation_errors }
}

fn words(event: &AgentEvent) -> Option<String> {
    let AgentEvent::MessageEvent { content, .. } = event else { return None };
    match content.first() {
        Some(MessageContent::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
