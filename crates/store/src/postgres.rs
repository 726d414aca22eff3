//! The engine for production: several server processes share one database.

use crate::{
    Commit, CommitSlot, CreateOutcome, Error, NewSession, Notices, ReplicaId, Store, StoredSession,
    admission::asked,
    committer::{BatchWriter, Committer, Landed, Verdict, Write},
    rows,
};
use async_trait::async_trait;
use futures_util::TryFutureExt;
use listening::NotificationListener;
use nouns::{idempotency_keys, totals::Totals, writes};
use quarterdeck_api::{OrganizationId, SessionId, Timestamp};
use reader::Reader;
use sqlx::{
    AssertSqlSafe, Connection as _, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

type Db = sqlx::Postgres;
type Pool = PgPool;
type Connection = sqlx::PgConnection;
type Engine = PostgresStore;

/// How a transaction that writes begins.
const BEGIN: &str = "BEGIN";
/// How a query keeps the rows of `sessions s` that it finds as they are until the transaction ends.
const LOCK_SESSIONS: &str = " FOR UPDATE OF s";
/// Where in a text another one begins, from 1; 0 when nowhere.
const POSITION: &str = "strpos";

/// Counts the sessions since a mark that are settled and those that are not, and says up to where they are: whatever has
/// a lower transaction id than any that is still running is there to be seen, or never will be.
const COUNT_SINCE: &str = "SELECT \
     COUNT(*) FILTER (WHERE s.created_xid < (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)), \
     COUNT(*) FILTER (WHERE s.created_xid >= (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)), \
     (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)";
/// Which sessions are above a mark.
const SINCE: &str = " AND s.created_xid >= ";
/// The planner needs no hint.
const NO_INDEX: &str = "";

mod batch;
mod listening;
#[path = "sql/nouns.rs"]
mod nouns;
mod opening;
mod reader;
mod trouble;

/// Where changes are announced.
const CHANNEL: &str = "quarterdeck";
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a query may take, the wait for a connection included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// After which time without use a connection is asked whether it lives before it is used again.
const IDLE_PING_INTERVAL: Duration = Duration::from_secs(1);
/// Limits of each connection of the pools, set by statements: poolers refuse them as start-up options.
const SET_TIMEOUTS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '15s'";
/// How long a connection may take to say that it lives.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Notices that may wait to be looked at; beyond that, listening waits.
const NOTICE_CAPACITY: usize = 4_096;

/// Sessions in a Postgres database.
pub(crate) struct PostgresStore {
    place: String,
    pool: PgPool,
    /// Connections for batches and group reads.
    keyed: PgPool,
    committer: Committer,
    /// For what takes a slot: it is counted under a lock, for which what runs need not wait.
    beginnings: Committer,
    reader: Reader,
    totals: Totals,
}

impl PostgresStore {
    /// Connects and migrates; replicas that start at once take turns. Only a server makes the tables of an empty database
    /// (`may_make`).
    pub(crate) async fn open(
        options: PgConnectOptions,
        connections: u32,
        may_make: bool,
    ) -> Result<Self, crate::OpenError> {
        let options = named(options);
        let share = opening::prepare(&options, connections, may_make).await?;
        let keyed = pool_of(share.keyed(), LOOK_UP_BY_KEY).connect_lazy_with(options.clone());
        let place = opening::place(&options);
        let pool = pool_of(share.pool, "").connect_lazy_with(options);
        let committer = || Committer::start(Writer { pool: keyed.clone(), connection: None, crowded: None });
        let (committer, beginnings) = (committer(), committer());
        let reader = Reader::start(&keyed, share.lanes);
        Ok(Self { place, pool, keyed, committer, beginnings, reader, totals: Totals::default() })
    }

    fn reader(&self) -> &PgPool {
        &self.pool
    }

    fn writer(&self) -> &PgPool {
        &self.pool
    }

    async fn take_due(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<rows::ClaimRow>, Error> {
        let claim = sqlx::query_as(CLAIM).bind(replica.0).bind(now).bind(i64::from(limit));
        Ok(claim.fetch_all(&self.pool).await?)
    }

    async fn extend_lease(&self, replica: ReplicaId, lease: Duration) -> Result<(), Error> {
        let renew = sqlx::query(RENEW).bind(replica.0).bind(lease.as_secs_f64());
        renew.execute(&self.pool).await?;
        Ok(())
    }
}

/// The migrations that a database does not have yet.
pub(crate) async fn pending(options: PgConnectOptions) -> Result<Vec<String>, crate::OpenError> {
    opening::pending(&named(options)).await
}

/// Without start-up parameters that poolers refuse.
fn named(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("quarterdeck").extra_float_digits(None)
}

/// Rows are found by their keys, always: a plan that was made while the tables were small, and is kept for the
/// life of the connection, would go on reading all of `sessions` for every batch. And only a plain scan of an index
/// remembers which entries are dead, of which the index of slots has many.
const LOOK_UP_BY_KEY: &str = "; SET enable_seqscan = off; SET enable_bitmapscan = off";

/// A connection that comes back is asked whether it lives, which takes for ever when what was asked of it before never
/// got an answer. Such a one is given up soon, or its place in the pool would be lost until the system notices. Those
/// that lie in the pool are asked too when they may have died there: after trouble, or after a while without use.
fn pool_of(connections: u32, settings: &'static str) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let settings = AssertSqlSafe(format!("{SET_TIMEOUTS}{settings}"));
                sqlx::raw_sql(settings).execute(connection).await.map(drop)
            })
        })
        .after_release(|connection, _| Box::pin(is_alive(connection)))
        .before_acquire(|connection, meta| {
            let may_be_dead = trouble::since(meta.age) || meta.idle_for >= IDLE_PING_INTERVAL;
            Box::pin(async move { if may_be_dead { is_alive(connection).await } else { Ok(true) } })
        })
}

