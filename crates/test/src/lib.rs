//! Quarterdeck in front of a test suite: the whole server in the test's own process, on a free port of this machine, with
//! a store in memory and a clock that only the test moves. What the code under test talks to is the real API.
//!
//! ```no_run
//! # async fn test() -> Result<(), quarterdeck_test::Error> {
//! let quarterdeck = quarterdeck_test::Quarterdeck::start().await?;
//! quarterdeck.scenarios(include_str!("../tests/shop.scenario.yaml"))?;
//! // Have your own client talk to quarterdeck.url() with quarterdeck.api_key() …
//! quarterdeck.advance(std::time::Duration::from_secs(600)).await?;
//! assert_eq!(quarterdeck.failures().await?, Vec::<String>::new());
//! quarterdeck.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Each server is a world of its own: tests that run side by side share nothing.

use quarterdeck_agent::{ModelRunner, ScriptedModel};
pub use quarterdeck_api::{SessionId, Timestamp};
pub use quarterdeck_engine::Journey;
use quarterdeck_engine::{Clock, Engine, EngineSettings, Target, VirtualClock};
use quarterdeck_scenario::Played;
pub use quarterdeck_scenario::{Diagnostics, Recording, RecordingFault, Timing};
use quarterdeck_server::{
    App, ExportError, ListenerSettings, ServerSettings, TestBed, Unmatched, export, key_hash, new_key, router,
};
use quarterdeck_store::{Blobs, Caller, NewKey, Store};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Why a server cannot be had, or cannot do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// No port is free.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(#[from] std::io::Error),
    /// The store in memory failed.
    #[error(transparent)]
    Store(#[from] quarterdeck_store::Error),
    /// The store in memory could not be made.
    #[error(transparent)]
    Open(#[from] quarterdeck_store::OpenError),
    /// What is wrong with scenarios, all of it.
    #[error(transparent)]
    Scenarios(#[from] Diagnostics),
    /// What is wrong with a recording.
    #[error(transparent)]
    Recording(#[from] RecordingFault),
    /// A session cannot be written as a recording.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// There is no such session.
    #[error("there is no session {0}")]
    NoSession(SessionId),
}

/// How a server begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder {
    frozen: Option<Timestamp>,
    seed: Option<u64>,
}

impl Builder {
    /// The clock stands still at this moment until it is moved on; otherwise it goes with the machine's.
    #[must_use]
    pub fn frozen_at(self, moment: Timestamp) -> Self {
        Self { frozen: Some(moment), ..self }
    }

    /// Ids follow from this number: with a frozen clock, the same requests give the same logs.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub async fn start(self) -> Result<Quarterdeck, Error> {
        let store = quarterdeck_store::open("sqlite::memory:").await?;
        let blobs = Blobs::in_memory();
        let clock = Arc::new(VirtualClock::new(self.frozen, self.seed));
        let model = ScriptedModel::new().at_pace(Arc::clone(&clock) as _);
        let runner = Arc::new(ModelRunner::new(Arc::new(model)).at_pace(Arc::clone(&clock) as _));
        let settings = EngineSettings { drain_grace: Duration::from_millis(100), ..EngineSettings::default() };
        let engine =
            Engine::start(Arc::clone(&store), blobs.clone(), runner, Arc::clone(&clock) as _, settings).await?;
        let bed = Arc::new(TestBed::new(Arc::clone(&clock), Vec::new(), Unmatched::Fail));
        let app = App::new(engine.sessions(), Arc::clone(&store), ServerSettings::default());
        let app = app.with_test_bed(Arc::clone(&bed));
        let (api_key, caller) = key(&*store, &clock).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let draining = engine.draining();
        let listening = ListenerSettings { drain_grace: Duration::from_millis(100), ..ListenerSettings::default() };
        let serving = quarterdeck_server::serve(listener, router(app.clone()), listening, draining.clone());
        let serving = tokio::spawn(serving);
        let guard = draining.clone().drop_guard();
        Ok(Quarterdeck {
            address,
            api_key,
            caller,
            store,
            blobs,
            clock,
            bed,
            app,
            engine,
            serving,
            draining,
            _guard: guard,
        })
    }
}

async fn key(store: &dyn Store, clock: &VirtualClock) -> Result<(String, Caller), Error> {
    let key = new_key(clock.random());
    let hash = key_hash(key.as_bytes());
    let ids = [clock.id(), clock.id(), clock.id()];
    let (organization, user, prefix, created_at) = ("tests".into(), "tester".into(), String::new(), clock.now());
    store.create_key(NewKey { ids, organization, user, hash, prefix, created_at }).await?;
    let caller = store.caller(hash).await?;
    let gone = || quarterdeck_store::Error::Corrupt { table: "api_keys", id: "new".into(), cause: "it is gone".into() };
    Ok((key, caller.ok_or_else(gone)?))
}

/// A server in this process. Dropped, it stops by itself; [`Quarterdeck::stop`] waits for that.
pub struct Quarterdeck {
    address: SocketAddr,
    api_key: String,
    caller: Caller,
    store: Arc<dyn Store>,
    blobs: Blobs,
    clock: Arc<VirtualClock>,
    bed: Arc<TestBed>,
    app: App,
    engine: Engine,
    serving: JoinHandle<()>,
    draining: CancellationToken,
    _guard: DropGuard,
}

impl Quarterdeck {
    /// Starts a server whose clock goes with the machine's.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub async fn start() -> Result<Self, Error> {
        Builder::default().start().await
    }

    /// Says first how it is to begin.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it is: `http://127.0.0.1:…`. The test API is below `/_test/v1` there.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key that clients need.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Loads a file of scenarios, by its text. Sessions that none matches fail, and say which was nearest.
    ///
    /// # Errors
    /// [`Error::Scenarios`], with every fault of the text.
    pub fn scenarios(&self, text: &str) -> Result<Vec<String>, Error> {
        Ok(self.bed.load(self.caller.organization, text)?)
    }

    /// Loads a recording: sessions with its agent and its first message play it.
    ///
    /// # Errors
    /// [`Error::Recording`].
    pub fn play(&self, recording: &str, timing: Timing) -> Result<String, Error> {
        let played = Played { recording: Recording::read(recording)?, timing, strict: false };
        Ok(self.bed.play(self.caller.organization, played))
    }

    /// A session as a recording, without its secrets.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub async fn recording(&self, session: SessionId) -> Result<Recording, Error> {
        let found = export(&*self.store, &self.blobs, session, Vec::new()).await?;
        found.ok_or(Error::NoSession(session))
    }

    /// Now, as sessions see it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock on, from due time to due time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn advance(&self, time: Duration) -> Result<Journey, Error> {
        let time = chrono::TimeDelta::from_std(time).unwrap_or(chrono::TimeDelta::MAX);
        Ok(self.engine.sessions().travel(&self.clock, Target::By(time)).await?)
    }

    /// Scripts do not wait from now on, or wait again.
    pub fn skip_waits(&self, skips: bool) {
        self.clock.skip_waits(skips);
    }

    /// What scenarios expect and did not get, a sentence each.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn failures(&self) -> Result<Vec<String>, Error> {
        Ok(quarterdeck_server::failures(&self.app, self.caller.organization).await?)
    }

    /// Stops it and waits until it has.
    pub async fn stop(self) {
        self.draining.cancel();
        drop(self.serving.await);
        self.engine.stop().await;
        self.store.close().await;
    }
}
