//! The port between the model loop and a language model.
//!
//! A request is everything a model is told; a reply is taken down as it came, however odd: what is wrong
//! with it is the loop's to judge, not the client's.

use crate::{SharedMessage, scene::Scene};
use async_trait::async_trait;
use quarterdeck_api::{AgentEvent, JsonObject, ReasoningEffort, ToolDefinition};
use quarterdeck_core::Cost;
use quarterdeck_scenario::Cue;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use thiserror::Error;

/// Asks a language model. The future may be dropped at any await point; the request ends with it.
#[async_trait]
pub trait ModelClient: Send + Sync + 'static {
    /// Asks once, without retrying.
    ///
    /// # Errors
    /// [`ModelError::Retryable`] when asking again may help, [`ModelError::Fatal`] when it cannot.
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError>;

    /// Which model answers to this name, as far as that is known without asking: how it sees and points depends on it.
    fn answers_to(&self, name: Option<&str>) -> Option<String> {
        name.map(str::to_owned)
    }

    /// How many tokens of a conversation this model is shown, if that is limited.
    fn context_tokens(&self, _name: Option<&str>) -> Option<usize> {
        None
    }
    /// What a script says beside the reply to this request; nobody but a model that plays one knows any.
    ///
    /// # Errors
    /// When the script cannot be played, and why.
    fn cue(&self, _request: &ChatRequest) -> Result<Option<NextCue>, String> {
        Ok(None)
    }
}

/// What a script says about one reply.
#[derive(Clone, Debug, PartialEq)]
pub struct NextCue {
    /// The cue, with everything in it looked up.
    pub cue: Cue,
    /// How many of its observations the log has already.
    pub seen: usize,
}

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model's name; the client's default when absent.
    pub model: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<SharedMessage>,
    /// The tools on offer.
    pub tools: Vec<ToolDefinition>,
    /// How long it may think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Whether it must call a tool.
    pub tool_required: bool,
    /// The JSON Schema that its words have to satisfy, where they have to.
    pub reply_schema: Option<serde_json::Value>,
    /// Where in the conversation this request stands.
    pub progress: Progress,
    /// What the session plays in the model's place.
    pub scene: Option<Arc<Scene>>,
}

/// What the messages alone do not tell. A real model has no use for it, one that plays a script has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Index of the first message after the latest answer.
    pub turn_start: usize,
    /// One entry for each failed attempt so far: how many messages there were.
    pub failures: Vec<usize>,
    /// What the messages were made of.
    pub transcript: Vec<Arc<AgentEvent>>,
}

/// A message of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatMessage {
    /// What holds throughout.
    System(String),
    /// What a person said.
    User(Vec<Part>),
    /// What the server shows or remarks: an observation, a complaint about a reply. Never a person's words.
    Note(Vec<Part>),
    /// What the model replied.
    Assistant {
        /// Its words.
        content: Option<String>,
        /// Its calls.
        calls: Vec<ChatCall>,
        /// What its host wants back.
        kept: Option<HostMembers>,
    },
    /// What a call returned.
    Tool {
        /// The [`ChatCall::id`] it answers.
        call_id: String,
        /// What it returned.
        content: String,
    },
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
    /// A picture, as a data URI.
    Image(String),
}

/// A call in the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatCall {
    /// Unique in the conversation.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments.
    pub arguments: JsonObject,
}

/// What a model replied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatReply {
    /// The model that replied, for the usage record.
    pub model: String,
    /// Whether the operator or the endpoint itself named it, and not an agent alone. Metrics tell only such models apart.
    pub model_is_known: bool,
    /// What it said.
    pub content: Option<String>,
    /// What it thought.
    pub reasoning: Option<String>,
    /// What it wants done.
    pub calls: Vec<RawCall>,
    /// Calls beyond the client's cap that were left out of `calls`.
    pub calls_left_out: usize,
    /// How it ended.
    pub finish: Finish,
    /// What its host put into it beside this; what it put beside calls is in [`RawCall::extra`].
    pub kept: Option<HostMembers>,
    /// Tokens used, when it says.
    pub usage: Option<TokenUsage>,
    /// What they cost, when they have a price.
    pub cost: Option<Cost>,
}

