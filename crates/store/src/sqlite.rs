//! The embedded engine: one file, one process, one writer.

use crate::{
    Commit, CreateOutcome, Error, NewSession, Notices, ReplicaId, Store, StoredSession,
    committer::{BatchWriter, Committer, Landed, Verdict, Write},
    migrations, private, rows,
    url::Outlives,
};
use async_trait::async_trait;
use nouns::{idempotency_keys, totals::Totals, writes};
use quarterdeck_api::{SessionId, Timestamp};
use sqlx::{
    Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};

type Db = sqlx::Sqlite;
type Pool = SqlitePool;
type Connection = sqlx::SqliteConnection;
type Engine = SqliteStore;

/// How a transaction that writes begins: one that begins reading may find that it can no longer write.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// How a query keeps the rows of `sessions s` that it finds as they are: whoever writes is alone anyway.
const LOCK_SESSIONS: &str = "";
/// Where in a text another one begins, from 1; 0 when nowhere.
const POSITION: &str = "instr";

/// Counts the sessions since a mark that are settled and those that are not, and says up to where they are. There is one
/// writer, so that rows are numbered as they are committed.
const COUNT_SINCE: &str = "SELECT COUNT(*), 0, COALESCE((SELECT MAX(rowid) FROM sessions), 0)";
/// Which sessions are above a mark.
const SINCE: &str = " AND s.rowid > ";
/// Before a column, keeps its index out of the plan.
const NO_INDEX: &str = "+";

mod batch;
#[path = "sql/nouns.rs"]
mod nouns;

/// Connections that only read; `SQLite` serves them beside the writer.
const READERS: u32 = 4;
/// How long a write shows that others will go through.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a statement waits for a lock that a foreign process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sessions in one `SQLite` file, or in memory.
pub(crate) struct SqliteStore {
    place: String,
    read: SqlitePool,
    write: SqlitePool,
    committer: Committer,
    totals: Totals,
    file: Option<PathBuf>,
    /// When a ping last wrote.
    written_at: Mutex<Option<Instant>>,
    /// Held while the store is open: a second server on the same file would split the waiters.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens (and makes) the file; none: in memory, gone with the process.
    /// `alone` keeps other servers out; a tool beside a server does without.
    pub(crate) async fn open(file: Option<&Path>, alone: bool, outlives: Outlives) -> Result<Self, crate::OpenError> {
        let lock = file.filter(|_| alone).map(lock).transpose()?;
        let options =
            SqliteConnectOptions::new().foreign_keys(true).busy_timeout(BUSY_TIMEOUT).statement_cache_capacity(512);
        if let Some(file) = file {
            take_for_this_user(file)?;
        }
        let (read, write) = match file {
            Some(file) => open_file(options.filename(file), outlives).await?,
            None => open_memory(options).await?,
        };
        migrations::refuse_foreign_file(&write, file).await?;
        migrations::sqlite().run(&write).await?;
        let committer = Committer::start(Writer { pool: write.clone() });
        let place = file.map_or_else(|| "in memory".to_owned(), |file| file.display().to_string());
        let file = file.map(Path::to_owned);
        let totals = Totals::default();
        Ok(Self { place, read, write, committer, totals, file, written_at: Mutex::default(), _lock: lock })
    }

    fn reader(&self) -> &SqlitePool {
        &self.read
    }

    fn writer(&self) -> &SqlitePool {
        &self.write
    }

    async fn take_due(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<rows::ClaimRow>, Error> {
        let due: bool = sqlx::query_scalar(ANY_DUE).bind(replica.0).bind(now).fetch_one(&self.read).await?;
        if !due {
            return Ok(Vec::new());
        }
        let mut transaction = self.write.begin_with(BEGIN).await?;
        let taken: Vec<rows::ClaimRow> =
            sqlx::query_as(FREE).bind(replica.0).bind(now).bind(limit).fetch_all(&mut *transaction).await?;
        for (id, ..) in &taken {
            sqlx::query(TAKE).bind(replica.0).bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(taken)
    }

    /// Nobody else could take over, so there is nothing to extend.
    #[expect(clippy::unused_async, reason = "the other engine waits here")]
    async fn extend_lease(&self, _replica: ReplicaId, _lease: Duration) -> Result<(), Error> {
        Ok(())
    }
}

/// `SQLite` ends a transaction by itself when the disk is full. The driver does not notice, and would begin the next one
/// inside it, for ever: such a connection is not used again.
async fn open_file(options: SqliteConnectOptions, outlives: Outlives) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    let synchronous = match outlives {
        Outlives::Machine => SqliteSynchronous::Full,
        Outlives::Process => SqliteSynchronous::Off,
    };
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .locking_mode(SqliteLockingMode::Normal);
    let write = pool(1).before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }));
    let write = write.connect_with(options.clone()).await?;
    let read = pool(READERS).connect_lazy_with(options.read_only(true));
    Ok((read, write))
}

