//! What can go wrong in a store; each variant is a decision somebody can take.

use crate::Refusal;
use quarterdeck_api::SessionId;
use std::borrow::Cow;
use thiserror::Error;

/// A failed store operation. Nothing of it was kept, unless the text says otherwise.
#[derive(Debug, Error)]
pub enum Error {
    /// Somebody committed first: read again and decide again.
    #[error("session {0} has changed since it was read")]
    Conflict(SessionId),
    /// The organization has no slot for it now.
    #[error(transparent)]
    Refused(Refusal),
    /// The database cannot be reached, or does not answer in time: try again later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk is full or cannot be written.
    #[error("the database cannot write to its disk: {0}")]
    DiskFull(String),
    /// More commits wait than the queue holds: try again later.
    #[error("too many commits are waiting")]
    Overloaded,
    /// A stored row cannot be read.
    #[error("row {id} of table {table} cannot be read: {cause}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// The place for blobs cannot be reached or written: try again later.
    #[error("the place for blobs failed")]
    Blobs(#[source] object_store::Error),
}

impl Error {
    /// A database that takes the question and never answers is as good as away.
    pub(crate) fn late() -> Self {
        Self::Unavailable("the database did not answer in time".into()).counted()
    }

    /// The same for another caller of one query. What only one of them can be told is told to all as a text.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Conflict(id) => Self::Conflict(*id),
            Self::Refused(refusal) => Self::Refused(*refusal),
            Self::Unavailable(cause) => Self::Unavailable(cause.clone()),
            Self::DiskFull(cause) => Self::DiskFull(cause.clone()),
            Self::Overloaded => Self::Overloaded,
            Self::Corrupt { table, id, cause } => Self::Corrupt { table, id: id.clone(), cause: cause.clone() },
            Self::Database(cause) => Self::Database(sqlx::Error::Protocol(cause.to_string())),
            Self::Blobs(cause) => Self::Unavailable(cause.to_string()),
        }
    }

    /// What the database said no to is counted where it is heard.
    fn counted(self) -> Self {
        metrics::counter!("quarterdeck_store_errors_total", "kind" => self.kind()).increment(1);
        self
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::DiskFull(_) => "disk_full",
            Self::Overloaded => "overloaded",
            Self::Corrupt { .. } => "corrupt",
            Self::Database(_) => "database",
            Self::Blobs(_) => "blobs",
        }
    }

    /// Whether the same call may go through later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::DiskFull(_) | Self::Overloaded | Self::Blobs(_) => true,
            Self::Conflict(_) | Self::Refused(_) | Self::Corrupt { .. } | Self::Database(_) => false,
        }
    }
}

/// `SQLite` primary result codes: <https://www.sqlite.org/rescode.html>.
const SQLITE_BUSY: i32 = 5;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_FULL: i32 = 13;

impl From<sqlx::Error> for Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx adds variants as it likes; all others are faults of ours")]
    fn from(error: sqlx::Error) -> Self {
        let ours = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => match database.code().map(Cow::into_owned) {
                Some(code) => by_code(&code, error),
                None => Self::Database(error),
            },
            _ => Self::Database(error),
        };
        ours.counted()
    }
}

fn by_code(code: &str, error: sqlx::Error) -> Error {
    match code {
        // Postgres: connection exceptions, operator intervention, out of memory or connections, read-only.
        _ if code.len() == 5 && ["08", "57"].contains(&&code[..2]) => Error::Unavailable(error.to_string()),
        "53200" | "53300" | "25006" | "40001" | "40P01" | "55P03" => Error::Unavailable(error.to_string()),
        "53100" => Error::DiskFull(error.to_string()),
        // Postgres codes have five characters, and some of them are all digits.
        _ if code.len() >= 5 => Error::Database(error),
        _ => match code.parse::<i32>().map(|code| code & 0xff) {
            Ok(SQLITE_BUSY) => Error::Unavailable(error.to_string()),
            Ok(SQLITE_FULL | SQLITE_READONLY | SQLITE_IOERR) => Error::DiskFull(error.to_string()),
            _ => Error::Database(error),
        },
    }
}
