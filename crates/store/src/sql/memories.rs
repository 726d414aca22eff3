//! The statements of memories. Both engines accept the same text; this file is compiled once for each.

use super::{BEGIN, Db, Engine, Result, in_time};
use crate::{Memories, Memory, Remembered};
use async_trait::async_trait;
use quarterdeck_api::Timestamp;
use sqlx::Transaction;

/// Counts the entries of a namespace, and locks it: writers of one namespace take turns.
const LOCK: &str = "INSERT INTO memories (organization_id, namespace, entries) VALUES ($1, $2, 0) \
     ON CONFLICT (organization_id, namespace) DO UPDATE SET entries = memories.entries \
     RETURNING entries";

const COUNT: &str = "UPDATE memories SET entries = entries + $3 WHERE organization_id = $1 AND namespace = $2";

const REPLACE: &str = "UPDATE memory_entries SET value = $4, stored_at = $5 \
     WHERE organization_id = $1 AND namespace = $2 AND key = $3";

const ADD: &str = "INSERT INTO memory_entries (organization_id, namespace, key, value, stored_at) \
     VALUES ($1, $2, $3, $4, $5)";

const REMOVE: &str = "DELETE FROM memory_entries WHERE organization_id = $1 AND namespace = $2 AND key = $3";

const RECALL: &str = "SELECT value FROM memory_entries WHERE organization_id = $1 AND namespace = $2 AND key = $3";

/// Keys sort by their bytes, so those behind a prefix are one range that begins with it.
const KEYS: &str = "SELECT key FROM memory_entries \
     WHERE organization_id = $1 AND namespace = $2 AND key >= $3 AND key > $4 \
       AND substr(key, 1, length($3)) = $3 \
     ORDER BY key LIMIT $5";

#[async_trait]
impl Memories for Engine {
    async fn recall(&self, memory: &Memory, key: &str) -> Result<Option<String>> {
        in_time(async {
            Ok(sqlx::query_scalar(RECALL)
                .bind(memory.organization.0)
                .bind(&memory.namespace)
                .bind(key)
                .fetch_optional(self.reader())
                .await?)
        })
        .await
    }

    async fn remember(
        &self,
        memory: &Memory,
        key: &str,
        value: &str,
        entries_max: u32,
        now: Timestamp,
    ) -> Result<Remembered> {
        in_time(async {
            let mut transaction = self.writer().begin_with(BEGIN).await?;
            let entries = lock(&mut transaction, memory).await?;
            if write(&mut transaction, REPLACE, memory, key, value, now).await? == 0 {
                if entries >= i64::from(entries_max) {
                    return Ok(Remembered::Full);
                }
                write(&mut transaction, ADD, memory, key, value, now).await?;
                count(&mut transaction, memory, 1).await?;
            }
            transaction.commit().await?;
            Ok(Remembered::Stored)
        })
        .await
    }

    async fn forget(&self, memory: &Memory, key: &str) -> Result<bool> {
        in_time(async {
            let mut transaction = self.writer().begin_with(BEGIN).await?;
            lock(&mut transaction, memory).await?;
            let removed = sqlx::query(REMOVE)
                .bind(memory.organization.0)
                .bind(&memory.namespace)
                .bind(key)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if removed == 0 {
                return Ok(false);
            }
            count(&mut transaction, memory, -1).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn memory_keys(&self, memory: &Memory, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        in_time(async {
            Ok(sqlx::query_scalar(KEYS)
                .bind(memory.organization.0)
                .bind(&memory.namespace)
                .bind(prefix)
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit))
                .fetch_all(self.reader())
                .await?)
        })
        .await
    }
}

async fn lock(transaction: &mut Transaction<'_, Db>, memory: &Memory) -> Result<i64> {
    Ok(sqlx::query_scalar(LOCK)
        .bind(memory.organization.0)
        .bind(&memory.namespace)
        .fetch_one(&mut **transaction)
        .await?)
}

async fn count(transaction: &mut Transaction<'_, Db>, memory: &Memory, more: i64) -> Result<()> {
    sqlx::query(COUNT)
        .bind(memory.organization.0)
        .bind(&memory.namespace)
        .bind(more)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn write(
    transaction: &mut Transaction<'_, Db>,
    text: &'static str,
    memory: &Memory,
    key: &str,
    value: &str,
    now: Timestamp,
) -> Result<u64> {
    let done = sqlx::query(text)
        .bind(memory.organization.0)
        .bind(&memory.namespace)
        .bind(key)
        .bind(value)
        .bind(now)
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected())
}
