//! Doubles for the tests: a throw-away Postgres, a fake model endpoint.
//!
//! Never a dependency of what ships: crates name it under `dev-dependencies` only.

pub mod fake_model;
pub mod postgres;
