//! The statements of leases. Both engines accept the same text; this file is compiled once for each. Who lives, and how a
//! session that nobody runs is taken, each engine knows in its own way (`take_due`, `extend_lease`).

use super::{Engine, Pool, Result, in_time, read};
use crate::{Claimed, Lease, Leases, Owned, ReplicaId, rows};
use async_trait::async_trait;
use quarterdeck_api::{SessionId, Timestamp};
use std::time::Duration;
use uuid::Uuid;

const NEXT_DUE: &str = "SELECT MIN(due_at) FROM sessions WHERE due_at IS NOT NULL AND owner IS NULL";

const RELEASE: &str = "UPDATE sessions SET owner = NULL, version = version + 1 \
     WHERE id = $1 AND owner = $2 AND epoch = $3 AND version = $4";

const OWNED: &str =
    "SELECT id, epoch, version FROM sessions WHERE due_at IS NOT NULL AND owner = $1 ORDER BY due_at, id";

/// What somebody has to look at. All else is asked for by a command, and claimed then: its owner is gone.
const LET_GO: &str = "UPDATE sessions SET owner = NULL, version = version + 1 WHERE due_at IS NOT NULL AND owner = $1";

#[async_trait]
impl Leases for Engine {
    async fn claim(&self, replica: ReplicaId, now: Timestamp, limit: u32) -> Result<Vec<Claimed>> {
        let taken = in_time(self.take_due(replica, now, limit)).await?;
        let (claimed, unreadable) = rows::readable(replica, taken);
        in_time(park(self.writer(), &unreadable)).await?;
        Ok(claimed)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        read(|| async { Ok(sqlx::query_scalar(NEXT_DUE).fetch_one(self.reader()).await?) }).await
    }

    async fn release(&self, id: SessionId, lease: Lease, version: u64) -> Result<bool> {
        in_time(async {
            let release = sqlx::query(RELEASE).bind(id.0).bind(lease.replica.0).bind(lease.epoch);
            let done = release.bind(rows::int(version)).execute(self.writer()).await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    async fn owned(&self, replica: ReplicaId) -> Result<Vec<Owned>> {
        let owned = |(id, epoch, version): (Uuid, i64, i64)| Owned {
            session: SessionId(id),
            lease: Lease { replica, epoch },
            version: version.unsigned_abs(),
        };
        read(|| async {
            let rows: Vec<_> = sqlx::query_as(OWNED).bind(replica.0).fetch_all(self.reader()).await?;
            Ok(rows.into_iter().map(owned).collect())
        })
        .await
    }

    async fn renew(&self, replica: ReplicaId, lease: Duration) -> Result<()> {
        in_time(self.extend_lease(replica, lease)).await
    }

    async fn retire(&self, replica: ReplicaId) -> Result<()> {
        in_time(async {
            sqlx::query(LET_GO).bind(replica.0).execute(self.writer()).await?;
            sqlx::query("DELETE FROM replicas WHERE id = $1").bind(replica.0).execute(self.writer()).await?;
            Ok(())
        })
        .await
    }
}

/// Nobody owns these any more, and nobody will look at them by himself.
async fn park(pool: &Pool, ids: &[Uuid]) -> Result<()> {
    for id in ids {
        let park = "UPDATE sessions SET owner = NULL, due_at = NULL, version = version + 1 WHERE id = $1";
        sqlx::query(park).bind(id).execute(pool).await?;
    }
    Ok(())
}
