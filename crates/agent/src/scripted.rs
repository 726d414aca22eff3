//! A model that plays a script: deterministic, without a network. `docs/scripted-model.md` is its manual.
//!
//! Which line of the script is next follows from the conversation alone, so a session that is taken up again
//! after a crash goes on at the right line.

mod sample;

use crate::{
    answer::{ANSWER, answer_tool},
    model::{ChatMessage, ChatReply, ChatRequest, ModelClient, ModelError, NextCue, Part, RawCall, TokenUsage},
    scene::{Pace, RealPace, Scene},
    schema::off_the_workers,
    text::cut,
};
use async_trait::async_trait;
use quarterdeck_api::{AgentEvent, JsonObject, MessageContent, ToolError};
use quarterdeck_scenario::{Act, Cue, Facts, Failure, Player, Scenario, Script, ScriptFault, find};
use sample::sample;
use serde_json::{Value, json};
use std::sync::Arc;

/// Characters of the task that an answer without a script repeats.
const TASK_SHOWN: usize = 200;

/// The model that answers when no other is configured, and in tests.
///
/// The script is taken from the latest message of a person that holds one, else from the agent's instructions, else from
/// the scenario that the session was cast for, else from [`ScriptedModel::playing`]. Without any, or past its end, it
/// answers that no model is configured.
#[derive(Clone, Debug)]
pub struct ScriptedModel {
    script: Option<String>,
    pace: Arc<dyn Pace>,
}

impl Default for ScriptedModel {
    fn default() -> Self {
        Self { script: None, pace: Arc::new(RealPace) }
    }
}

impl ScriptedModel {
    /// A model that plays what it finds in the conversation.
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that plays `script`, from its start in every turn, where the conversation holds none.
    pub fn playing(script: impl Into<String>) -> Self {
        Self { script: Some(script.into()), ..Self::default() }
    }

    /// The model whose scripts wait by this time.
    #[must_use]
    pub fn at_pace(self, pace: Arc<dyn Pace>) -> Self {
        Self { pace, ..self }
    }

    /// The script in force, and from which event of the transcript on it is played.
    fn script(&self, request: &ChatRequest) -> Option<(Result<Source, ScriptFault>, usize)> {
        let transcript = &request.progress.transcript;
        let in_message = transcript
            .iter()
            .enumerate()
            .rev()
            .find_map(|(place, event)| Some((find(&words_of_a_message(event)?)?.map(Source::Lines), place + 1)));
        in_message.or_else(|| {
            let turn_start = transcript.iter().rposition(|event| matches!(**event, AgentEvent::AnswerEvent { .. }));
            let turn_start = turn_start.map_or(0, |answer| answer + 1);
            if let Some(script) = instructions(request).and_then(find) {
                return Some((script.map(Source::Lines), turn_start));
            }
            if let Some(scene) = &request.scene {
                return Some((Ok(Source::Scene(Arc::clone(scene))), 0));
            }
            Some((find(self.script.as_deref()?)?.map(Source::Lines), turn_start))
        })
    }

    /// The cue whose turn it is; none past the end of the script, or without one.
    fn next(&self, request: &ChatRequest) -> Result<Option<NextCue>, String> {
        let Some((source, start)) = self.script(request) else { return Ok(None) };
        match source.map_err(|fault| fault.to_string())? {
            Source::Lines(script) => {
                let mut player = played(&script, request, start);
                let next = player.next().cloned();
                Ok(next.map(|cue| NextCue { cue, seen: player.seen() }))
            }
            Source::Scene(scene) => {
                let scenario = scene.part.as_ref().map_err(Clone::clone)?;
                let mut player = played(&scenario.script, request, start);
                let Some(cue) = player.next() else { return Err(past_its_end(scenario, player.played)) };
                let facts = self.facts(&scene, &player);
                let filled = facts.fill(cue, scenario);
                let cue = filled.map_err(|fault| {
                    format!("the scenario `{}` has a fault at {}: {fault}", scenario.name, scenario.place_of(cue.line))
                })?;
                Ok(Some(NextCue { cue, seen: player.seen() }))
            }
        }
    }

