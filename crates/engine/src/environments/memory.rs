//! What environments of kind `memory` remember, kept by the store.

use crate::{clock::Clock, shared::Shared};
use async_trait::async_trait;
use quarterdeck_api::{Memory as MemorySpec, OrganizationId};
use quarterdeck_core::CallError;
use quarterdeck_environments::{Forgotten, KeyValues, MEMORY_ENTRIES_MAX, Memories};
use quarterdeck_store::{Memory, Remembered, Store};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// The memories of an organization.
pub(super) struct StoredMemories {
    pub(super) shared: Arc<Shared>,
    pub(super) organization: OrganizationId,
}

impl fmt::Debug for StoredMemories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredMemories").field(&self.organization).finish()
    }
}

impl Memories for StoredMemories {
    fn memory(&self, spec: &MemorySpec) -> Arc<dyn KeyValues> {
        let memory = Memory { organization: self.organization, namespace: spec.namespace.clone() };
        let (store, clock) = (Arc::clone(&self.shared.store), Arc::clone(&self.shared.clock));
        Arc::new(StoredMemory { store, clock, memory })
    }
}

/// One namespace of the store.
struct StoredMemory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    memory: Memory,
}

impl fmt::Debug for StoredMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredMemory").field(&self.memory).finish()
    }
}

#[async_trait]
impl KeyValues for StoredMemory {
    async fn get(&self, key: &str) -> Result<Option<Value>, CallError> {
        let text = self.store.recall(&self.memory, key).await.map_err(|error| away(&error))?;
        let value = text.map(|text| serde_json::from_str(&text)).transpose();
        value.map_err(|_| CallError("what is remembered under this key cannot be read".into()))
    }

    async fn set(&self, key: &str, value: &Value) -> Result<(), CallError> {
        let (value, now) = (value.to_string(), self.clock.now());
        match self.store.remember(&self.memory, key, &value, MEMORY_ENTRIES_MAX, now).await {
            Ok(Remembered::Stored) => Ok(()),
            Ok(Remembered::Full) => Err(CallError(format!(
                "the memory is full: it holds {MEMORY_ENTRIES_MAX} entries; delete some before you add new ones"
            ))),
            Err(error) => Err(away(&error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<Forgotten, CallError> {
        let removed = self.store.forget(&self.memory, key).await.map_err(|error| away(&error))?;
        Ok(if removed { Forgotten::Removed } else { Forgotten::Unknown })
    }

    async fn keys(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, CallError> {
        self.store.memory_keys(&self.memory, prefix, after, limit).await.map_err(|error| away(&error))
    }
}

fn away(error: &quarterdeck_store::Error) -> CallError {
    tracing::warn!(%error, "a memory cannot be reached");
    CallError("the memory cannot be reached right now; whether the call took effect is unknown".into())
}
