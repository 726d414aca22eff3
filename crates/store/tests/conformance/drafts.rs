//! Sessions to store, and changes to commit: made by the core, as the engine makes them.

use chrono::{DateTime, TimeDelta};
use quarterdeck_api::{
    Agent, Answer, OrganizationId, Reference, SessionId, SessionRequest, Timestamp, UserId, UserMessage,
};
use quarterdeck_core::{Command, Effect, Fact, Reply, Report, Session, Settings, Transition};
use quarterdeck_store::{
    Admission, Commit, CommitLease, CommitSlot, Creation, Error, Idempotency, Lease, Limits, NewSession, Owner, Queued,
    ReplicaId, Store, StoredSession,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use uuid::Uuid;

/// An id nobody else has; its last bytes differ most.
pub(crate) fn fresh() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(0x018f_0000_0000_7000_8000 << 48 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn replica() -> ReplicaId {
    ReplicaId(fresh())
}

pub(crate) fn organization(number: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(number))
}

pub(crate) fn noon() -> Timestamp {
    DateTime::from_timestamp(1_767_268_800, 0).unwrap()
}

pub(crate) fn after_s(seconds: i64) -> Timestamp {
    noon() + TimeDelta::seconds(seconds)
}

/// A session about to be created.
pub(crate) struct Draft {
    pub(crate) new: NewSession,
}

impl Draft {
    /// Of organization 1, accepted at noon, one message, an inline agent.
    pub(crate) fn new() -> Self {
        Self::of(json!({}))
    }

    /// With these fields of the request.
    pub(crate) fn of(fields: Value) -> Self {
        Self::at(noon(), organization(1), fields)
    }

    pub(crate) fn at(at: Timestamp, organization: OrganizationId, fields: Value) -> Self {
        let request = request(fields);
        let Reference::Inline(agent) = &request.agent else { panic!("the agent is inline") };
        let agent: Arc<Agent> = Arc::new((**agent).clone());
        let user = UserId(Uuid::from_u128(7));
        let settings = Settings::of(&request, &agent);
        let transition = Session::create(SessionId(fresh()), organization, user, settings, false, at);
        let request = Arc::new(request);
        let (agent_reference, agent_revision, parent, owner, idempotency) = (None, None, None, None, None);
        let admission = Admission::Granted;
        Self {
            new: NewSession {
                transition,
                request,
                agent,
                agent_reference,
                agent_revision,
                parent,
                owner,
                idempotency,
                admission,
            },
        }
    }

    pub(crate) fn owned_by(mut self, owner: ReplicaId) -> Self {
        self.new.owner = Some(owner);
        self
    }

    pub(crate) fn keyed(mut self, key: &str, hash: u8, response: &str) -> Self {
        self.new.idempotency =
            Some(Idempotency { key: key.into(), request_hash: [hash; 32], response: response.into() });
        self
    }

    /// Asks for one of so many slots, or is refused.
    pub(crate) fn asking(mut self, slots: u64) -> Self {
        self.new.admission = Admission::Asked { limits: limits(slots, 0), queued: None };
        self
    }

    /// Asks for one of so many slots, or for one of so many places in the queue.
    pub(crate) fn queueing(mut self, slots: u64, places: u64) -> Self {
        let Session { id, organization, user, settings, created_at, .. } = self.new.transition.session.clone();
        let transition = Session::create(id, organization, user, settings, true, created_at);
        let response = Some("queued".to_owned());
        let queued = Some(Box::new(Queued { transition, response }));
        self.new.admission = Admission::Asked { limits: limits(slots, places), queued };
        self
    }

    pub(crate) fn working_for(mut self, parent: SessionId) -> Self {
        self.new.parent = Some(parent);
        self
    }

    pub(crate) fn id(&self) -> SessionId {
        self.new.transition.session.id
    }

    pub(crate) async fn create(self, store: &dyn Store) -> Session {
        let session = self.new.transition.session.clone();
        assert_eq!(store.create(self.new).await.unwrap(), Creation::Created);
        session
    }
}

pub(crate) fn limits(concurrent: u64, queued: u64) -> Limits {
    Limits { concurrent, queued }
}

/// A request with one message and these fields.
pub(crate) fn request(fields: Value) -> SessionRequest {
    let mut request = json!({
        "agent": {"name": "tester", "description": "Tests things.", "environments": []},
        "messages": "Find the price",
        "queue": true,
    });
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(request).unwrap()
}

pub(crate) fn say(session: &Session, texts: &[&str]) -> Transition {
    command(session, Command::Message(texts.iter().copied().map(UserMessage::text).collect()))
}

pub(crate) fn command(session: &Session, command: Command) -> Transition {
    changed(session.command(command, session.last_activity_at).unwrap())
}

pub(crate) fn fact(session: &Session, fact: Fact) -> Transition {
    changed(session.fact(fact, session.last_activity_at).unwrap())
}

/// A worker starts it with these messages.
pub(crate) fn start(session: &Session, texts: &[&str]) -> Transition {
    let messages = texts.iter().copied().map(UserMessage::text).collect();
    fact(session, Fact::Started { messages, inbox_through: 0 })
}

/// One event.
pub(crate) fn trouble(session: &Session, text: &str) -> Transition {
    fact(session, Fact::Reported(Report::Troubled { error: text.into(), origin: "model".into() }))
}

/// So many events in one change.
pub(crate) fn troubles(session: &Session, text: &str, count: usize) -> Transition {
    let mut all = trouble(session, text);
    for number in 1..count {
        let one = trouble(&all.session, &format!("{text}, {number}"));
        all.session = Session { version: all.session.version, ..one.session };
        all.events.extend(one.events);
    }
    all
}

pub(crate) fn answer(session: &Session, answer: Answer) -> Transition {
    fact(session, Fact::Reported(Report::Answered { reply: Reply::default(), call: None, answer, outcome: None }))
}

fn changed(effect: Effect) -> Transition {
    match effect {
        Effect::Changed(transition) => *transition,
        Effect::Unchanged => panic!("something changes"),
    }
}

/// Commits as a handler does; returns the session afterwards.
pub(crate) async fn commit(store: &dyn Store, transition: Transition) -> Session {
    let session = transition.session.clone();
    commit_with(store, transition, CommitLease::Leave).await.unwrap();
    session
}

pub(crate) async fn commit_with(store: &dyn Store, transition: Transition, lease: CommitLease) -> Result<(), Error> {
    store.commit(Commit { transition, lease, slot: CommitSlot::Keep }).await
}

/// Commits what needs a slot.
pub(crate) async fn commit_for(store: &dyn Store, transition: Transition, slot: CommitSlot) -> Result<(), Error> {
    store.commit(Commit { transition, lease: CommitLease::Leave, slot }).await
}

/// Creates a session and starts it.
pub(crate) async fn running(store: &dyn Store, draft: Draft) -> Session {
    let session = draft.create(store).await;
    commit(store, start(&session, &["Find the price"])).await
}

/// Creates a session that has ended with this answer.
pub(crate) async fn answered(store: &dyn Store, draft: Draft, text: &str) -> Session {
    let session = running(store, draft).await;
    commit(store, answer(&session, Answer::Text(text.into()))).await
}

pub(crate) async fn stored(store: &dyn Store, id: SessionId) -> StoredSession {
    store.session(id).await.unwrap().unwrap()
}

pub(crate) fn owner(replica: Option<ReplicaId>, epoch: i64) -> Owner {
    Owner { replica, epoch }
}

pub(crate) fn lease(replica: ReplicaId, epoch: i64) -> Lease {
    Lease { replica, epoch }
}

pub(crate) fn is_conflict<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Conflict(_)))
}

/// Lets go of a session as it stands.
pub(crate) async fn release(store: &dyn Store, id: SessionId, lease: Lease) -> bool {
    let version = stored(store, id).await.session.version;
    store.release(id, lease, version).await.unwrap()
}
