//! Creating a session, in two halves: what is asked for is made whole and decided on, then written.

use super::{Sessions, may_have_happened};
use crate::{
    CreateError, Resolved, SubmitError,
    catalog::{check_levels, resolve},
    environments,
    heavy::heavy,
    media::{Attachment, detach},
    worker,
};
use quarterdeck_api::{Messages, SessionId, SessionRequest};
use quarterdeck_core::{Cast, Command, Session, Settings};
use quarterdeck_store::{Admission, Caller, Creation, Error, Idempotency, NewSession, Queued, SessionRecord};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What makes a creation repeatable.
pub struct IdempotencyKey {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub request_hash: [u8; 32],
}

/// What is answered whenever the creation is repeated with its key.
pub struct Repeatable {
    /// The key.
    pub key: IdempotencyKey,
    /// The answer when the session was started.
    pub started: String,
    /// The answer when it was queued; for a request that may be.
    pub queued: Option<String>,
}

/// What [`Sessions::prepare`] found.
pub enum Preparation {
    /// A session to write.
    New(Box<Prepared>),
    /// The session was created before under the same idempotency key; this was answered then.
    Replayed(String),
}

/// A creation that is decided, and not written. Whoever drops it creates nothing.
pub struct Prepared {
    session: NewSession,
    started: SessionRecord,
    queued: Option<SessionRecord>,
    attachments: Vec<Attachment>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Prepared {
    /// The session as it is when it starts.
    pub fn started(&self) -> &SessionRecord {
        &self.started
    }

    /// Casts the session: it plays this in a model's place.
    #[must_use]
    pub fn cast_as(mut self: Box<Self>, cast: &Cast) -> Box<Self> {
        let answers_for_client = matches!(cast, Cast::Scenario { client: true, .. });
        let waiting = match &mut self.session.admission {
            Admission::Asked { queued, .. } => queued.as_mut().map(|queued| &mut queued.transition.session),
            Admission::Granted => None,
        };
        let records = [Some(&mut self.started.session), self.queued.as_mut().map(|queued| &mut queued.session)];
        let all = [Some(&mut self.session.transition.session), waiting].into_iter().chain(records);
        for session in all.flatten() {
            session.cast = Some(Box::new(cast.clone()));
            if answers_for_client {
                session.settings.client_tools.clear();
            }
        }
        self
    }

    /// The session as it is when it has to wait, if it may.
    pub fn queued(&self) -> Option<&SessionRecord> {
        self.queued.as_ref()
    }
}

/// A created session, as creation answers with it.
pub enum Created {
    /// It is new.
    New(Box<SessionRecord>),
    /// It was created before under the same idempotency key; this was answered then.
    Replayed(String),
}

impl Sessions {
    /// Makes a request whole, and decides on the session that it becomes. Nothing is written.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn prepare(
        &self,
        caller: Caller,
        request: SessionRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<Preparation, CreateError> {
        self.prepare_as(caller, request, key, false).await
    }

