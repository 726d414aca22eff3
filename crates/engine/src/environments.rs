//! The environments of a session that this process runs: opened before its first step here, kept while it is ours,
//! then closed or parked.

mod files;
mod memory;
mod parking;

pub(crate) use parking::{give_back, is_over};

use crate::{
    leased_session::{LeasedSession, WeakLeasedSession},
    media::{address, key_of, media_type_of},
    shared::{OpenEnvironment, Shared},
};
use async_trait::async_trait;
use files::AttachedFiles;
use futures_util::future::join_all;
use memory::StoredMemories;
use parking::ParkingLot;
use quarterdeck_agent::{Look, Place, Superseded, Toolbox};
use quarterdeck_api::{
    Agent, Environment as Spec, ErrorCode, FileContent, JsonObject, Reference, SessionRequest, SourceType,
    ToolDefinition,
};
use quarterdeck_core::{CallError, Fact, FileBytes, Observation, Output, OutputFile, Session, SessionFailure};
use quarterdeck_environments::{CallOrder, OpenContext, OpenError, Provider, Refused};
use quarterdeck_store::{BlobClass, BlobName, Blobs, PutError};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::io::AsyncReadExt;
use uuid::Uuid;

/// How long environments may take to open, whatever they think themselves. They may have to wait for a place.
const OPEN_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of one such file.
const FILE_MAX_BYTES: u64 = 100 << 20;

/// A session's environments, as one of its workers uses them.
pub(crate) struct SessionTools {
    environments: Vec<Arc<OpenEnvironment>>,
    /// The number under which those are lent that may outlive the worker.
    lending: u64,
    /// The tools as they were last offered: by their name the environment and its own name for the tool.
    offered: Mutex<HashMap<String, (usize, String)>>,
    /// Where its environments' starts and files are recorded. It holds no engine: a runner may keep its toolbox.
    log: WeakLeasedSession,
}

impl fmt::Debug for SessionTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionTools").field(&self.environments).finish()
    }
}

/// Opens the environments of an agent, or takes those that were parked.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    session: &Session,
    request: &SessionRequest,
    agent: &Agent,
    log: LeasedSession,
) -> Result<Arc<SessionTools>, SessionFailure> {
    let context = OpenContext {
        session: session.id,
        organization: session.organization,
        runner_session_id: Uuid::nil(),
        reopened: false,
        timezone: request.timezone.clone(),
        vision: shared.runner.vision(agent),
        memories: Arc::new(StoredMemories { shared: Arc::clone(shared), organization: session.organization }),
        files: Arc::new(AttachedFiles { shared: Arc::clone(shared), session: session.id }),
        parked: Arc::new(ParkingLot(Arc::clone(shared))),
    };
    let parked = shared.parked.take(session.id);
    let specs = agent.environments.iter().enumerate().filter_map(|(place, environment)| match environment {
        Reference::Inline(spec) => Some((place, &**spec)),
        Reference::Name(_) => None,
    });
    let (context, parked) = (&context, &parked);
    let opening = join_all(specs.map(|(place, spec)| async move {
        if let Some(open) = parked.iter().find(|open| open.place == place) {
            return Ok(Arc::clone(open));
        }
        let reopened = session.environments.contains(&spec.kind());
        let context = OpenContext { runner_session_id: shared.clock.id(), reopened, ..context.clone() };
        open_one(&*shared.settings.environments, place, spec, &context).await
    }));
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| {
        let seconds = OPEN_TIMEOUT.as_secs();
        unopened(&OpenError(format!("the environments did not open within {seconds} s")))
    })?;
    let environments = opened.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| unopened(&error))?;
    let lending = shared.parked.lend(session.id, &environments);
    Ok(Arc::new(SessionTools { environments, lending, offered: Mutex::default(), log: log.downgrade() }))
}

async fn open_one(
    provider: &dyn Provider,
    place: usize,
    spec: &Spec,
    context: &OpenContext,
) -> Result<Arc<OpenEnvironment>, OpenError> {
    let environment = provider.open(spec, context).await?;
    Ok(Arc::new(OpenEnvironment {
        place,
        kind: spec.kind(),
        organization: context.organization,
        environment: Arc::from(environment),
        runner_session_id: context.runner_session_id,
        ids: Mutex::default(),
        announced: AtomicU32::new(0),
        looked_at: AtomicBool::new(false),
    }))
}

