//! The statements of organizations. Both engines accept the same text; this file is compiled once for each.

use super::{
    Engine, in_time,
    slots::{active, queued},
};
use crate::{
    Error, NewOrganization, Organization, Organizations,
    rows::{self, OrganizationRow},
};
use async_trait::async_trait;

const ALL: &str = concat!(
    "SELECT o.id, o.name, o.created_at, (SELECT COUNT(*) FROM users u WHERE u.organization_id = o.id), \
         (SELECT COUNT(*) FROM api_keys k WHERE k.organization_id = o.id AND k.revoked_at IS NULL), ",
    active!("o.id"),
    ", ",
    queued!("o.id"),
    ", o.max_concurrent_sessions FROM organizations o ORDER BY o.name"
);

#[async_trait]
impl Organizations for Engine {
    async fn create_organization(&self, organization: NewOrganization) -> Result<bool, Error> {
        in_time(async {
            let done = sqlx::query(
                "INSERT INTO organizations (id, name, max_concurrent_sessions, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING",
            )
            .bind(organization.id)
            .bind(organization.name)
            .bind(organization.limit.map(rows::int))
            .bind(organization.created_at)
            .execute(self.writer())
            .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    async fn organizations(&self) -> Result<Vec<Organization>, Error> {
        in_time(async {
            let rows: Vec<OrganizationRow> = sqlx::query_as(ALL).fetch_all(self.reader()).await?;
            Ok(rows.into_iter().map(rows::organization).collect())
        })
        .await
    }

    async fn limit_organization(&self, name: &str, limit: Option<u64>) -> Result<bool, Error> {
        in_time(async {
            let done = sqlx::query("UPDATE organizations SET max_concurrent_sessions = $2 WHERE name = $1")
                .bind(name)
                .bind(limit.map(rows::int))
                .execute(self.writer())
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }
}
