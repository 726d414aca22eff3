//! The statements of sign-ins. Both engines accept the same text; this file is compiled once for each.

use super::{Engine, Result, in_time};
use crate::{
    Caller, LINK_TTL, Proof, SIGN_IN_IDLE_TTL, SIGN_IN_TTL, SIGN_INS_PER_KEY, SignIns, SignedIn, TokenHash,
    sign_ins::USE_INTERVAL,
};
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, Timestamp, UserId};
use uuid::Uuid;

const KEY: &str = "SELECT id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";

/// Whoever deletes the link has it: of two who use it at once, one.
const TAKE_LINK: &str = "DELETE FROM sign_ins WHERE token_hash = $1 AND is_link AND created_at > $2 RETURNING key_id";

const ADD: &str = "INSERT INTO sign_ins (token_hash, key_id, is_link, created_at, used_at) \
     SELECT $1, id, $3, $4, $4 FROM api_keys WHERE id = $2 AND revoked_at IS NULL";

/// What has ended, and of a key all but the newest.
const PRUNE: &str = "DELETE FROM sign_ins WHERE created_at <= $1 OR used_at <= $2 OR (is_link AND created_at <= $3) \
     OR (key_id = $4 AND token_hash NOT IN \
         (SELECT token_hash FROM sign_ins WHERE key_id = $4 ORDER BY used_at DESC, token_hash LIMIT $5))";

const SIGNED_IN: &str = "SELECT k.organization_id, k.user_id, k.id, k.prefix, o.name, u.name, s.used_at \
     FROM sign_ins s JOIN api_keys k ON k.id = s.key_id \
     JOIN organizations o ON o.id = k.organization_id JOIN users u ON u.id = k.user_id \
     WHERE s.token_hash = $1 AND NOT s.is_link AND k.revoked_at IS NULL AND s.created_at > $2 AND s.used_at > $3";

type Row = (Uuid, Uuid, Uuid, String, String, String, Timestamp);

#[async_trait]
impl SignIns for Engine {
    async fn sign_in(&self, proof: Proof, token: TokenHash, now: Timestamp) -> Result<bool> {
        in_time(async {
            let key: Option<Uuid> = match proof {
                Proof::Operator(key) => Some(key),
                Proof::Key(hash) => sqlx::query_scalar(KEY).bind(&hash.0[..]).fetch_optional(self.reader()).await?,
                Proof::Link(link) => {
                    let take = sqlx::query_scalar(TAKE_LINK).bind(&link.0[..]).bind(now - LINK_TTL);
                    take.fetch_optional(self.writer()).await?
                }
            };
            match key {
                Some(key) => add(self, key, token, false, now).await,
                None => Ok(false),
            }
        })
        .await
    }

    async fn link_to_sign_in(&self, key: Uuid, token: TokenHash, now: Timestamp) -> Result<bool> {
        in_time(add(self, key, token, true, now)).await
    }

    async fn signed_in(&self, token: TokenHash, now: Timestamp) -> Result<Option<SignedIn>> {
        in_time(async {
            let row: Option<Row> = sqlx::query_as(SIGNED_IN)
                .bind(&token.0[..])
                .bind(now - SIGN_IN_TTL)
                .bind(now - SIGN_IN_IDLE_TTL)
                .fetch_optional(self.reader())
                .await?;
            let Some((organization_id, user_id, key_id, key_prefix, organization, user, used_at)) = row else {
                return Ok(None);
            };
            if used_at <= now - USE_INTERVAL {
                let note = sqlx::query("UPDATE sign_ins SET used_at = $2 WHERE token_hash = $1");
                note.bind(&token.0[..]).bind(now).execute(self.writer()).await?;
            }
            let caller = Caller { organization: OrganizationId(organization_id), user: UserId(user_id) };
            Ok(Some(SignedIn { caller, key_id, key_prefix, organization, user }))
        })
        .await
    }

    async fn sign_out(&self, token: TokenHash) -> Result<()> {
        in_time(async {
            let delete = sqlx::query("DELETE FROM sign_ins WHERE token_hash = $1").bind(&token.0[..]);
            delete.execute(self.writer()).await?;
            Ok(())
        })
        .await
    }

    async fn sign_out_everywhere(&self, key: Uuid) -> Result<()> {
        in_time(async {
            sqlx::query("DELETE FROM sign_ins WHERE key_id = $1").bind(key).execute(self.writer()).await?;
            Ok(())
        })
        .await
    }
}

async fn add(engine: &Engine, key: Uuid, token: TokenHash, is_link: bool, now: Timestamp) -> Result<bool> {
    let added = sqlx::query(ADD).bind(&token.0[..]).bind(key).bind(is_link).bind(now).execute(engine.writer()).await?;
    sqlx::query(PRUNE)
        .bind(now - SIGN_IN_TTL)
        .bind(now - SIGN_IN_IDLE_TTL)
        .bind(now - LINK_TTL)
        .bind(key)
        .bind(i64::from(SIGN_INS_PER_KEY))
        .execute(engine.writer())
        .await?;
    Ok(added.rows_affected() > 0)
}
