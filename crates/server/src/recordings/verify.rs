//! Playing a recording on a server of its own, in this process, with a clock of its own: who did something then does it
//! again when the log has come to that place. What comes out is compared.

use super::{ExportError, export};
use crate::keys::{key_hash, new_key};
use quarterdeck_agent::{ModelRunner, ScriptedModel};
use quarterdeck_api::{Decoder, Problem, SessionId, SessionRequest, Timestamp};
use quarterdeck_core::{Cast, Command};
use quarterdeck_engine::{
    Clock, CreateError, Created, Engine, EngineSettings, Preparation, Sessions, SubmitError, Target, VirtualClock,
};
use quarterdeck_scenario::{PlaybackAct as Act, Played, Recording, Scenario, Timing};
use quarterdeck_store::{Blobs, Caller, NewKey, OpenError, Store};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use thiserror::Error;

/// How often in a row nothing may come of anything.
const STUCK_MAX: usize = 3;

/// What came of playing a recording.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The session that played it, as a recording.
    pub played: Recording,
    /// The first difference, in a sentence; none when they are the same but for ids and times.
    pub difference: Option<String>,
}

/// Why a recording cannot be played.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// Its request is none.
    #[error("the recorded request cannot be asked again: {0}")]
    Request(String),
    /// What was done to it cannot be done again.
    #[error("event {event} of the recording cannot be brought about again: {cause}")]
    Refused {
        /// Its place.
        event: usize,
        /// Why.
        cause: String,
    },
    /// The store in memory failed.
    #[error(transparent)]
    Store(#[from] quarterdeck_store::Error),
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was played cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Plays a recording and compares what comes out.
///
/// # Errors
/// [`VerifyError`].
pub async fn verify(recording: &Recording) -> Result<Verdict, VerifyError> {
    let store = quarterdeck_store::open("sqlite::memory:").await?;
    let blobs = Blobs::in_memory();
    let begin = recording.events.first().map(|event| event.timestamp);
    let clock = Arc::new(VirtualClock::new(begin, Some(0)));
    let runner = ModelRunner::new(Arc::new(ScriptedModel::new())).at_pace(Arc::clone(&clock) as _);
    let settings = EngineSettings { drain_grace: Duration::from_millis(10), ..EngineSettings::default() };
    let engine =
        Engine::start(Arc::clone(&store), blobs.clone(), Arc::new(runner), Arc::clone(&clock) as _, settings).await?;
    let stage = Stage { sessions: engine.sessions(), store: Arc::clone(&store), clock, caller: caller(&*store).await? };
    let played = stage.play(recording).await;
    engine.stop().await;
    let id = played?;
    let played = export(&*store, &blobs, id, Vec::new()).await?;
    store.close().await;
    let played = played.ok_or_else(|| VerifyError::Request("the session is gone".into()))?;
    let difference = recording.difference(&played);
    Ok(Verdict { played, difference })
}

async fn caller(store: &dyn Store) -> Result<Caller, VerifyError> {
    let clock = quarterdeck_engine::SystemClock;
    let hash = key_hash(new_key(clock.random()).as_bytes());
    let ids = [clock.id(), clock.id(), clock.id()];
    let (organization, user, prefix) = ("recordings".into(), "player".into(), String::new());
    store.create_key(NewKey { ids, organization, user, hash, prefix, created_at: clock.now() }).await?;
    store.caller(hash).await?.ok_or_else(|| VerifyError::Request("there is nobody to ask".into()))
}

/// Where a recording is played.
struct Stage {
    sessions: Sessions,
    store: Arc<dyn Store>,
    clock: Arc<VirtualClock>,
    caller: Caller,
}

impl Stage {
    async fn play(&self, recording: &Recording) -> Result<SessionId, VerifyError> {
        let id = self.create(recording).await?;
        let (mut stuck, mut reached) = (0, 0);
        while stuck < STUCK_MAX {
            self.sessions.settle(&self.clock).await?;
            let length = self.length(id).await?;
            stuck = if length > reached { 0 } else { stuck + 1 };
            reached = length;
            match recording.act_at(length) {
                Some((act, at)) => {
                    self.let_pass(at).await?;
                    if self.length(id).await? == length {
                        self.act(id, act)
                            .await
                            .map_err(|cause| VerifyError::Refused { event: length, cause: cause.to_string() })?;
                    }
                }
                // A session may wait for its client for days, and what it waits for was recorded or never came.
                None if length >= recording.events.len() => break,
                None => drop(self.sessions.travel(&self.clock, Target::Next).await?),
            }
        }
        Ok(id)
    }

    /// Until the moment at which something was done.
    async fn let_pass(&self, at: Timestamp) -> Result<(), VerifyError> {
        if at > self.clock.now() {
            self.sessions.travel(&self.clock, Target::Moment(at)).await?;
        }
        Ok(())
    }

    async fn length(&self, id: SessionId) -> Result<usize, VerifyError> {
        let record = self.store.record(id).await?;
        let length = record.map_or(0, |record| record.session.log_length);
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    async fn create(&self, recording: &Recording) -> Result<SessionId, VerifyError> {
        let refused = |error: CreateError| VerifyError::Request(error.to_string());
        // Its own time, so that what went on side by side comes to its end in the same order. No real time passes.
        let timing = Timing::Recorded(1.0);
        let played = Played { recording: recording.clone(), timing, strict: true };
        let scenario = Scenario::of_recording("recording".into(), "the recording".into(), played);
        let (stored, hash) = crate::test_api::stored(&scenario);
        self.store.keep_script(&hash, &stored).await?;
        let cast = Cast::Scenario {
            name: scenario.name.clone(),
            hash,
            group_id: None,
            header: quarterdeck_api::JsonObject::new(),
            client: false,
            calls: Vec::new(),
            is_recording: true,
        };
        let request = request(&recording.request)?;
        match self.sessions.prepare_as(self.caller, request, None, true).await.map_err(refused)? {
            Preparation::New(prepared) => {
                match self.sessions.admit(*prepared.cast_as(&cast), None).await.map_err(refused)? {
                    Created::New(record) => Ok(record.session.id),
                    Created::Replayed(_) => Err(VerifyError::Request("it was asked before".into())),
                }
            }
            Preparation::Replayed(_) => Err(VerifyError::Request("it was asked before".into())),
        }
    }

    async fn act(&self, id: SessionId, act: Act) -> Result<(), SubmitError> {
        let command = match act {
            Act::Message(messages) => Command::Message(messages),
            Act::ToolResults(results) => Command::ToolResults(results),
            Act::Pause => Command::Pause,
            Act::Resume => Command::Resume,
            Act::ForceAnswer => Command::ForceAnswer,
            Act::Cancel => Command::Cancel,
        };
        self.sessions.submit(self.caller, id, command).await
    }
}

/// The request as a server reads it. Its parent is not here.
fn request(recorded: &Value) -> Result<SessionRequest, VerifyError> {
    let told = |problem: Problem| VerifyError::Request(problem.to_string());
    let mut recorded = recorded.clone();
    if let Some(members) = recorded.as_object_mut() {
        members.remove("parent_session_id");
    }
    let text = recorded.to_string();
    let body = quarterdeck_api::Body::parse(Some("application/json"), text.as_bytes()).map_err(told)?;
    let decoder = Decoder::default();
    let request = decoder.body::<SessionRequest>(&body);
    decoder.finish(request).map_err(told)
}
