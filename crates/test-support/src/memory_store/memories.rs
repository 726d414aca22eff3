//! What agents remember.

use super::MemoryStore;
use async_trait::async_trait;
use quarterdeck_api::Timestamp;
use quarterdeck_store::{Error, Memories, Memory, Remembered};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

/// Values by key, in namespaces.
pub(super) type Remembering = HashMap<Memory, BTreeMap<String, String>>;

#[async_trait]
impl Memories for MemoryStore {
    async fn recall(&self, memory: &Memory, key: &str) -> Result<Option<String>, Error> {
        Ok(self.tables()?.memories.get(memory).and_then(|values| values.get(key)).cloned())
    }

    async fn remember(
        &self,
        memory: &Memory,
        key: &str,
        value: &str,
        entries_max: u32,
        _now: Timestamp,
    ) -> Result<Remembered, Error> {
        let mut tables = self.tables()?;
        let values = tables.memories.entry(memory.clone()).or_default();
        if !values.contains_key(key) && values.len() >= entries_max as usize {
            return Ok(Remembered::Full);
        }
        values.insert(key.to_owned(), value.to_owned());
        Ok(Remembered::Stored)
    }

    async fn forget(&self, memory: &Memory, key: &str) -> Result<bool, Error> {
        Ok(self.tables()?.memories.get_mut(memory).is_some_and(|values| values.remove(key).is_some()))
    }

    async fn memory_keys(
        &self,
        memory: &Memory,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let tables = self.tables()?;
        let Some(values) = tables.memories.get(memory) else { return Ok(Vec::new()) };
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = values.range::<str, _>((behind, Bound::Unbounded)).map(|(key, _)| key);
        Ok(keys.filter(|key| key.starts_with(prefix)).take(limit as usize).cloned().collect())
    }
}