/// A memory database belongs to its connection: one for everything, and it must never be closed.
async fn open_memory(options: SqliteConnectOptions) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    let pool = pool(1).min_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options.in_memory(true).journal_mode(SqliteJournalMode::Memory)).await?;
    Ok((pool.clone(), pool))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).test_before_acquire(false).acquire_timeout(BUSY_TIMEOUT)
}

/// The migrations that a file does not have yet.
pub(crate) async fn pending(file: &Path) -> Result<Vec<String>, crate::OpenError> {
    if !file.exists() {
        return Err(crate::OpenError::Absent { path: file.to_owned() });
    }
    let pool = pool(1).connect_with(SqliteConnectOptions::new().filename(file).read_only(true)).await?;
    let pending = migrations::pending_on_file(&pool).await;
    pool.close().await;
    pending
}

/// The database holds secrets, and so does what SQLite keeps beside it, which gets the rights of the database itself.
fn take_for_this_user(file: &Path) -> Result<(), crate::OpenError> {
    let failed = |cause| crate::OpenError::File { path: file.to_owned(), cause };
    private::make_file(file).map_err(failed)?;
    for suffix in ["-wal", "-shm", "-journal"] {
        private::close_to_others(&beside(file, suffix)).map_err(failed)?;
    }
    Ok(())
}

/// The file that is called like the database with something behind.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

fn lock(file: &Path) -> Result<File, crate::OpenError> {
    let path = beside(file, ".lock");
    let lock = private::make_file(&path).map_err(|cause| crate::OpenError::File { path: path.clone(), cause })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(crate::OpenError::Locked { path: file.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(crate::OpenError::File { path, cause }),
    }
}

/// `SQLite` answers, or fails by itself: a lock is waited for as long as `BUSY_TIMEOUT` says.
async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    call.await
}

/// What only reads needs no second try: a file is not restarted.
async fn read<T, F: Future<Output = Result<T, Error>>>(call: impl FnOnce() -> F) -> Result<T, Error> {
    call().await
}

struct Writer {
    pool: SqlitePool,
}

#[async_trait]
impl BatchWriter for Writer {
    async fn apply(&mut self, writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin_with(BEGIN).await?;
        let verdicts = batch::apply(&mut transaction, writes).await?;
        transaction.commit().await?;
        Ok(verdicts)
    }

    async fn landed(&mut self, write: &Write) -> Result<Landed, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(writes::landed(&mut connection, write).await?)
    }

    fn disconnect(&mut self) {}
}

/// Only one process uses the file, so every other owner is a past life of it. An update returns what it wrote, so
/// who owned a session before is read first.
const FREE: &str = "SELECT id, version + 1, projection, epoch + 1, owner IS NOT NULL FROM sessions \
     WHERE due_at <= $2 AND (owner IS NULL OR owner <> $1) ORDER BY due_at LIMIT $3";

const TAKE: &str = "UPDATE sessions SET owner = $1, epoch = epoch + 1, version = version + 1 WHERE id = $2";

const ANY_DUE: &str = "SELECT EXISTS (SELECT 1 FROM sessions WHERE due_at <= $2 AND (owner IS NULL OR owner <> $1))";

#[async_trait]
impl Store for SqliteStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("SQLite, {}", self.place)
    }

    /// Writes, too: a disk that is full can still be read. Whoever asks often costs one small write a second.
    async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        let Some(file) = &self.file else { return Ok(()) };
        let mut written_at = self.written_at.lock().await;
        if written_at.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL) {
            let probe = beside(file, ".probe");
            let written = tokio::task::spawn_blocking(move || private::probe(&probe)).await;
            written.map_err(std::io::Error::other).flatten().map_err(|error| Error::DiskFull(error.to_string()))?;
            *written_at = Some(Instant::now());
        }
        Ok(())
    }

    async fn close(&self) {
        self.committer.close().await;
        self.read.close().await;
        self.write.close().await;
    }

    async fn create(&self, session: NewSession) -> CreateOutcome {
        self.committer.create(session).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        self.committer.commit(commit).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, Error> {
        let read = sqlx::query_as("SELECT version, projection, owner, epoch FROM sessions WHERE id = $1").bind(id.0);
        let row: Option<rows::SessionRow> = read.fetch_optional(&self.read).await?;
        row.map(|row| rows::stored(id.0, &row)).transpose()
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        idempotency_keys::sweep(self, now).await
    }

    /// Nobody else writes: the channel stays open and silent.
    async fn listen(&self) -> Result<Notices, Error> {
        let (sender, notices) = mpsc::channel(1);
        tokio::spawn(async move { sender.closed().await });
        Ok(notices)
    }
}

#[cfg(test)]
mod tests;
