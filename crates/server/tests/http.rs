//! The server from outside: real HTTP against a server in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "http/app.rs"]
mod app;
#[path = "http/bucket.rs"]
mod bucket;
#[path = "http/delegation.rs"]
mod delegation;
#[path = "http/edges.rs"]
mod edges;
#[path = "http/environments.rs"]
mod environments;
#[path = "http/models.rs"]
mod models;
#[path = "http/polls.rs"]
mod polls;
#[path = "http/quota.rs"]
mod quota;
#[path = "http/random.rs"]
mod random;
#[path = "http/states.rs"]
mod states;
#[path = "http/stories.rs"]
mod stories;
