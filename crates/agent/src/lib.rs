//! What drives a session: the [`Runner`] port, and the model loop that is built in.
//!
//! A runner takes one step at a time from a [`StepContext`] and reports every [`Fact`](quarterdeck_core::Fact)
//! to a [`Recorder`] as it becomes known. Built in is the [`ModelRunner`], which asks a [`ModelClient`]:
//! any OpenAI-compatible chat-completions endpoint ([`OpenAiClient`]), or the [`ScriptedModel`].
//!
//! This crate never writes to the store and holds no state between steps: whatever a step needs to know of
//! earlier ones is in the transcript, so that a step can be repeated after a crash on another machine.
//! Text of users, pages and tools reaches the model as data, never as instructions.

mod answer;
mod backoff;
mod calls;
mod chat;
mod judge;
mod meter;
mod model;
mod model_runner;
mod offer;
mod openai;
mod prompt;
mod runner;
mod schema;
mod scripted;
mod skills;
mod standing;
mod text;
mod toolbox;
mod vision;

pub use model::{
    ChatCall, ChatMessage, ChatReply, ChatRequest, ModelClient, ModelError, Part, Progress, RawCall, TokenUsage,
};
pub use model_runner::{ModelRunner, RunnerSettings};
pub use openai::{ApiKey, OpenAiClient, OpenAiSettings, OpenAiSettingsError};
pub use runner::{Recorder, Runner, StepContext, StepError, Superseded};
pub use scripted::ScriptedModel;
pub use toolbox::{Look, NoTools, Toolbox};
pub use vision::VisionSettings;

#[cfg(test)]
mod testing;

/// Compiles what the page about runners shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-runner.md")]
struct PageAboutRunners;
