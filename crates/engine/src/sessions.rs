//! The door for callers: create, read, command.

use crate::{
    Catalog, ResolveError, Resolved,
    agents::resolve,
    attachments::{Attachment, detach},
    engine::Shared,
    handover, meter,
    notifier::Snapshot,
    toolbox,
    worker::{self, Hold},
};
use quarterdeck_api::{Messages, Problem, SessionId, SessionRequest};
use quarterdeck_core::{Command, Effect, Next, Rejection, Session, Settings};
use quarterdeck_environments::Refused;
use quarterdeck_store::{
    Admission, Caller, CommitSlot, Creation, Error, EventFilter, Idempotency, Lease, Listing, NewSession, Owner,
    Queued, SessionFilter, SessionRecord, Store, SummaryRow,
};
use serde_json::value::RawValue;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

/// Tries at a commit before the caller is told that too many want the same session.
const COMMIT_ATTEMPTS: usize = 32;

/// Why a session was not created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The agent cannot be had in full.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// `parent_session_id` names no session of the caller's.
    #[error("there is no session {0:?} to be the parent")]
    UnknownParent(String),
    /// The overrides do not fit the resolved request.
    #[error("{0}")]
    Invalid(Box<Problem>),
    /// The idempotency key was used with another body.
    #[error("the Idempotency-Key was used before with another body")]
    KeyReused,
    /// This server does not let it have one of its environments.
    #[error(transparent)]
    Environment(#[from] Refused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why a command was not accepted.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// No such session, for this caller.
    #[error("there is no session {0}")]
    NotFound(SessionId),
    /// Its log has no such event.
    #[error("there is no event {1} in session {0}")]
    NoEvent(SessionId, i64),
    /// The session's rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Others kept changing the session.
    #[error("session {0} is being changed by too many at once")]
    Contended(SessionId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A created session, as creation answers with it.
pub enum Created {
    /// It is new.
    New(Box<SessionRecord>),
    /// It was created before under the same idempotency key; this was answered then.
    Replayed(String),
}

/// An organization's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many sessions may hold one.
    pub limit: u64,
    /// How many do.
    pub active: u64,
}

/// What makes a creation repeatable.
pub struct IdempotencyKey {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub request_hash: [u8; 32],
}

/// The door for callers. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) shared: Arc<Shared>,
}

impl Sessions {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Creates a session and starts it. `answer` says how the new session reads to its caller.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn create(
        &self,
        caller: Caller,
        request: SessionRequest,
        key: Option<IdempotencyKey>,
        answer: impl Fn(&SessionRecord) -> String,
    ) -> Result<Created, CreateError> {
        if let Some(earlier) = self.earlier(caller, key.as_ref()).await? {
            return Ok(Created::Replayed(earlier));
        }
        let parent = self.parent(caller, &request).await?;
        let mut resolved = self.resolved(caller, request).await?;
        toolbox::check(&*self.shared.settings.environments, &resolved.agent)?;
        let settings = Settings::of(&resolved.request, &resolved.agent)
            .waiting_for_client(self.shared.settings.client_wait.as_secs());
        let settings = match &parent {
            Some(parent) => settings.below(&parent.settings),
            None => settings,
        };
        let (id, now) = (SessionId(self.shared.clock.id()), self.shared.clock.now());
        let opening = resolved.request.messages.as_mut().map(Messages::as_mut_slice).unwrap_or_default();
        let attachments = detach(id, opening, || self.shared.clock.id());
        self.shared.store_attachments(&attachments).await?;
        let place = worker::slot(&self.shared);
        let created = |queued| Session::create(id, caller.organization, caller.user, settings.clone(), queued, now);
        let (mut transition, queued) = (created(false), created(true));
        if place.is_some() {
            transition.start_at_once(&resolved.request.opening_messages());
        }
        let request = Arc::new(resolved.request);
        let record = |session: &Session| SessionRecord {
            session: session.clone(),
            request: Arc::clone(&request),
            agent_revision: resolved.revision,
        };
        let (started, waiting) = (record(&transition.session), record(&queued.session));
        let admission = match &parent {
            // It may be waited for by somebody who keeps a slot meanwhile.
            Some(parent) if parent.state.holds_slot() => Admission::Granted,
            Some(_) | None => Admission::Asked {
                limits: self.shared.settings.limits,
                queued: request.queue.then(|| {
                    Box::new(Queued { transition: queued, response: key.is_some().then(|| answer(&waiting)) })
                }),
            },
        };
        let idempotency =
            key.map(|key| Idempotency { key: key.key, request_hash: key.request_hash, response: answer(&started) });
        let session = NewSession {
            transition,
            request: Arc::clone(&request),
            agent: resolved.agent,
            agent_reference: resolved.reference,
            agent_revision: resolved.revision,
            parent: parent.map(|parent| parent.id),
            owner: None,
            idempotency,
            admission,
        };
        let this = self.clone();
        let creation = self.shared.to_the_end(async move { this.insert(session, place).await }).await;
        let is_written = matches!(creation, Ok(Creation::Created | Creation::Queued));
        if !is_written && !creation.as_ref().is_err_and(may_have_happened) {
            self.shared.drop_attachments(&attachments).await;
        }
        match creation? {
            Creation::Created => Ok(Created::New(Box::new(started))),
            Creation::Queued => Ok(Created::New(Box::new(waiting))),
            Creation::Replayed(response) => Ok(Created::Replayed(response)),
            Creation::KeyReused => Err(CreateError::KeyReused),
        }
    }

