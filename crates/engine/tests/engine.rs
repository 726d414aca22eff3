//! The engine as its callers see it: sessions that run, stop, survive, and those who wait for them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "engine/commands.rs"]
mod commands;
#[path = "engine/delegation.rs"]
mod delegation;
#[path = "engine/lost_answers.rs"]
mod lost_answers;
#[path = "engine/lost_claims.rs"]
mod lost_claims;
#[path = "engine/orphans.rs"]
mod orphans;
#[path = "engine/queue.rs"]
mod queue;
#[path = "engine/recovery.rs"]
mod recovery;
#[path = "engine/repeats.rs"]
mod repeats;
#[path = "engine/replicas.rs"]
mod replicas;
#[path = "engine/runner.rs"]
mod runner;
#[path = "engine/runs.rs"]
mod runs;
#[path = "engine/team.rs"]
mod team;
#[path = "engine/waiters.rs"]
mod waiters;
#[path = "engine/world.rs"]
mod world;
