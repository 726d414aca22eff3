//! The session state machine.
//!
//! A pure function decides everything the contract says about a session's life: what a command or a
//! fact does to it, which events that writes, and what is refused. Handlers and workers read a
//! [`Session`], ask [`Session::command`] or [`Session::fact`], and commit the [`Transition`].
//!
//! Invariants, each held by a test in this crate:
//! - every transition that changes the status writes at least one event, or long-polls would sleep through it;
//! - events get dense indexes and timestamps that never go back;
//! - an ended session accepts nothing but a message, and a cancelled one not even that;
//! - calls owed by the client exist only while the session awaits them, or is paused while it does.
//!
//! This crate never reads a clock, makes an id, or does IO: time and ids come in as arguments.

mod cast;
mod commands;
mod delegation;
mod facts;
mod forms;
mod log;
mod observations;
mod report;
mod session;
mod state;
mod views;

pub use cast::Cast;
pub use commands::Command;
pub use delegation::{Child, ChildCall, ChildOrder, DELEGATE, Delegation, Steering};
pub use facts::Fact;
pub use forms::SKILL;
pub use log::{HOST_MEMBERS, LoggedEvent};
pub use observations::{CallError, Coordinates, FileBytes, Observation, Output, OutputFile, Picture, Vision};
pub use report::{Cost, Reply, Report};
pub use session::{AnswerGrace, Effect, Inbox, Next, Session, Settings, StepMode, Transition, Turn};
pub use state::{Ending, ForceReason, OpenStep, Phase, Rejection, Resumption, SessionFailure, State};
pub use views::{error_sentence, sentence_without_cause};

#[cfg(test)]
mod tests;
