//! Doubles for the tests: a throw-away Postgres, a fake model endpoint, a store in memory, a store that fails;
//! and the real binary, started.
//!
//! Never a dependency of what ships: crates name it under `dev-dependencies` only.

pub mod fake_model;
pub mod faulty_store;
pub mod habits;
pub mod memory_store;
pub mod postgres;
mod processes;
pub mod server;
