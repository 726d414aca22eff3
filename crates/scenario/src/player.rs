//! Which cue is next, by what the log says. A player keeps nothing: a session that is taken up again after a crash goes
//! on at the right cue.

use crate::cue::{Branch, Cue, Observe, Place, Script, Step};
use quarterdeck_api::{AgentEvent, MessageContent, ToolError};
use serde_json::{Map, Value};

/// What a log says up to some place, as far as a script asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// The latest message of a person.
    pub message: Option<String>,
    /// The first message of a person.
    pub first_message: Option<String>,
    /// What the latest call returned, its failure included, as text.
    pub result: Option<String>,
    /// The latest result of each tool.
    pub results: Map<String, Value>,
    /// Answers so far.
    pub answers: u64,
}

impl Stage {
    fn take(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::MessageEvent { content, .. } => {
                let text = words(content);
                self.first_message.get_or_insert_with(|| text.clone());
                self.message = Some(text);
            }
            AgentEvent::ToolResult(returned) => {
                self.result = Some(as_text(&returned.result));
                self.results.insert(returned.tool_req.tool_name.clone(), returned.result.clone());
            }
            AgentEvent::ErrorEvent(ToolError { error, tool_req: Some(_), .. }) => self.result = Some(error.clone()),
            AgentEvent::AnswerEvent { .. } => self.answers += 1,
            AgentEvent::ErrorEvent(_)
            | AgentEvent::PolicyEvent { .. }
            | AgentEvent::ObservationEvent { .. }
            | AgentEvent::FlowEvent { .. } => {}
        }
    }
}

/// What a person said, pictures left out.
pub(crate) fn words(content: &[MessageContent]) -> String {
    let texts = content.iter().filter_map(|part| match part {
        MessageContent::Text(text) => Some(text.as_str()),
        MessageContent::Image(_) | MessageContent::Unknown(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_shown(wanted: &Observe, event: &AgentEvent) -> bool {
    let AgentEvent::ObservationEvent { source, text, metadata, .. } = event else { return false };
    wanted.source == *source && wanted.text == *text && wanted.all_metadata() == *metadata
}

/// Walks through a script along a log.
pub struct Player<'a> {
    /// Steps that are still to come, the next one last.
    ahead: Vec<&'a Step>,
    /// How often the next cue was played already.
    repeated: usize,
    /// Cues used up so far.
    pub played: usize,
    /// Where the log stands.
    pub stage: Stage,
    /// Observations since the latest reply. Which cue they belong to is only known once all of its calls returned.
    shown: Vec<AgentEvent>,
}

impl<'a> Player<'a> {
    /// At the beginning.
    pub fn new(script: &'a Script) -> Self {
        Self {
            ahead: script.steps.iter().rev().collect(),
            repeated: 0,
            played: 0,
            stage: Stage::default(),
            shown: Vec::new(),
        }
    }

    /// Along these events.
    pub fn follow<'e>(&mut self, events: impl IntoIterator<Item = &'e AgentEvent>) {
        for event in events {
            match event {
                AgentEvent::PolicyEvent { .. } => self.use_up(),
                AgentEvent::ErrorEvent(ToolError { origin, tool_req: None, .. }) if origin == "model" => self.use_up(),
                AgentEvent::ObservationEvent { .. } => self.shown.push(event.clone()),
                AgentEvent::MessageEvent { .. }
                | AgentEvent::ToolResult(_)
                | AgentEvent::ErrorEvent(_)
                | AgentEvent::AnswerEvent { .. }
                | AgentEvent::FlowEvent { .. } => {}
            }
            self.stage.take(event);
        }
    }

    /// One more reply or failure.
    pub fn use_up(&mut self) {
        let Some(cue) = self.next() else { return };
        self.played += 1;
        self.repeated += 1;
        self.shown.clear();
        if self.repeated >= cue.times {
            self.repeated = 0;
            self.ahead.pop();
        }
    }

    /// The cue whose turn it is. Branches are chosen now, by what the log says so far.
    #[expect(clippy::should_implement_trait, reason = "looking does not use the cue up")]
    pub fn next(&mut self) -> Option<&'a Cue> {
        loop {
            match *self.ahead.last()? {
                Step::Cue(cue) => return Some(cue),
                Step::If(branch) => {
                    let chosen = self.chosen(branch);
                    self.ahead.pop();
                    self.ahead.extend(chosen.iter().rev());
                }
            }
        }
    }

    /// How many of the next cue's observations the log has already.
    pub fn seen(&mut self) -> usize {
        let wanted = self.next().map(|cue| cue.observations.as_slice()).unwrap_or_default();
        self.shown
            .iter()
            .fold(0, |seen, event| seen + usize::from(wanted.get(seen).is_some_and(|it| is_shown(it, event))))
    }

    /// Cues that are left, on the way that is taken now.
    pub fn left(&mut self) -> usize {
        let _ = self.next();
        let cues = self.ahead.iter().filter_map(|step| match step {
            Step::Cue(cue) => Some(cue.times),
            Step::If(_) => None,
        });
        cues.sum::<usize>().saturating_sub(self.repeated)
    }

    fn chosen(&self, branch: &'a Branch) -> &'a [Step] {
        let text = match branch.place {
            Place::Result => self.stage.result.as_deref(),
            Place::Message => self.stage.message.as_deref(),
        };
        if branch.test.holds(text) { &branch.then } else { &branch.otherwise }
    }
}