    /// What was answered under this key before, whatever has become of what the request names. Whether it is still free
    /// is decided when the session is stored.
    async fn earlier(&self, caller: Caller, key: Option<&IdempotencyKey>) -> Result<Option<String>, CreateError> {
        let Some(key) = key else { return Ok(None) };
        let now = self.shared.clock.now();
        match self.shared.store.answered(caller.organization, &key.key, key.request_hash, now).await? {
            None => Ok(None),
            Some(Creation::Replayed(response)) => Ok(Some(response)),
            Some(_) => Err(CreateError::KeyReused),
        }
    }

    /// The catalogs that agents are resolved from.
    pub fn catalog(&self) -> Catalog {
        let store: Arc<dyn Store> = Arc::clone(&self.shared.store);
        Catalog::new(store, Arc::clone(&self.shared.clock))
    }

    /// The request with its agent in full and its overrides applied. They may bring new names in.
    async fn resolved(&self, caller: Caller, request: SessionRequest) -> Result<Resolved, CreateError> {
        let catalog = self.catalog();
        let first = resolve(&catalog, caller.organization, request).await?;
        if first.request.overrides.is_empty() {
            return Ok(first);
        }
        let request = quarterdeck_api::apply_overrides(&first.request)
            .map_err(|problem| CreateError::Invalid(Box::new(problem)))?;
        let second = resolve(&catalog, caller.organization, request).await?;
        if second.reference.is_some() {
            return Ok(second); // the agent itself was overridden by another name
        }
        Ok(Resolved { reference: first.reference, revision: first.revision, ..second })
    }

    async fn parent(&self, caller: Caller, request: &SessionRequest) -> Result<Option<Arc<Session>>, CreateError> {
        let Some(text) = &request.parent_session_id else { return Ok(None) };
        let unknown = || CreateError::UnknownParent(text.clone());
        let id: SessionId = text.parse().map_err(|_| unknown())?;
        match self.own(caller, id).await {
            Ok(parent) => Ok(Some(parent.session)),
            Err(SubmitError::Store(error)) => Err(error.into()),
            Err(_) => Err(unknown()),
        }
    }

    /// Where this process has room it runs the session from the start, which saves the claim.
    pub(crate) async fn insert(
        &self,
        mut session: NewSession,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Creation, Error> {
        let shared = &self.shared;
        let id = session.transition.session.id;
        let has_work = session.transition.session.next(shared.clock.now()) != Next::Release;
        let slot = slot.filter(|_| has_work);
        session.owner = slot.is_some().then_some(shared.replica);
        let owner = Owner { replica: session.owner, epoch: i64::from(session.owner.is_some()) };
        let watch = shared.notifier.watch(id);
        let (transition, assignment) =
            (session.transition.clone(), (Arc::clone(&session.request), Arc::clone(&session.agent)));
        let queued = queued_of(&session.admission).cloned();
        let creation = shared.store.create(session).await?;
        match (&creation, queued) {
            (Creation::Created, _) => {
                meter::created("started");
                shared.publish(id, transition, owner);
            }
            (Creation::Queued, Some(queued)) => {
                meter::created("queued");
                shared.queue.joined(&queued.transition.session);
                shared.publish(id, queued.transition, Owner { replica: None, epoch: 0 });
                shared.remember(&watch);
                return Ok(creation);
            }
            (Creation::Queued | Creation::Replayed(_) | Creation::KeyReused, _) => return Ok(creation),
        }
        shared.remember(&watch);
        match slot {
            Some(slot) => {
                let lease = Lease { replica: shared.replica, epoch: owner.epoch };
                let hold = Hold { lease, taken_over: false, assignment: Some(assignment) };
                worker::spawn(shared, Some(slot), watch, hold);
            }
            None if has_work => shared.work_due.notify_one(),
            None => {}
        }
        Ok(creation)
    }

    /// Decides and commits a command; returns once it is durable.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, caller: Caller, id: SessionId, command: Command) -> Result<(), SubmitError> {
        let snapshot = self.own(caller, id).await?;
        let (command, attachments) = self.with_files_stored(&snapshot.session, command).await?;
        let outcome = self.decide_and_commit(snapshot, command).await;
        match &outcome {
            Ok(()) => {}
            Err(SubmitError::Store(error)) if may_have_happened(error) => self.shared.look_later(id),
            Err(_) => self.shared.drop_attachments(&attachments).await,
        }
        outcome
    }

