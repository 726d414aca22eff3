//! The statements of scripts. Both engines accept the same text; this file is compiled once for each.

use super::{Engine, Result, in_time};
use crate::Scripts;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId};
use uuid::Uuid;

const KEEP: &str = "INSERT INTO scripts (hash, script) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";

/// What belongs to sessions, the sessions themselves last.
const REMOVE: [&str; 8] = [
    "DELETE FROM events WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM inbox WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM session_requests WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM session_feedback WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM event_feedback WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM shares WHERE session_id IN (SELECT id FROM sessions WHERE organization_id = $1)",
    "DELETE FROM idempotency_keys WHERE organization_id = $1",
    "DELETE FROM sessions WHERE organization_id = $1",
];

#[async_trait]
impl Scripts for Engine {
    async fn keep_script(&self, hash: &str, script: &str) -> Result<()> {
        in_time(async {
            sqlx::query(KEEP).bind(hash).bind(script).execute(self.writer()).await?;
            Ok(())
        })
        .await
    }

    async fn script(&self, hash: &str) -> Result<Option<String>> {
        in_time(async {
            let select = sqlx::query_scalar("SELECT script FROM scripts WHERE hash = $1").bind(hash);
            Ok(select.fetch_optional(self.reader()).await?)
        })
        .await
    }

    async fn remove_sessions(&self, organization: OrganizationId) -> Result<Vec<SessionId>> {
        in_time(async {
            let select = sqlx::query_scalar("SELECT id FROM sessions WHERE organization_id = $1").bind(organization.0);
            let ids: Vec<Uuid> = select.fetch_all(self.reader()).await?;
            let mut transaction = self.writer().begin().await?;
            for statement in REMOVE {
                sqlx::query(statement).bind(organization.0).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            self.totals.forget();
            Ok(ids.into_iter().map(SessionId).collect())
        })
        .await
    }
}
