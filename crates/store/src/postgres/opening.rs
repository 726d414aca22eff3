//! What is found out about a database before anything is kept in it. Each finding names its remedy.

use super::reader;
use crate::{OpenError, migrations};
use sqlx::{
    ConnectOptions, Connection as _, Error, PgConnection, Row, migrate::MigrateError, postgres::PgConnectOptions,
};
use std::{io::ErrorKind, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long a database that is just starting is waited for.
const START_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between tries to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Connections that write batches.
const COMMITTERS: u32 = 2;
/// The connection that listens, and the one that takes its place when it is dead.
const LISTENERS: u32 = 2;

/// Postgres error codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const CANNOT_CONNECT_NOW: &str = "57P03";
const TOO_MANY_CONNECTIONS: &str = "53300";
const INVALID_PASSWORD: &str = "28P01";
const INVALID_AUTHORIZATION: &str = "28000";
const INVALID_CATALOG_NAME: &str = "3D000";
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// How the connections of one server process are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Connections for all that is neither a batch nor a group read.
    pub(super) pool: u32,
    /// Group reads at once.
    pub(super) lanes: u32,
}

impl Share {
    /// The fewest connections with which everything works.
    pub(super) const MIN: u32 = LISTENERS + COMMITTERS + 2;

    /// Shares out `connections`, which are at least [`Share::MIN`].
    pub(super) fn of(connections: u32) -> Self {
        let lanes = if connections < Self::MIN + 2 { 1 } else { reader::LANES };
        Self { pool: connections.saturating_sub(LISTENERS + COMMITTERS + lanes).max(1), lanes }
    }

    /// Connections for batches and group reads.
    pub(super) fn keyed(self) -> u32 {
        COMMITTERS + self.lanes
    }
}

/// Where a database is, for people: no password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}/{database}", server(options))
}

fn server(options: &PgConnectOptions) -> String {
    format!("{}:{}", options.get_host(), options.get_port())
}

/// Connects once, checks the database, brings its tables up to date, and says how many of the `wanted` connections
/// it has room for. An empty database gets its tables only when the caller `may_make` them.
pub(super) async fn prepare(options: &PgConnectOptions, wanted: u32, may_make: bool) -> Result<Share, OpenError> {
    let (mut connection, room) = checked(options).await?;
    if !may_make && !migrations::is_ours(&mut connection).await? {
        return Err(OpenError::Empty { place: place(options) });
    }
    // A tool beside a server needs no more than one connection at once.
    let share = if may_make { share(room, wanted, options)? } else { Share { pool: 1, lanes: 1 } };
    migrate(&mut connection, options).await?;
    drop(connection.close().await);
    Ok(share)
}

/// The names of the migrations that the database does not have yet.
pub(super) async fn pending(options: &PgConnectOptions) -> Result<Vec<String>, OpenError> {
    let (mut connection, _) = checked(options).await?;
    let pending = migrations::pending_on_database(&mut connection).await?;
    drop(connection.close().await);
    Ok(pending)
}

/// A connection to a database that can be used, and for how many there is room.
async fn checked(options: &PgConnectOptions) -> Result<(PgConnection, i64), OpenError> {
    let mut connection = reach(options).await?;
    let room = look(&mut connection, options).await?;
    refuse_transaction_pooling(&mut connection, options).await?;
    migrations::refuse_foreign_database(&mut connection, &place(options)).await?;
    Ok((connection, room))
}

async fn reach(options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let begun = Instant::now();
    loop {
        match timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if may_come_up(&error) && begun.elapsed() < START_TIMEOUT => sleep(RETRY_INTERVAL).await,
            Ok(Err(error)) => return Err(explained(error, options)),
            Err(_) => {
                let cause = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(OpenError::Unreachable { server: server(options), cause });
            }
        }
    }
}

fn may_come_up(error: &Error) -> bool {
    if let Error::Io(cause) = error {
        return cause.kind() == ErrorKind::ConnectionRefused;
    }
    [CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS].contains(&&*code(error))
}

fn code(error: &Error) -> String {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
}

