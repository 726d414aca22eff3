//! A model that plays a script: deterministic, without a network. `docs/scripted-model.md` is its manual.
//!
//! Which line of the script is next follows from the conversation alone, so a session that is taken up again
//! after a crash goes on at the right line.

mod sample;
mod script;

use crate::{
    answer::{ANSWER, answer_tool},
    model::{ChatMessage, ChatReply, ChatRequest, ModelClient, ModelError, Part, RawCall, TokenUsage},
    schema::off_the_workers,
    text::cut,
};
use async_trait::async_trait;
use quarterdeck_api::JsonObject;
use sample::sample;
use script::{Script, ScriptFault};
use serde_json::{Value, json};

/// Characters of the task that an answer without a script repeats.
const TASK_SHOWN: usize = 200;

/// The model that answers when no other is configured, and in tests.
///
/// The script is taken from the latest message of a person that holds one, else from the agent's instructions,
/// else from [`ScriptedModel::playing`]. Without any, or past its end, it answers that no model is configured.
#[derive(Clone, Debug, Default)]
pub struct ScriptedModel {
    script: Option<String>,
}

impl ScriptedModel {
    /// A model that plays what it finds in the conversation.
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that plays `script`, from its start in every turn, where the conversation holds none.
    pub fn playing(script: impl Into<String>) -> Self {
        Self { script: Some(script.into()) }
    }

    /// The script in force, and how many of its cues were played.
    fn script(&self, request: &ChatRequest) -> Option<(Result<Script, ScriptFault>, usize)> {
        let in_message = request.messages.iter().enumerate().rev().find_map(|(place, message)| {
            Some((script::find(&words_of_a_person(message)?)?, played(request, place + 1)))
        });
        in_message.or_else(|| {
            let instructions = request.messages.iter().find_map(|message| match message {
                ChatMessage::System(text) => script::find(text),
                ChatMessage::User(_)
                | ChatMessage::Note(_)
                | ChatMessage::Assistant { .. }
                | ChatMessage::Tool { .. } => None,
            });
            let script = instructions.or_else(|| script::find(self.script.as_deref()?))?;
            Some((script, played(request, request.progress.turn_start)))
        })
    }
}

#[async_trait]
impl ModelClient for ScriptedModel {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let Some((script, played)) = self.script(request) else {
            return Ok(finished(unscripted(request).await, request));
        };
        let script = script.map_err(|fault| ModelError::fatal(fault.to_string()))?;
        let Some(cue) = script.cue(played) else { return Ok(finished(unscripted(request).await, request)) };
        if !cue.wait.is_zero() {
            tokio::time::sleep(cue.wait).await;
        }
        Ok(finished(cue.reply.clone()?, request))
    }
}

/// Replies and failures from message `start` on.
fn played(request: &ChatRequest, start: usize) -> usize {
    let later = request.messages.iter().skip(start);
    let replies = later.filter(|message| matches!(message, ChatMessage::Assistant { .. })).count();
    replies + request.progress.failures.iter().filter(|place| **place >= start).count()
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
        input: tokens(request.messages.iter().map(length).sum()),
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
    let task = request.messages.iter().rev().find_map(words_of_a_person).unwrap_or_default();
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