async fn is_alive(connection: &mut Connection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(lives) => lives.map(|()| true),
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// Begins a transaction that is alone in counting the slots of these organizations, until it ends: the locks are taken
/// before the statement whose snapshot counts, in one round trip, and in one order, so that two never wait for each
/// other. Two organizations on one lock do no harm.
fn begin_alone(organizations: &BTreeSet<OrganizationId>) -> String {
    let locks: BTreeSet<i64> = organizations.iter().map(|id| lock_of(*id)).collect();
    locks.iter().fold(BEGIN.to_owned(), |begin, lock| format!("{begin}; SELECT pg_advisory_xact_lock({lock})"))
}

/// The random half of the id.
fn lock_of(OrganizationId(id): OrganizationId) -> i64 {
    id.as_u64_pair().1.cast_signed()
}

struct Writer {
    pool: PgPool,
    connection: Option<PoolConnection<Db>>,
    /// When an organization last had no room for all that it asked for.
    crowded: Option<Instant>,
}

/// For how long creations are counted one by one after an organization had no room: to try first whether there is room
/// for all would be in vain.
const CROWDED_TTL: Duration = Duration::from_secs(1);

impl Writer {
    async fn connection(&mut self) -> Result<&mut PoolConnection<Db>, Error> {
        if let Some(connection) = self.connection.take() {
            return Ok(self.connection.insert(connection));
        }
        let connection = self.pool.acquire().await?;
        Ok(self.connection.insert(connection))
    }

    /// Whether all may be applied if there is room for all: no idempotency key has to be claimed first, and what asks for
    /// a slot is new.
    fn may_be_quick(&self, writes: &[&Write]) -> bool {
        let is_plain = |write: &&Write| match write {
            Write::Create(_) => !write.is_idempotent(),
            Write::Commit(_) => !write.asks(),
        };
        self.crowded.is_none_or(|since| since.elapsed() >= CROWDED_TTL) && writes.iter().all(is_plain)
    }
}

#[async_trait]
impl BatchWriter for Writer {
    async fn apply(&mut self, writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        let asked = asked(writes);
        let may_be_quick = self.may_be_quick(writes);
        let connection = self.connection().await?;
        if asked.is_empty() && !writes.iter().any(|write| write.is_idempotent()) {
            return batch::apply(connection, writes, vec![Verdict::Applied; writes.len()]).await;
        }
        if may_be_quick && let Some(verdicts) = batch::apply_if_room(connection, writes).await? {
            return Ok(verdicts);
        }
        let mut transaction = connection.begin_with(AssertSqlSafe(begin_alone(&asked))).await?;
        let verdicts = writes::judge(&mut transaction, writes, &asked).await?;
        let verdicts = batch::apply(&mut transaction, writes, verdicts).await?;
        transaction.commit().await?;
        if may_be_quick {
            self.crowded = Some(Instant::now());
        }
        Ok(verdicts)
    }

    async fn landed(&mut self, write: &Write) -> Result<Landed, Error> {
        let connection = self.connection().await?;
        Ok(writes::landed(connection, write).await?)
    }

    fn disconnect(&mut self) {
        trouble::note();
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// What is asked here is answered, or given up: a database that is frozen must not hold anybody for ever.
async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let result = match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::late()),
    };
    if let Err(Error::Unavailable(_)) = &result {
        trouble::note();
    }
    result
}