fn unopened(error: &OpenError) -> SessionFailure {
    SessionFailure::because(ErrorCode::EnvironmentError, error.to_string())
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
    /// What the worker gives back, and the number under which it was lent.
    pub(crate) fn lent(&self) -> (u64, Vec<Arc<OpenEnvironment>>) {
        (self.lending, self.environments.clone())
    }

    /// Puts the starts on record that the log does not name yet.
    pub(crate) async fn announce(&self) -> Result<(), Superseded> {
        for open in &self.environments {
            self.announce_one(open).await?;
        }
        Ok(())
    }

    async fn announce_one(&self, open: &OpenEnvironment) -> Result<(), Superseded> {
        let log = self.log.upgrade().ok_or(Superseded)?;
        let starts = open.environment.starts();
        for start in open.announced.load(Ordering::Relaxed)..starts {
            let id = if start == 0 { open.runner_session_id } else { log.shared().clock.id() };
            open.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            let fact = Fact::EnvironmentReady {
                runner_session_id: id,
                kind: open.kind,
                live_view_url: open.environment.live_view_url(),
            };
            log.commit(fact).await.map_err(|_| Superseded)?;
            open.announced.store(start + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes a file a resource of the session. It is durable before the log names it.
    async fn keep_file(&self, file: OutputFile) -> Result<(), CallError> {
        let log = self.log.upgrade().ok_or_else(|| CallError("the server stops".into()))?;
        let refused = |why: &str| CallError(format!("the file {:?} could not be kept: {why}", file.name));
        let media_type = file.media_type.clone().unwrap_or_else(|| media_type_of(&file.name).to_owned());
        let key = key_of(log.shared().clock.id(), &file.name, &media_type);
        let (name, source) = address(log.session(), BlobClass::Files, &key);
        let name = name.ok_or_else(|| refused("its name cannot be used"))?;
        let size = put_content(&log.shared().blobs, &name, &file.content).await.map_err(refused)?;
        let size_bytes = i64::try_from(size).ok();
        let file = FileContent {
            source_type: SourceType::Url,
            source,
            name: file.name,
            media_type: Some(media_type),
            size_bytes,
        };
        let moved = log.commit(Fact::FileMoved(file)).await;
        moved.map(drop).map_err(|_| CallError("the session moved on".into()))
    }

    /// Nothing panics while it holds the lock.
    fn offered(&self) -> MutexGuard<'_, HashMap<String, (usize, String)>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environments to look at.
    fn looked_at(&self, at: Look) -> Vec<&Arc<OpenEnvironment>> {
        let is_meant = |(number, open): &(usize, &Arc<OpenEnvironment>)| match at {
            Look::All => true,
            Look::New => !open.looked_at.load(Ordering::Relaxed),
            Look::At(place) => *number == place,
        };
        self.environments.iter().enumerate().filter(is_meant).map(|(_, open)| open).collect()
    }
}

/// Stores what a file holds, and says how many bytes that were, or why it cannot be kept.
async fn put_content(blobs: &Blobs, name: &BlobName, content: &FileBytes) -> Result<u64, &'static str> {
    let (size, stored) = match content {
        FileBytes::Memory(bytes) => {
            let size = check_size(bytes.len() as u64)?;
            (size, blobs.put(name, bytes.clone()).await.map_err(PutError::from))
        }
        FileBytes::Path(path) => {
            let unreadable = |_| "it cannot be read";
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let size = check_size(file.metadata().await.map_err(unreadable)?.len())?;
            (size, blobs.put_stream(name, file.take(size)).await.map(drop))
        }
    };
    stored.map(|()| size).map_err(|error| {
        tracing::warn!(%error, "a file that a call brought could not be kept");
        match error {
            PutError::Source(_) => "it cannot be read",
            PutError::Store(_) => "there is no place for it right now",
        }
    })
}

fn check_size(size: u64) -> Result<u64, &'static str> {
    if size > FILE_MAX_BYTES { Err("it has more than 100 MiB") } else { Ok(size) }
}

#[async_trait]
impl Toolbox for SessionTools {
    async fn opening(&self) -> Vec<Observation> {
        join_all(self.environments.iter().map(|open| open.environment.opening())).await.into_iter().flatten().collect()
    }

    async fn tools(&self) -> Vec<ToolDefinition> {
        let lists = join_all(self.environments.iter().map(|open| open.environment.tools())).await;
        let mut offered = HashMap::new();
        let mut tools = Vec::new();
        for (place, tool) in
            lists.into_iter().enumerate().flat_map(|(place, list)| list.into_iter().map(move |tool| (place, tool)))
        {
            let name = free_name(&tool.name, &offered);
            offered.insert(name.clone(), (place, tool.name));
            tools.push(ToolDefinition { name, ..tool });
        }
        *self.offered() = offered;
        tools
    }

    fn place(&self, name: &str) -> Option<Place> {
        let environment = self.offered().get(name)?.0;
        let in_turn = self.environments.get(environment)?.environment.order() == CallOrder::InTurn;
        Some(Place { environment, in_turn })
    }

    async fn call(&self, name: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        let none = || CallError(format!("there is no tool {name:?}"));
        let (place, own) = self.offered().get(name).cloned().ok_or_else(none)?;
        let open = self.environments.get(place).ok_or_else(none)?;
        let called = open.environment.call(&own, arguments).await;
        // A refusal ends the step elsewhere: the call's own record is refused as well.
        drop(self.announce_one(open).await);
        let mut output = called?;
        for file in std::mem::take(&mut output.files) {
            if let Err(CallError(why)) = self.keep_file(file).await {
                output.observations.push(Observation::of_text("tool", why));
            }
        }
        Ok(output)
    }

    async fn look(&self, at: Look) -> Vec<Observation> {
        let looking = self.looked_at(at).into_iter().map(|open| async {
            let seen = open.environment.look().await;
            open.looked_at.store(true, Ordering::Relaxed);
            seen
        });
        join_all(looking).await.into_iter().flatten().collect()
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