/// What the database said, once, with the place and the part of the URL to change.
fn explained(error: Error, options: &PgConnectOptions) -> OpenError {
    let user = options.get_username().to_owned();
    match &*code(&error) {
        TOO_MANY_CONNECTIONS => OpenError::TooFewConnections { place: place(options), room: 0, needed: Share::MIN },
        INVALID_PASSWORD | INVALID_AUTHORIZATION => OpenError::Login { server: server(options), user },
        INVALID_CATALOG_NAME => OpenError::NoDatabase {
            server: server(options),
            database: options.get_database().unwrap_or(&user).to_owned(),
        },
        _ => {
            if let Error::Io(cause) = &error {
                return OpenError::Unreachable { server: server(options), cause: cause.to_string() };
            }
            OpenError::Database(error)
        }
    }
}

/// A pooler that gives each transaction another connection loses what is set for a session, listening included. A
/// second connection inside a transaction then takes the first one's place.
async fn refuse_transaction_pooling(first: &mut PgConnection, options: &PgConnectOptions) -> Result<(), OpenError> {
    let before = backend(first).await?;
    let Ok(mut second) = options.connect().await else {
        return Ok(()); // no room for a second one, of which the next check tells
    };
    sqlx::raw_sql("BEGIN").execute(&mut second).await?;
    let other = backend(&mut second).await?;
    let after = backend(first).await?;
    drop(second.close().await);
    if before != after || before == other {
        return Err(OpenError::TransactionPooling { server: server(options) });
    }
    Ok(())
}

/// Asked in the simple protocol: what is prepared is lost by the poolers that this looks for.
async fn backend(connection: &mut PgConnection) -> Result<i32, OpenError> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}

/// What is left of the limits of role, database and server, this connection included. Superusers have no limit but the
/// server's.
const LOOK: &str = "WITH used AS (SELECT usename, datname FROM pg_stat_activity WHERE datid IS NOT NULL) \
     SELECT current_setting('server_encoding'), 1 + LEAST( \
         CASE WHEN NOT r.rolsuper AND r.rolconnlimit >= 0 \
             THEN r.rolconnlimit - (SELECT count(*) FROM used WHERE usename = r.rolname) END, \
         CASE WHEN NOT r.rolsuper AND d.datconnlimit >= 0 \
             THEN d.datconnlimit - (SELECT count(*) FROM used WHERE datname = d.datname) END, \
         current_setting('max_connections')::bigint - (SELECT count(*) FROM used) \
             - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::bigint END) \
     FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()";

/// Refuses a database that cannot hold all texts; returns how many connections it has room for. Asked while this
/// connection is the only one: one that was closed a moment ago still counts.
async fn look(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<i64, OpenError> {
    let row = sqlx::raw_sql(LOOK).fetch_one(connection).await?;
    let (encoding, room): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { place: place(options), encoding });
    }
    Ok(room)
}

fn share(room: i64, wanted: u32, options: &PgConnectOptions) -> Result<Share, OpenError> {
    let wanted = wanted.max(Share::MIN);
    let room = u32::try_from(room).unwrap_or(0);
    if room < Share::MIN {
        return Err(OpenError::TooFewConnections { place: place(options), room, needed: Share::MIN });
    }
    if room < wanted {
        let place = place(options);
        tracing::warn!(room, wanted, "{place} has room for {room} connections of the {wanted} wanted: using {room}");
    }
    Ok(Share::of(room.min(wanted)))
}

/// Who may only read and write rows can use tables that are up to date.
async fn migrate(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<(), OpenError> {
    if migrations::pending_on_database(connection).await?.is_empty() {
        return Ok(());
    }
    migrations::postgres().run(connection).await.map_err(|error| {
        if is_forbidden(&error) {
            return OpenError::MayNotMigrate { place: place(options), user: options.get_username().to_owned() };
        }
        OpenError::from(error)
    })
}

fn is_forbidden(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else { return false };
    code(cause) == INSUFFICIENT_PRIVILEGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_to_the_last_one_and_none_twice() {
        for connections in Share::MIN..64 {
            let share = Share::of(connections);
            assert_eq!(LISTENERS + share.keyed() + share.pool, connections, "{share:?}");
            assert!(share.lanes >= 1 && share.pool >= 1, "{share:?}");
        }
        assert_eq!(Share::of(18), Share { pool: 12, lanes: 2 });
    }
}
