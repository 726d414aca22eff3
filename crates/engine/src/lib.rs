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
//! This crate knows no SQL and no route, and decides no rule of a session's life. Of HTTP it knows the addresses of
//! sessions' files, which stand in the log, and the body that refuses a specification which is wrong as a whole.

mod background;
mod catalog;
mod clock;
mod engine;
mod environments;
mod error;
mod heavy;
mod latest;
mod leased_session;
mod media;
mod meter;
mod notifier;
mod sessions;
mod settings;
mod shared;
mod time_travel;
mod virtual_clock;
mod worker;

pub use catalog::{BuiltIn, Catalog, CatalogError, Found, Item, ResolveError, Resolved, UnknownName};
pub use clock::{Clock, SystemClock};
pub use engine::Engine;
pub use error::{CreateError, SubmitError};
pub use heavy::heavy;
/// What [`EngineSettings::answer_grace`] is.
pub use quarterdeck_core::AnswerGrace;
/// Why [`CreateError::Environment`]; the edge gives each its status.
pub use quarterdeck_environments::Refused;
pub use sessions::{
    Changes, ChangesQuery, Created, IdempotencyKey, Preparation, Prepared, Quota, Repeatable, Sessions, SharedSession,
};
pub use settings::EngineSettings;
pub use shared::Moved;
pub use time_travel::{Journey, Target};
pub use virtual_clock::VirtualClock;
