//! Scripts, and clean slates.

use super::MemoryStore;
use async_trait::async_trait;
use quarterdeck_api::{OrganizationId, SessionId};
use quarterdeck_store::{Error, Scripts};

#[async_trait]
impl Scripts for MemoryStore {
    async fn keep_script(&self, hash: &str, script: &str) -> Result<(), Error> {
        self.tables()?.scripts.entry(hash.to_owned()).or_insert_with(|| script.to_owned());
        Ok(())
    }

    async fn script(&self, hash: &str) -> Result<Option<String>, Error> {
        Ok(self.tables()?.scripts.get(hash).cloned())
    }

    async fn remove_sessions(&self, organization: OrganizationId) -> Result<Vec<SessionId>, Error> {
        let mut tables = self.tables()?;
        let is_theirs = |row: &super::tables::Row| row.session.organization == organization;
        let ids = tables.rows.values().filter(|row| is_theirs(row)).map(|row| row.session.id).collect();
        tables.rows.retain(|_, row| !is_theirs(row));
        tables.idempotency.retain(|(owner, _), _| *owner != organization.0);
        Ok(ids)
    }
}
