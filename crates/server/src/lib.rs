//! The HTTP front: routes, authentication, the long poll, the `OpenAPI` document.
//!
//! A handler reads a request, calls the engine once, and writes the answer. It holds no rule of a session's
//! life, no SQL and no clock. Every error, whatever its cause, is the contract's error body.
//!
//! Invariant: every request that names stored things is scoped by its [`Caller`](quarterdeck_store::Caller);
//! what belongs to another organization answers like what does not exist.

mod app;
mod authentication;
mod bodies;
mod error;
mod input;
mod keys;
mod listener;
mod metrics;
mod names;
mod openapi;
mod router;
mod routes;
mod stalled;

pub use app::{App, ServerSettings};
pub use keys::{API_KEY_PREFIX, key_hash, new_key};
pub use listener::{ListenerSettings, serve};
pub use metrics::Metrics;
pub use openapi::document;
pub use router::router;
