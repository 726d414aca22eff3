//! What drives a session: the [`Runner`] port, and the model loop that is built in.
//!
//! A runner takes one step at a time from a [`StepContext`] and reports every [`Report`](quarterdeck_core::Report)
//! to a [`Recorder`] as it becomes known. Built in is the [`ModelRunner`], which asks a [`ModelClient`]:
//! any endpoint that speaks chat completions, Anthropic's Messages or `OpenAI`'s Responses ([`EndpointClient`]), several of
//! these ([`Endpoints`]), or the [`ScriptedModel`].
//!
//! This crate never writes to the store, and no step needs what it holds in memory: whatever one has to know of earlier
//! ones is in the transcript, so that it can be repeated after a crash on another machine. Conversations are kept to save
//! work, and of endpoints what they can do and which of them answers.
//! Text of users, pages and tools reaches the model as data, never as instructions.

mod answer;
mod arguments;
mod backoff;
mod budget;
mod calls;
mod chat;
mod conversations;
mod endpoint;
mod endpoints;
mod gallery;
mod host_members;
mod judge;
mod loose;
mod media;
mod meter;
mod model;
mod model_runner;
mod offer;
mod offered_schema;
mod playback;
mod prompt;
mod runner;
mod scene;
mod schema;
mod scripted;
mod shared_message;
mod skills;
mod staged;
mod standing;
mod structured;
mod summary;
mod text;
mod text_calls;
mod thinking;
mod toolbox;
mod vision;

pub use endpoint::{ApiKey, EndpointClient, EndpointSettings, EndpointSettingsError, ModelApi, Trial};
pub use endpoints::{Endpoints, NamedEndpoint, Price};
pub use media::{Media, NoMedia};
pub use model::{
    ChatCall, ChatMessage, ChatReply, ChatRequest, Finish, Kept, ModelClient, ModelError, NextCue, Part, Progress,
    RawCall, TokenUsage,
};
pub use model_runner::{ModelRunner, RunnerSettings};
/// Of [`RunnerSettings`].
pub use quarterdeck_core::Coordinates;
pub use runner::{Reach, Recorded, Recorder, Runner, StepContext, StepError, Superseded};
pub use scene::{Pace, RealPace, Scene};
pub use scripted::{Casting, ScriptedModel};
pub use shared_message::SharedMessage;
pub use structured::StructuredReplies;
pub use toolbox::{Look, NoTools, Place, Toolbox};

#[cfg(test)]
mod testing;

/// Compiles what the page about runners shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-runner.md")]
struct PageAboutRunners;
