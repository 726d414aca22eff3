//! Why a catalog says no.

use super::{Item, ResolveError};
use quarterdeck_api::Problem;
use quarterdeck_store::Error;
use thiserror::Error as ThisError;

/// Why a catalog says no. Changes are refused in this order: not there, reserved, stale, invalid.
#[derive(Debug, ThisError)]
pub enum CatalogError {
    /// The caller has no such entry.
    #[error("there is no {noun} named {name:?}")]
    NotFound {
        /// What it would be.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// The agent never had this revision.
    #[error("the agent {name:?} has no revision {number}")]
    NoRevision {
        /// The agent.
        name: String,
        /// The revision.
        number: i64,
    },
    /// The name is the server's own: what is built in cannot be changed, nor anything be put beside it.
    #[error("the {noun} {name:?} is the server's own and cannot be changed; names that begin with `h/` are reserved")]
    Reserved {
        /// What it is.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one of that name already.
    #[error("there is already a {noun} named {name:?}")]
    Taken {
        /// What it is.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// Somebody changed it since the version that was asked for.
    #[error("the {noun} {name:?} has changed: it is at revision {current}")]
    Stale {
        /// What it is.
        noun: &'static str,
        /// Its name.
        name: String,
        /// Its version now.
        current: i64,
    },
    /// Body and path name different entries.
    #[error("the path names {path:?}, the body {body:?}")]
    Misnamed {
        /// The path's.
        path: String,
        /// The body's.
        body: String,
    },
    /// What would come out breaks a rule.
    #[error("{0}")]
    Invalid(Box<Problem>),
    /// A page would be too large, because of these.
    #[error("the {0} on this page are too large together; ask for fewer, if need be with `size=1`")]
    TooLarge(&'static str),
    /// Others kept changing it.
    #[error("the {noun} {name:?} is being changed by too many at once")]
    Contended {
        /// What it is.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// What it names cannot be put in its place.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl CatalogError {
    pub(super) fn not_found<T: Item>(name: &str) -> Self {
        Self::NotFound { noun: T::NOUN, name: name.to_owned() }
    }

    pub(super) fn reserved<T: Item>(name: &str) -> Self {
        Self::Reserved { noun: T::NOUN, name: name.to_owned() }
    }
}

impl From<Problem> for CatalogError {
    fn from(problem: Problem) -> Self {
        Self::Invalid(Box::new(problem))
    }
}
