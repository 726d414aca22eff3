//! The door for callers: create, read, command.

use crate::{
    Catalog, ResolveError, Resolved, agents::resolve, attachments::detach, engine::Shared, notifier::owner_after,
    worker,
};
use quarterdeck_api::{Messages, Problem, SessionId, SessionRequest};
use quarterdeck_core::{Command, Effect, Next, Rejection, Session, Settings, Transition};
use quarterdeck_store::{
    Caller, Commit, CommitLease, Creation, Error, EventFilter, Idempotency, Lease, Listing, NewSession, Owner,
    SessionFilter, SessionRecord, Store, SummaryRow,
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
        let parent = self.parent(caller, &request).await?;
        let mut resolved = self.resolved(caller, request).await?;
        let settings = Settings::of(&resolved.request, &resolved.agent);
        let (id, now) = (SessionId(self.shared.clock.id()), self.shared.clock.now());
        let opening = resolved.request.messages.as_mut().map(Messages::as_mut_slice).unwrap_or_default();
        let attachments = detach(id, opening, || self.shared.clock.id());
        self.shared.store_attachments(&attachments).await?;
        let slot = worker::slot(&self.shared);
        let mut transition = Session::create(id, caller.organization, caller.user, settings, false, now);
        if slot.is_some() {
            transition.start_at_once(&resolved.request.opening_messages());
        }
        let request = Arc::new(resolved.request);
        let record = SessionRecord {
            session: transition.session.clone(),
            request: Arc::clone(&request),
            agent_revision: resolved.revision,
        };
        let idempotency =
            key.map(|key| Idempotency { key: key.key, request_hash: key.request_hash, response: answer(&record) });
        let session = NewSession {
            transition,
            request,
            agent: resolved.agent,
            agent_reference: resolved.reference,
            agent_revision: resolved.revision,
            parent,
            owner: None,
            idempotency,
        };
        let creation = self.insert(session, slot).await?;
        if creation != Creation::Created {
            self.shared.drop_attachments(&attachments).await;
        }
        match creation {
            Creation::Created => Ok(Created::New(Box::new(record))),
            Creation::Replayed(response) => Ok(Created::Replayed(response)),
            Creation::KeyReused => Err(CreateError::KeyReused),
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

    async fn parent(&self, caller: Caller, request: &SessionRequest) -> Result<Option<SessionId>, CreateError> {
        let Some(text) = &request.parent_session_id else { return Ok(None) };
        let unknown = || CreateError::UnknownParent(text.clone());
        let id: SessionId = text.parse().map_err(|_| unknown())?;
        match self.own(caller, id).await {
            Ok(_) => Ok(Some(id)),
            Err(SubmitError::Store(error)) => Err(error.into()),
            Err(_) => Err(unknown()),
        }
    }

    /// Where this process has room it runs the session from the start, which saves the claim.
    async fn insert(&self, mut session: NewSession, slot: Option<OwnedSemaphorePermit>) -> Result<Creation, Error> {
        let shared = &self.shared;
        let id = session.transition.session.id;
        let has_work = session.transition.session.next(shared.clock.now()) != Next::Release;
        let slot = slot.filter(|_| has_work);
        session.owner = slot.is_some().then_some(shared.replica);
        let owner = Owner { replica: session.owner, epoch: i64::from(session.owner.is_some()) };
        let watch = shared.notifier.watch(id);
        let (transition, assignment) =
            (session.transition.clone(), (Arc::clone(&session.request), Arc::clone(&session.agent)));
        let creation = shared.store.create(session).await?;
        if creation != Creation::Created {
            return Ok(creation);
        }
        shared.publish(id, transition, owner);
        shared.remember(&watch);
        match slot {
            Some(slot) => {
                let lease = Lease { replica: shared.replica, epoch: owner.epoch };
                worker::spawn(shared, slot, watch, lease, Some(assignment));
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
        let mut snapshot = self.own(caller, id).await?;
        let command = self.with_files_stored(&snapshot.session, command).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let transition = match snapshot.session.command(command.clone(), self.shared.clock.now())? {
                Effect::Unchanged => return Ok(()),
                Effect::Changed(transition) => *transition,
            };
            match self.commit(snapshot.owner, transition).await {
                Ok(()) => return Ok(()),
                Err(Error::Conflict(_)) => {
                    snapshot = self.shared.reload(id).await?.ok_or(SubmitError::NotFound(id))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(SubmitError::Contended(id))
    }

    /// The files of a message are durable before it is accepted.
    async fn with_files_stored(&self, session: &Session, command: Command) -> Result<Command, SubmitError> {
        let Command::Message(mut messages) = command else { return Ok(command) };
        if messages.iter().any(|message| !message.files.is_empty()) {
            // What the rules refuse now must not leave files behind.
            session.command(Command::Message(messages.clone()), self.shared.clock.now())?;
            let attachments = detach(session.id, &mut messages, || self.shared.clock.id());
            self.shared.store_attachments(&attachments).await?;
        }
        Ok(Command::Message(messages))
    }

    /// A command that gives work to a session nobody runs makes this process run it.
    async fn commit(&self, owner: Owner, transition: Transition) -> Result<(), Error> {
        let shared = &self.shared;
        let id = transition.session.id;
        let unowned_work = self.is_free(owner) && transition.session.next(shared.clock.now()) != Next::Release;
        let slot = if unowned_work { worker::slot(shared) } else { None };
        let Some(slot) = slot else {
            shared.commit(owner, Commit { transition, lease: CommitLease::Leave }).await?;
            if unowned_work {
                shared.work_due.notify_one();
            }
            return Ok(());
        };
        let watch = shared.notifier.watch(id);
        let lease = CommitLease::Take(shared.replica);
        shared.commit(owner, Commit { transition, lease }).await?;
        let epoch = owner_after(owner, lease).epoch;
        worker::spawn(shared, slot, watch, Lease { replica: shared.replica, epoch }, None);
        Ok(())
    }

    /// Whether nobody runs the session: on a store of our own, another owner is a past life of this server.
    fn is_free(&self, owner: Owner) -> bool {
        let shared = &self.shared;
        owner.replica.is_none_or(|replica| !shared.store.is_shared() && replica != shared.replica)
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
