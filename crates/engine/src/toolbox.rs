//! The environments of a session that this process runs: opened before its first step here, kept while it is ours,
//! closed when it is let go.

use crate::{clock::Clock, engine::Shared};
use async_trait::async_trait;
use futures_util::future::join_all;
use quarterdeck_agent::{ToolFault, ToolOutput, ToolSpec, Toolbox};
use quarterdeck_api::{Agent, AgentEvent, ErrorCode, JsonObject, Memory as MemorySpec, OrganizationId, Reference};
use quarterdeck_core::Fault;
use quarterdeck_environments::{
    CallError, Environment, Forgotten, KeyValues, MEMORY_ENTRIES_MAX, OpenError, Provider, Refused, Tool,
};
use quarterdeck_store::{Memory, Remembered, Store};
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long environments may take to open, whatever they think themselves.
const OPEN_TIMEOUT: Duration = Duration::from_mins(1);
/// How long they may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A session's environments, open.
#[derive(Debug)]
pub(crate) struct SessionTools {
    environments: Vec<Box<dyn Environment>>,
    /// The tools as they were last offered: by their name the environment and its own name for the tool.
    offered: Mutex<HashMap<String, (usize, String)>>,
}

/// Opens the environments of an agent.
pub(crate) async fn open(
    shared: &Shared,
    organization: OrganizationId,
    agent: &Agent,
) -> Result<Arc<SessionTools>, Fault> {
    let memory = |spec: &MemorySpec| -> Arc<dyn KeyValues> {
        let memory = Memory { organization, namespace: spec.namespace.clone() };
        Arc::new(Kept { store: Arc::clone(&shared.store), clock: Arc::clone(&shared.clock), memory })
    };
    let provider = &shared.settings.environments;
    let specs = agent.environments.iter().filter_map(|environment| match environment {
        Reference::Inline(spec) => Some(&**spec),
        Reference::Name(_) => None,
    });
    let opening = join_all(specs.map(|spec| provider.open(spec, &memory)));
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| {
        let seconds = OPEN_TIMEOUT.as_secs();
        unopened(&OpenError(format!("the environments did not open within {seconds} s")))
    })?;
    let environments = opened.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| unopened(&error))?;
    Ok(Arc::new(SessionTools { environments, offered: Mutex::default() }))
}

fn unopened(error: &OpenError) -> Fault {
    Fault::because(ErrorCode::EnvironmentError, error.to_string())
}

/// Whether a session may be created with the environments of an agent in full, and of all that it may delegate to.
pub(crate) fn check(provider: &dyn Provider, agent: &Agent) -> Result<(), Refused> {
    agent.environments.iter().try_for_each(|environment| match environment {
        Reference::Inline(spec) => provider.check(spec),
        Reference::Name(_) => Ok(()),
    })?;
    agent.subagents.iter().flatten().try_for_each(|subagent| match subagent {
        Reference::Inline(subagent) => check(provider, subagent),
        Reference::Name(_) => Ok(()),
    })
}

impl SessionTools {
    /// Lets go of what the environments hold outside of this process.
    pub(crate) async fn close(&self) {
        let closing = join_all(self.environments.iter().map(|environment| environment.close()));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

#[async_trait]
impl Toolbox for SessionTools {
    fn opening_observations(&self) -> Vec<AgentEvent> {
        let told = self.environments.iter().filter_map(|environment| {
            let (source, text) = (environment.kind().as_str().to_owned(), Some(environment.opening()?));
            Some(AgentEvent::ObservationEvent { source, text, image: None, metadata: JsonObject::new() })
        });
        told.collect()
    }

    async fn tools(&self) -> Vec<ToolSpec> {
        let lists = join_all(self.environments.iter().map(|environment| environment.tools())).await;
        let mut offered = HashMap::new();
        let mut tools = Vec::new();
        for (place, tool) in
            lists.into_iter().enumerate().flat_map(|(place, list)| list.into_iter().map(move |tool| (place, tool)))
        {
            let Tool { name: own, description, input_schema: parameters } = tool;
            let name = free_name(&own, &offered);
            offered.insert(name.clone(), (place, own));
            tools.push(ToolSpec { name, description, parameters });
        }
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = offered;
        tools
    }

    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<ToolOutput, ToolFault> {
        let known = self.offered.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let none = || ToolFault(format!("there is no tool {name:?}"));
        let (place, own) = known.ok_or_else(none)?;
        let environment = self.environments.get(place).ok_or_else(none)?;
        let output = environment.call(&own, arguments).await.map_err(|CallError(cause)| ToolFault(cause))?;
        Ok(ToolOutput { result: output.result, truncated: output.truncated, images: output.images })
    }
}

/// Of two environments that have a tool of one name, the later gets a number; hosts take 64 characters.
fn free_name<T>(own: &str, taken: &HashMap<String, T>) -> String {
    let numbered = (2..).map(|number| format!("{}_{number}", &own[..own.floor_char_boundary(56)]));
    std::iter::once(own.to_owned()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or_default()
}

/// One namespace of the store.
struct Kept {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    memory: Memory,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.memory).finish()
    }
}

#[async_trait]
impl KeyValues for Kept {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken = HashMap::from([("a".to_owned(), 1), ("a_2".to_owned(), 2), ("b".repeat(64), 3)]);
        assert_eq!(free_name("c", &taken), "c");
        assert_eq!(free_name("a", &taken), "a_3");
        assert_eq!(free_name(&"b".repeat(64), &taken), "b".repeat(56) + "_2");
    }
}