/// What a host put into a reply beside the common members (thoughts, signatures, ...). It is recorded with the reply and
/// goes back word for word, and only to where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMembers {
    /// The endpoint and the model it came from.
    pub origin: String,
    /// Members of the message.
    pub message: JsonObject,
    /// Members of each call, in order.
    pub calls: Vec<JsonObject>,
}

/// How a reply ended, by its host's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or the host does not say.
    #[default]
    Done,
    /// It ended in order to make calls.
    Calls,
    /// It was cut off at its length limit.
    CutOff,
    /// It was ended by something else, in a word or a sentence of the host's: what there is, is no whole reply.
    Stopped(String),
}

impl RawCall {
    /// Arguments as a text, however a host writes them: as one, as an object, or not at all.
    pub(crate) fn arguments_of(written: &Value) -> String {
        match written {
            Value::Null => "{}".to_owned(),
            Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => written.to_string(),
        }
    }
}

/// A call as the model wrote it: nothing in it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawCall {
    /// The model's id of it.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// What is meant to be a JSON object.
    pub arguments: String,
    /// What else its host put into it.
    pub extra: JsonObject,
}

/// Tokens of one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Read.
    pub input: i64,
    /// Of those, from a cache.
    pub cached: i64,
    /// Written.
    pub output: i64,
    /// Of those, spent on thinking.
    pub reasoning: i64,
}

/// Why there is no reply. The message is a sentence for the session's owner: it names the host and the
/// status, never a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// The host is away or has no room: asking again helps once that is over, which may take minutes.
    #[error("{message}")]
    Away {
        /// What went wrong.
        message: String,
        /// How long the model's host wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Asking again may help.
    #[error("{message}")]
    Retryable {
        /// What went wrong.
        message: String,
        /// How long the model's host wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Asking again cannot help.
    #[error("{message}")]
    Fatal {
        /// What is wrong.
        message: String,
    },
}

impl ModelError {
    /// Something that may pass.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable { message: message.into(), retry_after: None }
    }

    /// A host that is away.
    pub fn away(message: impl Into<String>) -> Self {
        Self::Away { message: message.into(), retry_after: None }
    }

    /// Something that stays.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal { message: message.into() }
    }

    /// What an HTTP status other than 2xx means. `said` is the host's own explanation.
    pub fn of_status(host: &str, status: u16, retry_after: Option<Duration>, said: Option<&str>) -> Self {
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("the model at {host} answered {status}{meaning}{said}", meaning = meaning(status));
        match status {
            429 | 502..=504 | 529 => Self::Away { message, retry_after },
            408 | 409 | 425 | 500..=599 => Self::Retryable { message, retry_after },
            _ => Self::Fatal { message },
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        300..=399 => " (a redirect, which is not followed)",
        400 | 422 => " (it does not accept the request)",
        401 => " (the key is missing or wrong)",
        402 => " (payment is required)",
        403 => " (the key does not allow this)",
        404 => " (no such model or address)",
        413 => " (the conversation is too long for it)",
        429 => " (too many requests)",
        502..=504 | 529 => " (it is away or busy)",
        500..=599 => " (a fault on its side)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_asking_again_may_help() {
        for status in [429, 502, 503, 504, 529] {
            assert!(matches!(of(status), ModelError::Away { .. }), "{status}");
        }
        for status in [408, 409, 425, 500, 501] {
            assert!(matches!(of(status), ModelError::Retryable { .. }), "{status}");
        }
        for status in [301, 400, 401, 402, 403, 404, 405, 413, 422] {
            assert!(matches!(of(status), ModelError::Fatal { .. }), "{status}");
        }
    }

    #[test]
    fn the_sentence_names_host_and_status() {
        let error = ModelError::of_status("models.example:8000", 404, None, Some("no model `x`"));
        assert_eq!(
            error.to_string(),
            "the model at models.example:8000 answered 404 (no such model or address): no model `x`"
        );
    }

    fn of(status: u16) -> ModelError {
        ModelError::of_status("localhost", status, None, None)
    }
}