    fn facts(&self, scene: &Scene, player: &Player<'_>) -> Facts {
        Facts {
            agent: scene.agent.clone(),
            session: scene.session.to_string(),
            group_id: scene.group_id.clone(),
            header: scene.header.clone(),
            message: player.stage.first_message.clone(),
            results: player.stage.results.clone(),
            turn: player.stage.answers + 1,
            now: self.pace.now().to_rfc3339(),
        }
    }
}

/// Where a script comes from.
enum Source {
    /// From directives, a line each.
    Lines(Script),
    /// From what the session was cast for.
    Scene(Arc<Scene>),
}

/// A scenario says all that its sessions do: more is a fault of the test.
fn past_its_end(scenario: &Scenario, played: usize) -> String {
    let (name, place) = (&scenario.name, scenario.place());
    format!("the scenario `{name}` ({place}) has no cue left: all of its {played} were played, and the session goes on")
}

fn instructions(request: &ChatRequest) -> Option<&str> {
    request.messages.iter().find_map(|message| match &**message {
        ChatMessage::System(text) => Some(text.as_str()),
        ChatMessage::User(_) | ChatMessage::Note(_) | ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => None,
    })
}

/// A player that has come to where the request stands. Failures of this very step are not in the transcript.
fn played<'s>(script: &'s Script, request: &ChatRequest, start: usize) -> Player<'s> {
    let transcript = &request.progress.transcript;
    let mut player = Player::new(script);
    player.follow(transcript.iter().skip(start).map(|event| &**event));
    let is_failure = |event: &&Arc<AgentEvent>| matches!(&***event, AgentEvent::ErrorEvent(ToolError { origin, tool_req: None, .. }) if origin == "model");
    let recorded = transcript.iter().filter(is_failure).count();
    for _ in recorded..request.progress.failures.len() {
        player.use_up();
    }
    player
}

fn words_of_a_message(event: &AgentEvent) -> Option<String> {
    let AgentEvent::MessageEvent { content, .. } = event else { return None };
    let texts = content.iter().filter_map(|part| match part {
        MessageContent::Text(text) => Some(text.as_str()),
        MessageContent::Image(_) | MessageContent::Unknown(_) => None,
    });
    Some(texts.collect::<Vec<_>>().join("\n"))
}

#[async_trait]
impl ModelClient for ScriptedModel {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let Some(NextCue { cue, .. }) = self.next(request).map_err(ModelError::fatal)? else {
            return Ok(finished(unscripted(request).await, request));
        };
        if !cue.wait.is_zero() {
            self.pace.rest(cue.wait).await;
        }
        Ok(finished(reply(cue)?, request))
    }

    fn cue(&self, request: &ChatRequest) -> Result<Option<NextCue>, String> {
        self.next(request)
    }
}

/// A scripted model for sessions that were cast, and another one for the rest.
pub struct Casting {
    scripted: ScriptedModel,
    other: Arc<dyn ModelClient>,
}

impl Casting {
    /// Sessions that were not cast are left to `other`.
    pub fn beside(scripted: ScriptedModel, other: Arc<dyn ModelClient>) -> Self {
        Self { scripted, other }
    }

    fn model(&self, request: &ChatRequest) -> &dyn ModelClient {
        if request.scene.is_some() { &self.scripted } else { &*self.other }
    }
}

#[async_trait]
impl ModelClient for Casting {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        self.model(request).complete(request).await
    }

    fn cue(&self, request: &ChatRequest) -> Result<Option<NextCue>, String> {
        self.model(request).cue(request)
    }
}

/// What a model makes of a cue.
fn reply(cue: Cue) -> Result<ChatReply, ModelError> {
    let usage = cue.usage.map(|usage| TokenUsage {
        input: usage.input.into(),
        cached: usage.cached.into(),
        output: usage.output.into(),
        reasoning: usage.reasoning.into(),
    });
    let said = ChatReply { content: cue.say, reasoning: cue.think, usage, ..ChatReply::default() };
    match cue.act {
        Act::Text(text) => Ok(ChatReply { content: Some(text), ..said }),
        Act::Calls(calls) => {
            let calls = calls.into_iter().map(|call| {
                let arguments = call.arguments.text();
                RawCall { name: call.tool, arguments, ..RawCall::default() }
            });
            Ok(ChatReply { calls: calls.collect(), ..said })
        }
        Act::Ask(question) => Ok(ChatReply { content: question.or(said.content.clone()), ..said }),
        Act::End(_) => Ok(said),
        Act::Fail(failure) => Err(error(failure)),
    }
}

