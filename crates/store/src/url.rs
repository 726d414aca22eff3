//! Opening a store by its URL.

use crate::{Store, postgres::PostgresStore, sqlite::SqliteStore};
use std::{path::PathBuf, str::FromStr, sync::Arc};
use thiserror::Error;

/// Why a store could not be opened, in one line that names what to change.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL names no engine we have.
    #[error("unknown database URL {0:?}; use sqlite://FILE, sqlite::memory: or postgres://…")]
    UnknownUrl(String),
    /// Another server uses the file.
    #[error("another server already uses {}; stop it, or choose another --data-dir", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// A file cannot be made or opened.
    #[error("cannot open {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The database does not let us in, or does not answer.
    #[error("cannot open the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A newer version of the server made its tables.
    #[error("a newer version of the server made the database's tables (migration {0}); start that one, or a later one")]
    Newer(i64),
    /// Its tables cannot be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migration(sqlx::migrate::MigrateError),
}

impl From<sqlx::migrate::MigrateError> for OpenError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx adds variants as it likes")]
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Self::Newer(version),
            error => Self::Migration(error),
        }
    }
}

/// Opens the store at `url` and brings its tables up to date: `sqlite://FILE`, `sqlite::memory:` or
/// `postgres://user:password@host/database`.
///
/// An embedded database is taken for this process alone.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, true).await
}

/// As [`open`], for a tool that works beside a running server: an embedded database is shared with it.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open_beside(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, false).await
}

async fn open_as(url: &str, alone: bool) -> Result<Arc<dyn Store>, OpenError> {
    if url == "sqlite::memory:" {
        return Ok(Arc::new(SqliteStore::open(None, alone).await?));
    }
    if let Some(file) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
        return Ok(Arc::new(SqliteStore::open(Some(&PathBuf::from(file)), alone).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let options = sqlx::postgres::PgConnectOptions::from_str(url)?;
        return Ok(Arc::new(PostgresStore::open(options).await?));
    }
    Err(OpenError::UnknownUrl(without_secrets(url)))
}

/// A URL to be shown: without a user and a password.
pub(crate) fn without_secrets(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, place)) => format!("***@{place}"),
        None => url.to_owned(),
    }
}
