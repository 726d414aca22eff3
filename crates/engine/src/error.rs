//! Why a caller is refused.

use crate::ResolveError;
use quarterdeck_api::{Problem, SessionId};
use quarterdeck_core::Rejection;
use quarterdeck_environments::Refused;
use quarterdeck_store::Error;
use thiserror::Error;

/// Why a session was not created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The agent cannot be had in full.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// `parent_session_id` names no session of the caller's.
    #[error("there is no session {0:?} to be the parent")]
    UnknownParent(String),
    /// The overrides do not fit the resolved request.
    #[error("{0}")]
    Invalid(Box<Problem>),
    /// The idempotency key was used with another body.
    #[error("the Idempotency-Key was used before with another body")]
    KeyReused,
    /// This server does not let it have one of its environments.
    #[error(transparent)]
    Environment(#[from] Refused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why a command was not accepted.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// No such session, for this caller.
    #[error("there is no session {0}")]
    NotFound(SessionId),
    /// Its log has no such event.
    #[error("there is no event {1} in session {0}")]
    NoEvent(SessionId, i64),
    /// The session's rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The events on a page are too large for one answer.
    #[error("the events on this page take more than 32 MiB: ask for fewer at a time, with `size`")]
    PageTooLarge,
    /// Others kept changing the session.
    #[error("session {0} is being changed by too many at once")]
    Contended(SessionId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}
