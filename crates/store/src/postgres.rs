//! The engine for production: several server processes share one database.

use crate::{
    Backlog, Caller, Claimed, Commit, CommitSlot, CreateOutcome, Creation, Error, EventFilter, KeyHash, KeyRecord,
    Lease, Listing, NewKey, NewSession, Notices, Owned, ReplicaId, SessionFilter, SessionRecord, Standing, Store,
    StoredSession, SummaryRow,
    admission::asked,
    committer::{BatchWriter, Committer, Landed, Verdict, Write},
    migrations, rows,
};
use async_trait::async_trait;
use futures_util::TryFutureExt;
use listening::Ear;
use quarterdeck_api::{OrganizationId, SessionId, Timestamp, UserMessage};
use quarterdeck_core::LoggedEvent;
use reader::Reader;
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, Connection as _, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::mpsc;
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

#[path = "sql/admission.rs"]
mod admission;
mod batch;
#[path = "sql/catalogs.rs"]
mod catalogs;
mod listening;
#[path = "sql/memories.rs"]
mod memories;
#[path = "sql/organizations.rs"]
mod organizations;
mod reader;
#[path = "sql/reads.rs"]
mod reads;
#[path = "sql/sharing.rs"]
mod sharing;
#[path = "sql/sign_ins.rs"]
mod sign_ins;
mod trouble;
#[path = "sql/writes.rs"]
mod writes;

/// Where changes are announced.
const CHANNEL: &str = "quarterdeck";
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a query may take, the wait for a connection included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for everything but batches and group reads.
const CONNECTIONS: u32 = 12;
/// Connections that write batches.
const COMMITTERS: u32 = 2;
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
    /// For what takes a slot: it is counted under a lock and takes four round trips, for which what runs need not wait.
    beginnings: Committer,
    reader: Reader,
}

impl PostgresStore {
    /// Connects and migrates; replicas that start at once take turns.
    pub(crate) async fn open(options: PgConnectOptions) -> Result<Self, crate::OpenError> {
        let place = format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_else(|| options.get_username())
        );
        let options = options.application_name("quarterdeck").options([
            ("statement_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "15s"),
        ]);
        let keyed =
            pool_of(COMMITTERS + reader::LANES).after_connect(|connection, _| Box::pin(look_up_by_key(connection)));
        let keyed = keyed.connect_lazy_with(options.clone());
        let pool = pool_of(CONNECTIONS).connect_with(options).await?;
        migrations::postgres().run(&pool).await?;
        let committer = || Committer::start(Writer { pool: keyed.clone(), connection: None });
        let (committer, beginnings) = (committer(), committer());
        let reader = Reader::start(&keyed);
        Ok(Self { place, pool, keyed, committer, beginnings, reader })
    }

    fn reader(&self) -> &PgPool {
        &self.pool
    }

    fn writer(&self) -> &PgPool {
        &self.pool
    }
}

/// A connection that comes back is asked whether it lives, which takes for ever when what was asked of it before never
/// got an answer. Such a one is given up soon, or its place in the pool would be lost until the system notices. After
/// trouble those that lie in the pool are asked too: they may be as dead as the one that was found out.
fn pool_of(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_release(|connection, _| Box::pin(is_alive(connection)))
        .before_acquire(|connection, meta| {
            let may_be_dead = trouble::since(meta.age);
            Box::pin(async move { if may_be_dead { is_alive(connection).await } else { Ok(true) } })
        })
}

