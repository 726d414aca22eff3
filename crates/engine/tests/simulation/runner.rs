//! Agents: what a step does is drawn from the seed.

use async_trait::async_trait;
use quarterdeck_agent::{Recorder, Runner, StepContext, StepError};
use quarterdeck_api::{Answer, ErrorCode, ToolRequest, ToolResult, ToolResultItem};
use quarterdeck_core::{Reply, Report, SessionFailure, StepMode};
use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use std::{
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The tool that clients run.
pub(crate) const CLIENTS_TOOL: &str = "ask";
const SERVERS_TOOL: &str = "click";
/// What a step fails with.
pub(crate) const BROKEN: &str = "the browser is gone";

/// All agents of one simulation.
pub(crate) struct SeededRunner {
    random: Mutex<Dice>,
    /// Once it is calm, every step answers.
    calm: CancellationToken,
}

struct Dice {
    random: SmallRng,
    calls: u64,
    words: u64,
    panics: u64,
}

#[derive(Clone, Copy)]
enum Act {
    Answer,
    Mumble,
    CallServer,
    CallClient,
    CallBoth,
    Trouble,
    Hang,
    Panic,
    Fail,
}

/// With how often each is drawn, in hundredths.
const ACTS: [(Act, u32); 9] = [
    (Act::Answer, 36),
    (Act::Mumble, 12),
    (Act::CallServer, 18),
    (Act::CallClient, 12),
    (Act::CallBoth, 6),
    (Act::Trouble, 6),
    (Act::Hang, 6),
    (Act::Panic, 2),
    (Act::Fail, 2),
];

impl SeededRunner {
    pub(crate) fn new(seed: u64, calm: CancellationToken) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self { random: Mutex::new(Dice { random, calls: 0, words: 0, panics: 0 }), calm }
    }

    pub(crate) fn panics(&self) -> u64 {
        self.with_dice(|dice| dice.panics)
    }

    fn with_dice<T>(&self, roll: impl FnOnce(&mut Dice) -> T) -> T {
        roll(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits, but not longer than until it is calm.
    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            let _ = timeout(time, self.calm.cancelled()).await;
        }
    }

    fn answered(&self) -> Report {
        let (reply, answer) = (self.reply(), Answer::Text("Done.".into()));
        Report::Answered { reply, call: None, answer, outcome: None }
    }

    fn decided(&self, mode: StepMode, calls: Vec<ToolRequest>) -> Report {
        let validation_errors = if calls.is_empty() { vec!["it makes no sense".into()] } else { Vec::new() };
        Report::Decided { mode, reply: self.reply(), calls, validation_errors }
    }

    fn reply(&self) -> Reply {
        Reply { content: Some(self.with_dice(Dice::words)), ..Reply::default() }
    }

    async fn call(&self, mode: StepMode, tools: &[&str], recorder: &mut dyn Recorder) -> Result<(), StepError> {
        let calls: Vec<ToolRequest> = tools.iter().map(|tool| self.with_dice(|dice| dice.call(tool))).collect();
        recorder.record(self.decided(mode, calls.clone())).await?;
        for call in calls.into_iter().filter(|call| call.tool_name == SERVERS_TOOL) {
            self.wait(self.with_dice(|dice| dice.pause(800))).await;
            let result =
                ToolResult { tool_req: call, result: "done".into(), truncated: false, output_artifact_path: None };
            recorder.record(Report::Returned(ToolResultItem::Result(result))).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Runner for SeededRunner {
    async fn step(&self, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        let (act, pause) = self.with_dice(|dice| (dice.act(context.mode), dice.pause(1_500)));
        // A model takes time, however calm it is.
        sleep(Duration::from_millis(2)).await;
        self.wait(pause).await;
        let act = if self.calm.is_cancelled() { Act::Answer } else { act };
        match act {
            Act::Answer => drop(recorder.record(self.answered()).await?),
            Act::Mumble => drop(recorder.record(self.decided(context.mode, Vec::new())).await?),
            Act::CallServer => self.call(context.mode, &[SERVERS_TOOL], recorder).await?,
            Act::CallClient => self.call(context.mode, &[CLIENTS_TOOL], recorder).await?,
            Act::CallBoth => self.call(context.mode, &[SERVERS_TOOL, CLIENTS_TOOL], recorder).await?,
            Act::Trouble => {
                let error = self.with_dice(Dice::words);
                recorder.record(Report::Troubled { error, origin: "model".into() }).await?;
                recorder.record(self.answered()).await?;
            }
            Act::Hang => {
                self.wait(Duration::from_mins(2)).await;
                recorder.record(self.answered()).await?;
            }
            Act::Panic => {
                self.with_dice(|dice| dice.panics += 1);
                resume_unwind(Box::new("the seed wants it so"));
            }
            Act::Fail => return Err(StepError::Failed(SessionFailure::because(ErrorCode::EnvironmentError, BROKEN))),
        }
        Ok(())
    }
}

impl Dice {
    fn act(&mut self, mode: StepMode) -> Act {
        let mut drawn = self.random.random_range(0..100);
        if mode == StepMode::AnswerOnly {
            return if drawn < 90 { Act::Answer } else { Act::Mumble };
        }
        for (act, odds) in ACTS {
            if drawn < odds {
                return act;
            }
            drawn -= odds;
        }
        Act::Answer
    }

    /// None half the time.
    fn pause(&mut self, ms_max: u64) -> Duration {
        let ms = if self.random.random_bool(0.5) { 0 } else { self.random.random_range(0..ms_max) };
        Duration::from_millis(ms)
    }

    /// Never the same twice.
    fn words(&mut self) -> String {
        self.words += 1;
        format!("words {}", self.words)
    }

    fn call(&mut self, tool: &str) -> ToolRequest {
        self.calls += 1;
        ToolRequest { tool_name: tool.into(), args: None, id: Some(format!("c{}", self.calls)) }
    }
}
