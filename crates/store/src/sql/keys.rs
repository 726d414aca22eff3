//! The statements of keys. Both engines accept the same text; this file is compiled once for each.

use super::{Engine, Result, in_time, read};
use crate::{
    Caller, KeyHash, KeyRecord, Keys, NewKey,
    rows::{self, KeyRow},
};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp, UserId};
use uuid::Uuid;

const CALLER: &str = "SELECT organization_id, user_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";

const ADD_ORGANIZATION: &str =
    "INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";

const ADD_USER: &str = "INSERT INTO users (id, organization_id, name, created_at) \
     SELECT $1, id, $2, $3 FROM organizations WHERE name = $4 ON CONFLICT (organization_id, name) DO NOTHING";

const ADD_KEY: &str = "INSERT INTO api_keys (id, organization_id, user_id, hash, prefix, created_at) \
     SELECT $1, o.id, u.id, $2, $3, $4 FROM organizations o JOIN users u ON u.organization_id = o.id \
     WHERE o.name = $5 AND u.name = $6 ON CONFLICT (hash) DO NOTHING";

const KEYS: &str = "SELECT k.id, o.name, u.name, k.prefix, k.created_at, k.revoked_at FROM api_keys k \
     JOIN organizations o ON o.id = k.organization_id JOIN users u ON u.id = k.user_id \
     ORDER BY k.created_at, k.id";

const REVOKE: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

#[async_trait]
impl Keys for Engine {
    async fn caller(&self, hash: KeyHash) -> Result<Option<Caller>> {
        read(|| async {
            let row: Option<(Uuid, Uuid)> =
                sqlx::query_as(CALLER).bind(&hash.0[..]).fetch_optional(self.reader()).await?;
            Ok(row
                .map(|(organization, user)| Caller { organization: OrganizationId(organization), user: UserId(user) }))
        })
        .await
    }

    async fn create_key(&self, key: NewKey) -> Result<()> {
        in_time(async {
            let [key_id, organization_id, user_id] = key.ids;
            let mut transaction = self.writer().begin().await?;
            sqlx::query(ADD_ORGANIZATION)
                .bind(organization_id)
                .bind(&key.organization)
                .bind(key.created_at)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(ADD_USER)
                .bind(user_id)
                .bind(&key.user)
                .bind(key.created_at)
                .bind(&key.organization)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(ADD_KEY)
                .bind(key_id)
                .bind(&key.hash.0[..])
                .bind(&key.prefix)
                .bind(key.created_at)
                .bind(&key.organization)
                .bind(&key.user)
                .execute(&mut *transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>> {
        read(|| async {
            let rows: Vec<KeyRow> = sqlx::query_as(KEYS).fetch_all(self.reader()).await?;
            Ok(rows.into_iter().map(rows::key).collect())
        })
        .await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        in_time(async {
            let done = sqlx::query(REVOKE).bind(id).bind(now).execute(self.writer()).await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }
}
