//! The environments of a session that this process runs: opened before its first step here, kept while it is ours,
//! closed when it is let go.

mod files;
mod memory;

use crate::engine::Shared;
use async_trait::async_trait;
use files::AttachedFiles;
use futures_util::future::join_all;
use memory::StoredMemories;
use quarterdeck_agent::{Look, Toolbox};
use quarterdeck_api::{
    Agent, EnvironmentKind, ErrorCode, JsonObject, OrganizationId, Reference, SessionId, SessionRequest, ToolDefinition,
};
use quarterdeck_core::{CallError, Fault, Observation, Output};
use quarterdeck_environments::{
    Environment, OpenContext, OpenError, Order, ParkedEnvironments, Provider, Refused, Tool,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    shared: &Arc<Shared>,
    session: SessionId,
    organization: OrganizationId,
    request: &SessionRequest,
    agent: &Agent,
) -> Result<Arc<SessionTools>, Fault> {
    let context = || OpenContext {
        session,
        organization,
        runner_session_id: shared.clock.id(),
        reopened: false,
        timezone: request.timezone.clone(),
        vision: shared.runner.vision(agent),
        memories: Arc::new(StoredMemories { shared: Arc::clone(shared), organization }),
        files: Arc::new(AttachedFiles { shared: Arc::clone(shared), session }),
        parked: Arc::new(NothingParked),
    };
    let provider = &shared.settings.environments;
    let specs = agent.environments.iter().filter_map(|environment| match environment {
        Reference::Inline(spec) => Some(&**spec),
        Reference::Name(_) => None,
    });
    let opening = join_all(specs.map(|spec| async { provider.open(spec, &context()).await }));
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| {
        let seconds = OPEN_TIMEOUT.as_secs();
        unopened(&OpenError(format!("the environments did not open within {seconds} s")))
    })?;
    let environments = opened.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| unopened(&error))?;
    Ok(Arc::new(SessionTools { environments, offered: Mutex::default() }))
}

/// Nothing stays open without a worker.
#[derive(Debug)]
struct NothingParked;

#[async_trait]
impl ParkedEnvironments for NothingParked {
    async fn evict(&self, _kind: EnvironmentKind) -> bool {
        false
    }
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

    /// Nothing panics while it holds the lock.
    fn offered(&self) -> MutexGuard<'_, HashMap<String, (usize, String)>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which environments are to be looked at.
    fn places(&self, at: Look<'_>) -> Vec<usize> {
        match at {
            Look::All => (0..self.environments.len()).collect(),
            Look::After(tools) => {
                let offered = self.offered();
                tools.iter().filter_map(|tool| offered.get(*tool)).map(|(place, _)| *place).collect()
            }
        }
    }
}

#[async_trait]
impl Toolbox for SessionTools {
    async fn opening(&self) -> Vec<Observation> {
        join_all(self.environments.iter().map(|environment| environment.opening()))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn tools(&self) -> Vec<ToolDefinition> {
        let lists = join_all(self.environments.iter().map(|environment| environment.tools())).await;
        let mut offered = HashMap::new();
        let mut tools = Vec::new();
        for (place, tool) in
            lists.into_iter().enumerate().flat_map(|(place, list)| list.into_iter().map(move |tool| (place, tool)))
        {
            let name = free_name(&tool.name, &offered);
            offered.insert(name.clone(), (place, tool.name));
            tools.push(Tool { name, ..tool });
        }
        *self.offered() = offered;
        tools
    }

    fn lane(&self, name: &str) -> Option<usize> {
        let place = self.offered().get(name)?.0;
        let order = self.environments.get(place)?.order();
        (order == Order::InTurn).then_some(place)
    }

    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        let none = || CallError(format!("there is no tool {name:?}"));
        let (place, own) = self.offered().get(name).cloned().ok_or_else(none)?;
        let environment = self.environments.get(place).ok_or_else(none)?;
        environment.call(&own, arguments).await
    }

    async fn look(&self, at: Look<'_>) -> Vec<Observation> {
        let places = self.places(at);
        let looked_at = self.environments.iter().enumerate().filter(|(place, _)| places.contains(place));
        join_all(looked_at.map(|(_, environment)| environment.look())).await.into_iter().flatten().collect()
    }
}

/// Of two environments that have a tool of one name, the later gets a number; hosts take 64 characters.
fn free_name<T>(own: &str, taken: &HashMap<String, T>) -> String {
    let numbered = (2..).map(|number| format!("{}_{number}", &own[..own.floor_char_boundary(56)]));
    std::iter::once(own.to_owned()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or_default()
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
