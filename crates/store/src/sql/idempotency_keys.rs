//! The statements of idempotency keys. Both engines accept the same text; this file is compiled once for each.

use super::{Connection, Engine, in_time, read};
use crate::{
    Creation, Error, Idempotency, IdempotencyKeys, NewSession, Queued,
    committer::{Verdict, Write},
};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp};
use uuid::Uuid;

/// An idempotency key protects for 24 hours (contract: sessions, "Idempotency-Key").
const KEY_TTL: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// Keys that one statement removes: a few at a time, since who writes must not wait.
const SWEEP_MAX: u32 = 500;

const ANSWERED: &str = "SELECT request_hash, response FROM idempotency_keys \
     WHERE organization_id = $1 AND key = $2 AND created_at > $3";

const SWEEP: &str = "DELETE FROM idempotency_keys WHERE (organization_id, key) IN ( \
     SELECT organization_id, key FROM idempotency_keys WHERE created_at <= $1 LIMIT $2)";

/// What came of claiming a key inside the transaction of a batch.
type Claim<T> = std::result::Result<T, sqlx::Error>;

#[async_trait]
impl IdempotencyKeys for Engine {
    async fn answered(
        &self,
        organization: OrganizationId,
        key: &str,
        request_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Creation>, Error> {
        let answer = |(hash, response): (Vec<u8>, String)| {
            if hash == request_hash { Creation::Replayed(response) } else { Creation::KeyReused }
        };
        read(|| async {
            let answered = sqlx::query_as(ANSWERED).bind(organization.0).bind(key).bind(now - KEY_TTL);
            Ok(answered.fetch_optional(self.reader()).await?.map(answer))
        })
        .await
    }
}

/// Removes the keys whose time is over.
pub(crate) async fn sweep(engine: &Engine, now: Timestamp) -> Result<(), Error> {
    let sweep = || async {
        let sweep = sqlx::query(SWEEP).bind(now - KEY_TTL).bind(i64::from(SWEEP_MAX));
        Ok(sweep.execute(engine.writer()).await?.rows_affected())
    };
    while in_time(sweep()).await? >= u64::from(SWEEP_MAX) {}
    Ok(())
}

/// A first verdict for each write: whether it gets the key that it names.
pub(crate) async fn claim(connection: &mut Connection, writes: &[&Write]) -> Claim<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(writes.len());
    for write in writes {
        verdicts.push(match write {
            Write::Create(new) => match &new.idempotency {
                Some(idempotency) => claim_key(connection, new, idempotency).await?,
                None => Verdict::Applied,
            },
            Write::Commit(_) => Verdict::Applied,
        });
    }
    Ok(verdicts)
}

async fn claim_key(connection: &mut Connection, new: &NewSession, idempotency: &Idempotency) -> Claim<Verdict> {
    let session = &new.transition.session;
    let claimed: Option<Uuid> = sqlx::query_scalar(
        "INSERT INTO idempotency_keys (organization_id, key, request_hash, session_id, response, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (organization_id, key) DO UPDATE \
         SET request_hash = excluded.request_hash, session_id = excluded.session_id, \
             response = excluded.response, created_at = excluded.created_at \
         WHERE idempotency_keys.created_at <= $7 \
         RETURNING session_id",
    )
    .bind(session.organization.0)
    .bind(&idempotency.key)
    .bind(&idempotency.request_hash[..])
    .bind(session.id.0)
    .bind(&idempotency.response)
    .bind(session.created_at)
    .bind(session.created_at - KEY_TTL)
    .fetch_optional(&mut *connection)
    .await?;
    match claimed {
        Some(_) => Ok(Verdict::Applied),
        None => replay(connection, session.organization, idempotency).await,
    }
}

async fn replay(
    connection: &mut Connection,
    organization: OrganizationId,
    idempotency: &Idempotency,
) -> Claim<Verdict> {
    let (hash, response): (Vec<u8>, String) =
        sqlx::query_as("SELECT request_hash, response FROM idempotency_keys WHERE organization_id = $1 AND key = $2")
            .bind(organization.0)
            .bind(&idempotency.key)
            .fetch_one(connection)
            .await?;
    Ok(if hash == idempotency.request_hash { Verdict::Replayed(response) } else { Verdict::KeyReused })
}

/// A refused creation leaves its key free; a queued one repeats that it is queued.
pub(crate) async fn amend(connection: &mut Connection, writes: &[&Write], verdicts: &[Verdict]) -> Claim<()> {
    for (write, verdict) in writes.iter().zip(verdicts) {
        let (organization, Some(key)) = (write.transition().session.organization.0, write.key()) else { continue };
        match verdict {
            Verdict::Queued => {
                let response = write.queued().and_then(|queued: &Queued| queued.response.as_deref());
                sqlx::query("UPDATE idempotency_keys SET response = $3 WHERE organization_id = $1 AND key = $2")
                    .bind(organization)
                    .bind(key)
                    .bind(response.unwrap_or_default())
                    .execute(&mut *connection)
                    .await?;
            }
            Verdict::Refused(_) => {
                sqlx::query("DELETE FROM idempotency_keys WHERE organization_id = $1 AND key = $2")
                    .bind(organization)
                    .bind(key)
                    .execute(&mut *connection)
                    .await?;
            }
            Verdict::Applied | Verdict::Conflict | Verdict::Replayed(_) | Verdict::KeyReused => {}
        }
    }
    Ok(())
}
