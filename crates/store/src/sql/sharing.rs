//! The statements of feedback and shares. Both engines accept the same text; this file is compiled once for each.

use super::{Engine, Result, in_time};
use crate::{
    Rated, Rating, Share, Sharing,
    rows::{self, RatingRow},
};
use async_trait::async_trait;
use quarterdeck_api::SessionId;
use uuid::Uuid;

const RATE_SESSION: &str = "INSERT INTO session_feedback (session_id, user_id, body, given_at) \
     VALUES ($1, $2, $3, $4) \
     ON CONFLICT (session_id) DO UPDATE \
     SET user_id = excluded.user_id, body = excluded.body, given_at = excluded.given_at";

const RATE_EVENT: &str = "INSERT INTO event_feedback (session_id, event_index, user_id, body, given_at) \
     VALUES ($1, $5, $2, $3, $4) \
     ON CONFLICT (session_id, event_index) DO UPDATE \
     SET user_id = excluded.user_id, body = excluded.body, given_at = excluded.given_at";

/// An update that changes nothing makes the statement return the row that was there before.
const SHARE: &str = "INSERT INTO shares (session_id, token, shared_by, shared_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (session_id) DO UPDATE SET token = shares.token \
     RETURNING token";

#[async_trait]
impl Sharing for Engine {
    async fn rate(&self, rated: Rated, rating: Rating) -> Result<()> {
        in_time(async {
            let (text, session, index) = match rated {
                Rated::Session(session) => (RATE_SESSION, session, None),
                Rated::Event(session, index) => (RATE_EVENT, session, Some(rows::int(index))),
            };
            let mut query = sqlx::query(text)
                .bind(session.0)
                .bind(rating.author.0)
                .bind(rows::json(&rating.feedback))
                .bind(rating.at);
            if let Some(index) = index {
                query = query.bind(index);
            }
            query.execute(self.writer()).await?;
            Ok(())
        })
        .await
    }

    async fn rating(&self, rated: Rated) -> Result<Option<Rating>> {
        in_time(async {
            let row: Option<RatingRow> = match rated {
                Rated::Session(session) => {
                    sqlx::query_as(
                        "SELECT session_id, user_id, body, given_at FROM session_feedback WHERE session_id = $1",
                    )
                    .bind(session.0)
                    .fetch_optional(self.reader())
                    .await?
                }
                Rated::Event(session, index) => {
                    sqlx::query_as(
                        "SELECT session_id, user_id, body, given_at FROM event_feedback \
                     WHERE session_id = $1 AND event_index = $2",
                    )
                    .bind(session.0)
                    .bind(rows::int(index))
                    .fetch_optional(self.reader())
                    .await?
                }
            };
            row.map(rows::rating).transpose()
        })
        .await
    }

    async fn share(&self, share: Share) -> Result<String> {
        in_time(async {
            Ok(sqlx::query_scalar(SHARE)
                .bind(share.session.0)
                .bind(share.token)
                .bind(share.author.0)
                .bind(share.at)
                .fetch_one(self.writer())
                .await?)
        })
        .await
    }

    async fn unshare(&self, session: SessionId) -> Result<()> {
        in_time(async {
            sqlx::query("DELETE FROM shares WHERE session_id = $1").bind(session.0).execute(self.writer()).await?;
            Ok(())
        })
        .await
    }

    async fn is_public(&self, session: SessionId) -> Result<bool> {
        in_time(async {
            Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM shares WHERE session_id = $1)")
                .bind(session.0)
                .fetch_one(self.reader())
                .await?)
        })
        .await
    }

    async fn session_of_share(&self, token: &str) -> Result<Option<SessionId>> {
        in_time(async {
            let id: Option<Uuid> = sqlx::query_scalar("SELECT session_id FROM shares WHERE token = $1")
                .bind(token)
                .fetch_optional(self.reader())
                .await?;
            Ok(id.map(SessionId))
        })
        .await
    }
}
