//! Opening a store by its URL.

use crate::{Store, postgres::PostgresStore, sqlite::SqliteStore};
use sqlx::postgres::PgConnectOptions;
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use thiserror::Error;

/// Why a store could not be opened, in one line that names what to change.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL names no engine we have.
    #[error("unknown database URL {0:?}; use sqlite://FILE, sqlite::memory: or postgres://…")]
    UnknownUrl(String),
    /// The URL of an embedded database says something that we do not do.
    #[error("cannot use the database URL {url:?}: {why}; use sqlite://FILE or sqlite::memory:")]
    SqliteUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A tool that works beside a server never makes a store: it would be another one than the server's.
    #[error("there is no database {} yet; name the server's with --data-dir or --database-url, or start it first", path.display())]
    Absent {
        /// The file that is not there.
        path: PathBuf,
    },
    /// The same for a database on a server.
    #[error(
        "{place} holds no tables of Quarterdeck yet; name the server's database with --database-url, start the server first, or \
         run `quarterdeck migrate`"
    )]
    Empty {
        /// Host, port and database.
        place: String,
    },
    /// The database holds tables of another program, and none of ours.
    #[error(
        "{place} holds tables of another program (such as {table:?}) and none of Quarterdeck's; make a database of its own \
         and name it with --database-url or QUARTERDECK_DATABASE_URL"
    )]
    Foreign {
        /// The database.
        place: String,
        /// One of its tables.
        table: String,
    },
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
    open_as(url, true, connections, Outlives::Machine).await
}

/// As [`open`], for test suites: what is committed to a file outlives this process at once, but not the machine.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open_for_tests(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, true, CONNECTIONS, Outlives::Process).await
}

/// What committed work outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlives {
    /// A power cut: each commit waits for the disk.
    Machine,
    /// The end of the process, however it comes.
    Process,
}

/// As [`open`], for a tool that works beside a running server: an embedded database is shared with it, and none is made
/// that is not there.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn open_beside(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_as(url, false, CONNECTIONS, Outlives::Machine).await
}

async fn open_as(url: &str, alone: bool, connections: u32, outlives: Outlives) -> Result<Arc<dyn Store>, OpenError> {
    match place(url)? {
        Place::Memory => Ok(Arc::new(SqliteStore::open(None, alone, outlives).await?)),
        Place::File(file) if !alone && !file.exists() => Err(OpenError::Absent { path: file }),
        Place::File(file) => Ok(Arc::new(SqliteStore::open(Some(&file), alone, outlives).await?)),
        Place::Postgres => {
            let options = PgConnectOptions::from_str(url)?;
            Ok(Arc::new(PostgresStore::open(options, connections, alone).await?))
        }
    }
}

/// The names of the migrations that the database at `url` does not have yet; changes nothing. A file that is not there has
/// none of them.
///
/// # Errors
/// [`OpenError`], each variant with its remedy.
pub async fn pending_migrations(url: &str) -> Result<Vec<String>, OpenError> {
    match place(url)? {
        Place::Memory => Ok(Vec::new()),
        Place::File(file) => crate::sqlite::pending(&file).await,
        Place::Postgres => crate::postgres::pending(PgConnectOptions::from_str(url)?).await,
    }
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Memory,
    File(PathBuf),
    Postgres,
}

/// The file of an embedded database, if the URL names one: what lies beside it is the server's too.
///
/// # Errors
/// [`OpenError::UnknownUrl`], [`OpenError::SqliteUrl`].
pub fn database_file(url: &str) -> Result<Option<PathBuf>, OpenError> {
    Ok(match place(url)? {
        Place::File(file) => Some(file),
        Place::Memory | Place::Postgres => None,
    })
}

/// The URL of the embedded database in this file; none when the path is not UTF-8.
pub fn file_url(file: &Path) -> Option<String> {
    Some(format!("sqlite://{}", file.to_str()?.replace('%', "%25").replace('?', "%3F")))
}

fn place(url: &str) -> Result<Place, OpenError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Place::Postgres);
    }
    let rest = url.strip_prefix("sqlite:").ok_or_else(|| OpenError::UnknownUrl(without_secrets(url)))?;
    let wrong = |why| OpenError::SqliteUrl { url: url.to_owned(), why };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut in_memory = file == ":memory:";
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option {
            "mode=memory" => in_memory = true,
            "mode=rwc" | "mode=rw" => {}
            "mode=ro" => return Err(wrong("a server has to write")),
            _ => return Err(wrong("of what may follow the ?, only mode=rwc and mode=memory mean something here")),
        }
    }
    // Only what could not be written else: a path that holds another % means just that.
    let file = file.replace("%3F", "?").replace("%3f", "?").replace("%25", "%");
    match file.as_str() {
        _ if in_memory => Ok(Place::Memory),
        "" => Err(wrong("it names no file")),
        _ => Ok(Place::File(PathBuf::from(file))),
    }
}

/// A URL to be shown: without a user and a password.
pub(crate) fn without_secrets(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, place)) => format!("***@{place}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_place() {
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:?mode=memory", "sqlite://x.db?mode=memory"] {
            assert_eq!(place(url).unwrap(), Place::Memory, "{url}");
        }
        for (url, file) in [
            ("sqlite://x.db", "x.db"),
            ("sqlite:x.db", "x.db"),
            ("sqlite://x.db?mode=rwc", "x.db"),
            ("sqlite:///var/lib/x.db?mode=rw&", "/var/lib/x.db"),
            ("sqlite://what%3F/a%20b.db", "what?/a%20b.db"),
        ] {
            assert_eq!(place(url).unwrap(), Place::File(file.into()), "{url}");
        }
        for path in ["/a/b.db", "/what?/100%/%3F.db", "x.db"] {
            let url = file_url(Path::new(path)).unwrap();
            assert_eq!(place(&url).unwrap(), Place::File(path.into()), "{url}");
        }
        for url in
            ["sqlite://", "sqlite:", "sqlite://?mode=rwc", "sqlite://x.db?mode=ro", "sqlite://x.db?cache=shared", "x"]
        {
            let refused = place(url).unwrap_err().to_string();
            assert!(refused.contains("sqlite://FILE"), "{refused}");
        }
    }
}
