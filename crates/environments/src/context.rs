//! What an environment is told of its session when it is opened, and what it may ask for.

use crate::{Environment, Forgotten, KeyValues};
use async_trait::async_trait;
use bytes::Bytes;
use quarterdeck_api::{EnvironmentKind, Memory, OrganizationId, SessionId};
use quarterdeck_core::{CallError, Vision};
use serde_json::Value;
use std::{fmt::Debug, sync::Arc};
use uuid::Uuid;

/// The session that an environment is opened for. Cheap to clone, and may be kept for as long as it is open.
#[derive(Clone, Debug)]
pub struct OpenContext {
    /// The session.
    pub session: SessionId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The id of this opening: `runner_session_id` in the log.
    pub runner_session_id: Uuid,
    /// Whether the session had an environment of this kind open before, and lost it.
    pub reopened: bool,
    /// The user's time zone, an IANA name.
    pub timezone: Option<String>,
    /// How the session's model sees and points.
    pub vision: Vision,
    /// Where memories are kept.
    pub memories: Arc<dyn Memories>,
    /// The files of the session.
    pub files: Arc<dyn SessionFiles>,
    /// The environments that stay open although nobody works with them.
    pub parked: Arc<dyn ParkedEnvironments>,
}

/// Where the values of memories are kept.
pub trait Memories: Debug + Send + Sync + 'static {
    /// The namespace of a memory of the session's organization.
    fn memory(&self, spec: &Memory) -> Arc<dyn KeyValues>;
}

/// The files that were attached to the session's messages, or that its agent brought into it.
#[async_trait]
pub trait SessionFiles: Debug + Send + Sync + 'static {
    /// A file by its name or by its resource address; of several with one name, the latest. None when there is none.
    async fn read(&self, name: &str) -> Result<Option<SessionFile>, CallError>;
}

/// A file of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFile {
    /// Its name, without folders.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its content.
    pub bytes: Bytes,
}

/// The environments of this process that are open while their sessions wait.
#[async_trait]
pub trait ParkedEnvironments: Debug + Send + Sync + 'static {
    /// Closes the environments of the session that has waited longest, of those that have one of this kind. False
    /// when there is none. For a provider that has no place for another one.
    async fn evict(&self, kind: EnvironmentKind) -> bool;

    /// Takes one of this kind from a session of the organization, which opens another one when it goes on. `id` is a
    /// `runner_session_id` of the environment, or the id of its session.
    fn take_over(&self, organization: OrganizationId, kind: EnvironmentKind, id: &str) -> TakeOver;
}

/// What came of taking an environment from another session.
#[derive(Debug)]
pub enum TakeOver {
    /// Here it is.
    Taken(Arc<dyn Environment>),
    /// Its session works with it.
    InUse,
    /// There is no such environment in this process, or none that this organization may know of.
    Unknown,
}

impl OpenContext {
    /// The context of an environment that belongs to no session, as tests open one: its memories are empty and take
    /// nothing, it has no files, and nothing is parked.
    pub fn detached() -> Self {
        Self {
            session: SessionId(Uuid::nil()),
            organization: OrganizationId(Uuid::nil()),
            runner_session_id: Uuid::nil(),
            reopened: false,
            timezone: None,
            vision: Vision::default(),
            memories: Arc::new(NoSession),
            files: Arc::new(NoSession),
            parked: Arc::new(NoSession),
        }
    }
}

/// What stands where a session would be.
#[derive(Clone, Copy, Debug)]
struct NoSession;

impl Memories for NoSession {
    fn memory(&self, _: &Memory) -> Arc<dyn KeyValues> {
        Arc::new(Self)
    }
}

#[async_trait]
impl SessionFiles for NoSession {
    async fn read(&self, _: &str) -> Result<Option<SessionFile>, CallError> {
        Ok(None)
    }
}

#[async_trait]
impl ParkedEnvironments for NoSession {
    async fn evict(&self, _: EnvironmentKind) -> bool {
        false
    }

    fn take_over(&self, _: OrganizationId, _: EnvironmentKind, _: &str) -> TakeOver {
        TakeOver::Unknown
    }
}

#[async_trait]
impl KeyValues for NoSession {
    async fn get(&self, _: &str) -> Result<Option<Value>, CallError> {
        Ok(None)
    }

    async fn set(&self, _: &str, _: &Value) -> Result<(), CallError> {
        Err(CallError("there is no session whose memory could be written".into()))
    }

    async fn delete(&self, _: &str) -> Result<Forgotten, CallError> {
        Ok(Forgotten::Unknown)
    }

    async fn keys(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<String>, CallError> {
        Ok(Vec::new())
    }
}
