//! The HTTP front: routes, authentication, the long poll, the `OpenAPI` document.
//!
//! A handler reads a request, calls the engine once, and writes the answer. It holds no rule of a session's
//! life, no SQL and no clock. Every error, whatever its cause, is the contract's error body.
//!
//! Invariant: every request that names stored things is scoped by its [`Caller`](quarterdeck_store::Caller);
//! what belongs to another organization answers like what does not exist.

#[cfg(feature = "agent-view")]
mod agent_view;
mod answers;
mod app;
mod around;
mod authentication;
mod bodies;
mod connection;
mod cors;
mod error;
mod heads;
mod hosts;
mod ignored;
mod input;
mod keys;
mod listener;
mod metrics;
mod names;
mod openapi;
mod public_url;
mod reader;
mod recordings;
mod router;
mod routes;
mod tags;
mod test_api;
mod write_timeout;

pub use app::{App, ServerSettings};
pub use cors::CorsOrigins;
pub use keys::{API_KEY_PREFIX, key_hash, new_key, new_token, sha256};
pub use listener::{ListenerSettings, serve};
pub use metrics::Metrics;
pub use openapi::document;
pub use public_url::{BadPublicUrl, PublicUrl};
pub use recordings::{ExportError, Verdict, VerifyError, export, verify};
pub use router::router;
pub use test_api::{TestBed, Unmatched, failures, operation_ids};
