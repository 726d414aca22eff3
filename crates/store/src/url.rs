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
    /// The database says no.
    #[error("cannot open the database: {0}")]
    Database(#[from] sqlx::Error),
    /// No database answers there.
    #[error("no database answers at {server} ({cause}); check host and port in --database-url")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        cause: String,
    },
    /// The database does not let the user in.
    #[error("the database at {server} does not let {user:?} in; check user and password in --database-url")]
    Login {
        /// Host and port.
        server: String,
        /// The user.
        user: String,
    },
    /// The server has no such database.
    #[error("there is no database {database:?} at {server}; create it, or name another one in --database-url")]
    NoDatabase {
        /// Host and port.
        server: String,
        /// The database.
        database: String,
    },
    /// Role, database or server allow too few connections.
    #[error(
        "{place} has room for {room} connections, and a server needs at least {needed}; raise the CONNECTION LIMIT of \
         role or database or max_connections, or end what else is connected"
    )]
    TooFewConnections {
        /// Host, port and database.
        place: String,
        /// How many there is room for.
        room: u32,
        /// How many it takes.
        needed: u32,
    },
    /// A database that cannot hold every character.
    #[error("{place} keeps text as {encoding}, which cannot hold every character; use a database with ENCODING 'UTF8'")]
    Encoding {
        /// Host, port and database.
        place: String,
        /// Its encoding.
        encoding: String,
    },
    /// A pooler hands out a connection for each transaction.
    #[error(
        "the pooler at {server} gives each transaction another connection, which cannot listen; connect to the \
         database itself, or set the pooler to session pooling"
    )]
    TransactionPooling {
        /// Host and port.
        server: String,
    },
    /// The tables are not up to date, and the user may not change them.
    #[error(
        "the tables of {place} must be brought up to date, and {user:?} may not do that; run `quarterdeck migrate` as \
         their owner"
    )]
    MayNotMigrate {
        /// Host, port and database.
        place: String,
        /// The user.
        user: String,
    },
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
    open_with(url, CONNECTIONS).await
}

/// Connections that a server keeps to a Postgres database, unless it is told otherwise.
pub const CONNECTIONS: u32 = 18;

/// As [`open`], with at most so many connections to a Postgres database: as many of them as it has room for, and at
/// least 6. An embedded database takes no notice.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open_with(url: &str, connections: u32) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, true, connections).await
}

/// Brings the tables of a Postgres database up to date, or, when `dry`, changes nothing. Returns the numbers of the
/// migrations that were missing. An embedded database is brought up to date by whoever opens it: it has none missing.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn migrate(url: &str, dry: bool) -> Result<Vec<i64>, OpenError> {
    match postgres_options(url)? {
        Some(options) => crate::postgres::migrate(options, dry).await,
        None => Ok(Vec::new()),
    }
}

/// As [`open`], for a tool that works beside a running server: an embedded database is shared with it.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open_beside(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, false, CONNECTIONS).await
}

async fn open_as(url: &str, alone: bool, connections: u32) -> Result<Arc<dyn Store>, OpenError> {
    if url == "sqlite::memory:" {
        return Ok(Arc::new(SqliteStore::open(None, alone).await?));
    }
    if let Some(file) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
        return Ok(Arc::new(SqliteStore::open(Some(&PathBuf::from(file)), alone).await?));
    }
    match postgres_options(url)? {
        Some(options) => Ok(Arc::new(PostgresStore::open(options, connections).await?)),
        None => Err(OpenError::UnknownUrl(without_secrets(url))),
    }
}

fn postgres_options(url: &str) -> Result<Option<sqlx::postgres::PgConnectOptions>, OpenError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Some(sqlx::postgres::PgConnectOptions::from_str(url)?));
    }
    Ok(None)
}

fn without_secrets(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, place)) => format!("***@{place}"),
        None => url.to_owned(),
    }
}