fn error(failure: Failure) -> ModelError {
    let (message, retry_after) = match failure {
        Failure::Status { status, after } => return ModelError::of_status("script", status, after, None),
        Failure::Garbage => return ModelError::retryable("the scripted model sent a reply that is not JSON"),
        Failure::Said(message) => return ModelError::retryable(message),
        Failure::Timeout { after } => ("the scripted model took too long to reply", after),
        Failure::Connect { after } => ("cannot connect to the scripted model", after),
        Failure::Reset { after } => ("the connection to the scripted model broke", after),
    };
    ModelError::Retryable { message: message.into(), retry_after }
}

fn words_of_a_person(message: &ChatMessage) -> Option<String> {
    let ChatMessage::User(parts) = message else { return None };
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) => None,
    });
    Some(texts.collect::<Vec<_>>().join("\n"))
}

/// Fills in what a script leaves open: the model's name and the tokens, about one for four characters.
fn finished(mut reply: ChatReply, request: &ChatRequest) -> ChatReply {
    reply.model_is_known = request.model.is_none();
    reply.model = request.model.clone().unwrap_or_else(|| "scripted".into());
    reply.usage = reply.usage.or_else(|| Some(counted(&reply, request)));
    reply
}

fn counted(reply: &ChatReply, request: &ChatRequest) -> TokenUsage {
    let reasoning = reply.reasoning.as_deref().map_or(0, characters);
    let content = reply.content.as_deref().map_or(0, characters);
    let calls = reply.calls.iter().map(|call| characters(&call.name) + characters(&call.arguments)).sum::<usize>();
    TokenUsage {
        input: tokens(request.messages.iter().map(|message| length(message)).sum()),
        cached: 0,
        output: tokens(reasoning + content + calls),
        reasoning: tokens(reasoning),
    }
}

fn tokens(characters: usize) -> i64 {
    i64::try_from(characters.div_ceil(4)).unwrap_or(i64::MAX)
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn length(message: &ChatMessage) -> usize {
    match message {
        ChatMessage::System(text) | ChatMessage::Tool { content: text, .. } => characters(text),
        ChatMessage::User(parts) | ChatMessage::Note(parts) => parts.iter().map(part_length).sum(),
        ChatMessage::Assistant { content, calls, .. } => {
            let arguments = |call: &crate::model::ChatCall| Value::Object(call.arguments.clone()).to_string();
            let calls = calls.iter().map(|call| characters(&call.name) + characters(&arguments(call)));
            content.as_deref().map_or(0, characters) + calls.sum::<usize>()
        }
    }
}

fn part_length(part: &Part) -> usize {
    match part {
        Part::Text(text) => characters(text),
        Part::Image(_) => 4_000,
    }
}

/// What it says without a script: an answer of the right form, at once.
async fn unscripted(request: &ChatRequest) -> ChatReply {
    let answer = request.tools.iter().find(|tool| tool.name == ANSWER);
    match answer.filter(|tool| tool.input_schema != answer_tool(None).input_schema) {
        None => text(greeting(request)),
        Some(tool) => formatted(tool.input_schema.clone()).await,
    }
}

fn greeting(request: &ChatRequest) -> String {
    let task = request.messages.iter().rev().find_map(|message| words_of_a_person(message)).unwrap_or_default();
    let task = cut(task.trim(), TASK_SHOWN);
    let asked = if task.is_empty() { String::new() } else { format!(" You asked: {task}") };
    format!("No model is configured, so the built-in scripted model answers in its place.{asked}")
}

async fn formatted(parameters: JsonObject) -> ChatReply {
    let Some(answer) = off_the_workers(false, move |budget| sample(&parameters, budget)).await else {
        return text(
            "No model is configured, and the built-in scripted model found no example that satisfies answer_format."
                .into(),
        );
    };
    let arguments = json!({"answer": answer, "outcome": "success"}).to_string();
    let call = RawCall { name: ANSWER.into(), arguments, ..RawCall::default() };
    ChatReply { calls: vec![call], ..ChatReply::default() }
}

fn text(content: String) -> ChatReply {
    ChatReply { content: Some(content), ..ChatReply::default() }
}

#[cfg(test)]
mod tests;