/// What only reads is asked once more, on another connection, when the first one turns out to be dead: a database that
/// was restarted costs its readers nothing once it is back.
async fn read<T, F: Future<Output = Result<T, Error>>>(mut call: impl FnMut() -> F) -> Result<T, Error> {
    in_time(async {
        match call().await {
            Err(Error::Unavailable(_)) => {
                trouble::note();
                call().await
            }
            answered => answered,
        }
    })
    .await
}

/// `replicas` tells who lives, by the database's own clock.
const CLAIM: &str = "WITH due AS ( \
         SELECT s.id, s.owner IS NOT NULL AS taken_over FROM sessions s \
         WHERE s.due_at <= $2 AND (s.owner IS NULL OR NOT EXISTS ( \
             SELECT 1 FROM replicas r WHERE r.id = s.owner AND r.lease_expires_at > now())) \
         ORDER BY s.due_at LIMIT $3 FOR UPDATE OF s SKIP LOCKED) \
     UPDATE sessions SET owner = $1, epoch = epoch + 1, version = version + 1 FROM due \
     WHERE sessions.id = due.id \
     RETURNING sessions.id, sessions.version, sessions.projection, sessions.epoch, due.taken_over";

const RENEW: &str = "INSERT INTO replicas (id, lease_expires_at) VALUES ($1, now() + make_interval(secs => $2)) \
     ON CONFLICT (id) DO UPDATE SET lease_expires_at = excluded.lease_expires_at";

#[async_trait]
impl Store for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("Postgres, {}", self.place)
    }

    async fn ping(&self) -> Result<(), Error> {
        let setting = || async {
            let setting = sqlx::query_scalar("SELECT current_setting('transaction_read_only')");
            Ok(setting.fetch_one(&self.pool).await?)
        };
        let read_only: String = read(setting).await?;
        if read_only == "on" {
            return Err(Error::Unavailable("the database takes no writes".into()));
        }
        // The connections of group reads are others, and may be missing while the ones above are there.
        self.reader.session(SessionId(Uuid::nil())).await.map(drop)
    }

    async fn close(&self) {
        tokio::join!(self.committer.close(), self.beginnings.close());
        self.keyed.close().await;
        self.pool.close().await;
    }

    async fn create(&self, session: NewSession) -> CreateOutcome {
        self.beginnings.create(session).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        match commit.slot {
            CommitSlot::Keep => self.committer.commit(commit).await,
            CommitSlot::Take(_) | CommitSlot::Promote(_) => self.beginnings.commit(commit).await,
        }
    }

    async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, Error> {
        self.reader.session(id).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        idempotency_keys::sweep(self, now).await?;
        // Long after its sessions were taken over: a name that is gone counts as a lease that ran out.
        let forget = "DELETE FROM replicas WHERE lease_expires_at < now() - interval '1 day'";
        in_time(sqlx::query(forget).execute(&self.pool).err_into()).await?;
        Ok(())
    }

    async fn listen(&self) -> Result<Notices, Error> {
        let ear = NotificationListener::open(&self.pool).await?;
        let (sender, notices) = mpsc::channel(NOTICE_CAPACITY);
        let closed = self.pool.close_event();
        tokio::spawn(async move {
            tokio::select! {
                () = ear.forward(&sender) => {}
                () = sender.closed() => {}
                () = closed => {}
            }
        });
        Ok(notices)
    }
}