    /// Somebody else's commit in between means to decide again.
    async fn decide_and_commit(&self, mut snapshot: Snapshot, command: Command) -> Result<(), SubmitError> {
        let id = snapshot.session.id;
        for _ in 0..COMMIT_ATTEMPTS {
            let transition = match snapshot.session.command(command.clone(), self.shared.clock.now())? {
                Effect::Unchanged => return Ok(()),
                Effect::Changed(transition) => *transition,
            };
            let slot = self.slot_of(&snapshot.session, &transition.session);
            let (shared, owner) = (Arc::clone(&self.shared), snapshot.owner);
            let commit = async move { handover::commit(&shared, owner, transition, slot).await };
            match self.shared.to_the_end(commit).await {
                Ok(()) => return Ok(()),
                Err(Error::Conflict(_)) => {
                    snapshot = self.shared.reload(id).await?.ok_or(SubmitError::NotFound(id))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(SubmitError::Contended(id))
    }

    /// Only a message to an ended session brings it back into a slot.
    fn slot_of(&self, before: &Session, after: &Session) -> CommitSlot {
        if after.state.holds_slot() && !before.state.holds_slot() {
            return CommitSlot::Take(self.shared.settings.limits);
        }
        CommitSlot::Keep
    }

    /// The files of a message are durable before it is accepted.
    async fn with_files_stored(
        &self,
        session: &Session,
        command: Command,
    ) -> Result<(Command, Vec<Attachment>), SubmitError> {
        let Command::Message(mut messages) = command else { return Ok((command, Vec::new())) };
        let mut attachments = Vec::new();
        if messages.iter().any(|message| !message.files.is_empty()) {
            // What the rules refuse now must not leave files behind.
            session.command(Command::Message(messages.clone()), self.shared.clock.now())?;
            attachments = detach(session.id, &mut messages, || self.shared.clock.id());
            self.shared.store_attachments(&attachments).await?;
        }
        Ok((Command::Message(messages), attachments))
    }

    /// How many slots the organization has, and uses.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn quota(&self, caller: Caller) -> Result<Quota, Error> {
        let standing = self.shared.store.standing(caller.organization).await?;
        let limit = standing.limit(self.shared.settings.limits.concurrent);
        Ok(Quota { limit, active: standing.active })
    }

    /// Where a session stands.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn session(&self, caller: Option<Caller>, id: SessionId) -> Result<Arc<Session>, SubmitError> {
        Ok(self.find(caller, id).await?.0.session)
    }

    /// A session with its request.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn record(&self, caller: Option<Caller>, id: SessionId) -> Result<SessionRecord, SubmitError> {
        let record = self.shared.store.record(id).await?;
        self.view(caller, id, record.as_ref().map(|record| record.session.organization)).await?;
        record.ok_or(SubmitError::NotFound(id))
    }

    /// A page of the organization's sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, caller: Caller, filter: SessionFilter) -> Result<Listing<SummaryRow>, Error> {
        self.shared.store.sessions(caller.organization, filter).await
    }

    /// A page of a session's events.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn events(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        filter: EventFilter,
    ) -> Result<Listing<Arc<RawValue>>, SubmitError> {
        let (_, view) = self.find(caller, id).await?;
        let page = self.shared.store.events_page(id, filter).await?;
        Ok(Listing { items: view.of_all(page.items), ..page })
    }
}

/// Whether the answer of a write says nothing of what became of it.
fn may_have_happened(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
}

fn queued_of(admission: &Admission) -> Option<&Queued> {
    match admission {
        Admission::Asked { queued, .. } => queued.as_deref(),
        Admission::Granted => None,
    }
}