async fn is_alive(connection: &mut Connection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(lives) => lives.map(|()| true),
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// Rows are found by their keys, always: a plan that was made while the tables were small, and is kept for the
/// life of the connection, would go on reading all of `sessions` for every batch. And only a plain scan of an index
/// remembers which entries are dead, of which the index of slots has many.
async fn look_up_by_key(connection: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET enable_seqscan = off; SET enable_bitmapscan = off").execute(connection).await?;
    Ok(())
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
}

impl Writer {
    async fn connection(&mut self) -> Result<&mut PoolConnection<Db>, Error> {
        if let Some(connection) = self.connection.take() {
            return Ok(self.connection.insert(connection));
        }
        let connection = self.pool.acquire().await?;
        Ok(self.connection.insert(connection))
    }
}

#[async_trait]
impl BatchWriter for Writer {
    async fn apply(&mut self, writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        let asked = asked(writes);
        let connection = self.connection().await?;
        if asked.is_empty() && !writes.iter().any(|write| write.is_idempotent()) {
            return batch::apply(connection, writes, vec![Verdict::Applied; writes.len()]).await;
        }
        let mut transaction = connection.begin_with(AssertSqlSafe(begin_alone(&asked))).await?;
        let verdicts = writes::judge(&mut transaction, writes, &asked).await?;
        let verdicts = batch::apply(&mut transaction, writes, verdicts).await?;
        transaction.commit().await?;
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
        let setting = sqlx::query_scalar("SELECT current_setting('transaction_read_only')");
        let read_only: String = in_time(setting.fetch_one(&self.pool).err_into()).await?;
        if read_only == "on" {
            return Err(Error::Unavailable("the database takes no writes".into()));
        }
        Ok(())
    }

    async fn close(&self) {
        tokio::join!(self.committer.close(), self.beginnings.close());
        self.keyed.close().await;
        self.pool.close().await;
    }

    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>, Error> {
        in_time(reads::caller(&self.pool, hash)).await
    }

    async fn create_key(&self, key: NewKey) -> Result<(), Error> {
        in_time(reads::create_key(&self.pool, key)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, Error> {
        in_time(reads::keys(&self.pool)).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool, Error> {
        in_time(reads::revoke_key(&self.pool, id, now)).await
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

    async fn record(&self, id: SessionId) -> Result<Option<SessionRecord>, Error> {
        in_time(reads::record(&self.pool, id)).await
    }

    async fn sessions(
        &self,
        organization: OrganizationId,
        filter: SessionFilter,
    ) -> Result<Listing<SummaryRow>, Error> {
        in_time(reads::sessions(&self.pool, organization, filter)).await
    }

    async fn standing(&self, organization: OrganizationId) -> Result<Standing, Error> {
        in_time(admission::standing(&self.pool, organization)).await
    }

    async fn live_sessions(&self) -> Result<Vec<(String, u64)>, Error> {
        in_time(admission::live_sessions(&self.pool)).await
    }

    async fn backlog(&self, default_limit: u64, count: u32) -> Result<Backlog, Error> {
        in_time(admission::backlog(&self.pool, &self.pool, default_limit, count)).await
    }

    async fn events(&self, id: SessionId, from: u64, limit: u64) -> Result<Vec<LoggedEvent>, Error> {
        in_time(reads::events(&self.pool, id, from, limit)).await
    }

    async fn events_page(&self, id: SessionId, filter: EventFilter) -> Result<Listing<Arc<RawValue>>, Error> {
        in_time(reads::events_page(&self.pool, id, filter)).await
    }

    async fn inbox(&self, id: SessionId, from: u64) -> Result<Vec<UserMessage>, Error> {
        in_time(reads::inbox(&self.pool, id, from)).await
    }

    async fn claim(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<Claimed>, Error> {
        let claim = sqlx::query_as(CLAIM).bind(replica.0).bind(now).bind(i64::from(limit));
        let claimed: Vec<rows::ClaimRow> = in_time(claim.fetch_all(&self.pool).err_into()).await?;
        let (claimed, unreadable) = rows::readable(replica, claimed);
        in_time(reads::park(&self.pool, &unreadable)).await?;
        Ok(claimed)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        in_time(reads::next_due(&self.pool)).await
    }

    async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool, Error> {
        in_time(reads::release(&self.pool, id, lease, version)).await
    }

    async fn owned(&self, replica: ReplicaId) -> Result<Vec<Owned>, Error> {
        in_time(reads::owned(&self.pool, replica)).await
    }

    async fn renew(&self, replica: ReplicaId, lease: Duration) -> Result<(), Error> {
        let renew = sqlx::query(RENEW).bind(replica.0).bind(lease.as_secs_f64());
        in_time(renew.execute(&self.pool).err_into()).await?;
        Ok(())
    }

    async fn retire(&self, replica: ReplicaId) -> Result<(), Error> {
        in_time(reads::retire(&self.pool, replica)).await
    }

    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>, Error> {
        in_time(reads::answered(&self.pool, organization, key, request_hash, now)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        while in_time(reads::sweep_keys(&self.pool, now)).await? {}
        // Long after its sessions were taken over: a name that is gone counts as a lease that ran out.
        let forget = "DELETE FROM replicas WHERE lease_expires_at < now() - interval '1 day'";
        in_time(sqlx::query(forget).execute(&self.pool).err_into()).await?;
        Ok(())
    }

    async fn listen(&self) -> Result<Notices, Error> {
        let ear = Ear::open(&self.pool).await?;
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
