//! The engine: it runs sessions and wakes those who wait for them.
//!
//! A session is a row; a worker is a reconciler that owns the row for a while and reports facts. Handlers
//! ([`Sessions`]) and workers change a session through the same door: read, decide in the core, commit what
//! was decided, tell the waiters. A worker holds nothing that a restart could not rebuild from the store.
//!
//! Invariants:
//! - a waiter subscribes, then reads, and only then sleeps, or a commit in between would be missed;
//! - a waiter holds no database connection while it sleeps;
//! - a worker commits only under its lease, so a superseded one writes nothing.
//!
//! This crate knows neither HTTP nor SQL, and decides no rule of a session's life.

mod agents;
mod attachments;
mod catalog;
mod changes;
mod clock;
mod dispatcher;
mod engine;
mod handover;
mod heavy;
mod latest;
mod meter;
mod notifier;
mod parked;
mod pictures;
mod queue;
mod searches;
mod sessions;
mod sharing;
mod subagents;
mod toolbox;
mod visibility;
mod worker;

pub use agents::Resolved;
pub use catalog::{BuiltIn, Catalog, CatalogError, Found, Item, ResolveError, UnknownName};
pub use changes::{Changes, ChangesQuery};
pub use clock::{Clock, SystemClock};
pub use engine::{Engine, EngineSettings};
pub use heavy::heavy;
/// What [`EngineSettings::answer_grace`] is.
pub use quarterdeck_core::AnswerGrace;
/// Why [`CreateError::Environment`]; the edge gives each its status.
pub use quarterdeck_environments::Refused;
pub use sessions::{CreateError, Created, IdempotencyKey, Quota, Sessions, SubmitError};
pub use sharing::SharedSession;