    /// As [`Self::prepare`]; of a session that plays a recording nobody opens the environments, so it may have any.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn prepare_as(
        &self,
        caller: Caller,
        request: SessionRequest,
        key: Option<&IdempotencyKey>,
        is_played: bool,
    ) -> Result<Preparation, CreateError> {
        if let Some(earlier) = self.earlier(caller, key).await? {
            return Ok(Preparation::Replayed(earlier));
        }
        let parent = self.parent(caller, &request).await?;
        let mut resolved = self.resolved(caller, request).await?;
        if !is_played {
            environments::check(&*self.shared.settings.environments, &resolved.agent)?;
        }
        let settings = self.settings(&resolved, parent.as_deref());
        check_levels(&resolved.agent, settings.depth)?;
        let fresh = || self.shared.clock.id_in(caller.organization);
        let (id, now) = (SessionId(fresh()), self.shared.clock.now());
        let opening = resolved.request.messages.as_mut().map(Messages::as_mut_slice).unwrap_or_default();
        let attachments = detach(id, opening, fresh);
        let permit = worker::permit(&self.shared);
        let created = |queued| Session::create(id, caller.organization, caller.user, settings.clone(), queued, now);
        let mut transition = created(false);
        if permit.is_some() {
            transition.start_at_once(&resolved.request.opening_messages());
        }
        let request = Arc::new(resolved.request);
        let waiting = request.queue.then(|| created(true));
        let record = |session: &Session| SessionRecord {
            session: session.clone(),
            request: Arc::clone(&request),
            agent_revision: resolved.revision,
        };
        let (started, queued) = (record(&transition.session), waiting.as_ref().map(|waiting| record(&waiting.session)));
        let session = NewSession {
            transition,
            request: Arc::clone(&request),
            agent: resolved.agent,
            agent_reference: resolved.reference,
            agent_revision: resolved.revision,
            parent: parent.map(|parent| parent.id),
            owner: None,
            idempotency: None,
            // Also with a parent: only what the server itself delegates is waited for by somebody who keeps a slot
            // meanwhile.
            admission: Admission::Asked {
                limits: self.shared.settings.limits,
                queued: waiting.map(|transition| Box::new(Queued { transition, response: None })),
            },
        };
        Ok(Preparation::New(Box::new(Prepared { session, started, queued, attachments, permit })))
    }

    /// Writes a prepared session, and starts it or lets it wait.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn admit(&self, prepared: Prepared, repeatable: Option<Repeatable>) -> Result<Created, CreateError> {
        let Prepared { mut session, started, queued, attachments, permit } = prepared;
        let (id, parent) = (started.session.id, session.parent);
        if let Some(Repeatable { key, started, queued }) = repeatable {
            session.idempotency = Some(Idempotency { key: key.key, request_hash: key.request_hash, response: started });
            if let Admission::Asked { queued: Some(waiting), .. } = &mut session.admission {
                waiting.response = queued;
            }
        }
        self.shared.store_attachments(&attachments).await?;
        let shared = Arc::clone(&self.shared);
        let creation = self.shared.to_the_end(async move { shared.create_and_run(session, permit).await }).await;
        let is_written = matches!(creation, Ok(Creation::Created | Creation::Queued));
        if !is_written && !creation.as_ref().is_err_and(may_have_happened) {
            self.shared.drop_attachments(&attachments).await;
        }
        let record = match creation? {
            Creation::Created => started,
            Creation::Queued => queued.unwrap_or(started),
            Creation::Replayed(response) => return Ok(Created::Replayed(response)),
            Creation::KeyReused => return Err(CreateError::KeyReused),
        };
        if let Some(parent) = parent {
            self.name_child(parent, id).await?;
        }
        Ok(Created::New(Box::new(record)))
    }

    /// The limits of the session, within those of its parent.
    fn settings(&self, resolved: &Resolved, parent: Option<&Session>) -> Settings {
        let settings = Settings::of(&resolved.request, &resolved.agent)
            .waiting_for_client(self.shared.settings.client_wait.as_secs())
            .with_answer_grace(self.shared.settings.answer_grace);
        match parent {
            Some(parent) => settings.below(&parent.settings),
            None => settings,
        }
    }

    /// The parent's status names the child from before its creation is answered.
    async fn name_child(&self, parent: SessionId, child: SessionId) -> Result<(), Error> {
        let Some(snapshot) = self.shared.reload(parent).await? else { return Ok(()) };
        match self.shared.decide_and_commit(snapshot, Command::Adopt(child)).await {
            Ok(()) => Ok(()),
            Err(SubmitError::Store(error)) => Err(error),
            // Nothing else refuses it but too many at once, and then lists by parent still find the child.
            Err(error) => {
                tracing::warn!(%parent, %child, %error, "a parent's status does not name this child");
                Ok(())
            }
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

    /// The request with its agent in full and its overrides applied. They may bring new names in.
    async fn resolved(&self, caller: Caller, request: SessionRequest) -> Result<Resolved, CreateError> {
        let catalog = self.catalog();
        let first = resolve(&catalog, caller.organization, request).await?;
        if first.request.overrides.is_empty() {
            return Ok(first);
        }
        let request = heavy(|| quarterdeck_api::apply_overrides(&first.request))
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
}
