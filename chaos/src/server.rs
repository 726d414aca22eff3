//! A server process that is killed, frozen, stopped and started again.

use anyhow::{Context, Result, ensure};
use quarterdeck_test_support::server as binary;
use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use uuid::Uuid;

const START_TIMEOUT: Duration = Duration::from_secs(20);
/// What documentation promises, and a little for a busy machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How servers are started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) database_url: String,
    pub(crate) data: PathBuf,
    pub(crate) logs: PathBuf,
    /// None: the model that is built in.
    pub(crate) model_url: Option<String>,
    pub(crate) lease: Duration,
}

/// A place for a server: the process in it changes, and so does its address.
pub(crate) struct Server {
    number: usize,
    launch: Launch,
    process: tokio::sync::Mutex<Option<binary::Server>>,
    address: Mutex<String>,
    /// Odd while something is done to the process, and one more afterwards.
    disturbances: AtomicU64,
}

/// A server's life, seen from a client: what goes wrong in an undisturbed stretch is the server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch(u64);

impl Stretch {
    pub(crate) fn is_calm(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

impl Server {
    pub(crate) fn new(number: usize, launch: Launch) -> Self {
        let process = tokio::sync::Mutex::new(None);
        Self { number, launch, process, address: Mutex::default(), disturbances: AtomicU64::new(1) }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Where it listens; nowhere at first.
    pub(crate) fn address(&self) -> String {
        self.address_guard().clone()
    }

    pub(crate) fn stretch(&self) -> Stretch {
        Stretch(self.disturbances.load(Ordering::SeqCst))
    }

    fn address_guard(&self) -> MutexGuard<'_, String> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here to [`Self::is_well`], faults of the server are ours.
    pub(crate) fn is_ill(&self) {
        if self.stretch().is_calm() {
            self.disturbances.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_well(&self) {
        if !self.stretch().is_calm() {
            self.disturbances.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Starts it, again and again if its database is away.
    pub(crate) async fn start(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            match self.try_start().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error.context(format!("server {} does not start", self.number)));
                }
                Err(_) => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    async fn try_start(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        ensure!(process.is_none(), "server {} runs already", self.number);
        let log = self.launch.logs.join(format!("server-{}-{}.log", self.number, self.stretch().0));
        let launch = self.launch.with_log(&log);
        let running = spawn_blocking(|| launch.start(START_TIMEOUT)).await??;
        running.address().clone_into(&mut self.address_guard());
        *process = Some(running);
        drop(process);
        self.is_well();
        Ok(())
    }

    /// As a crash of the machine would.
    pub(crate) async fn kill(&self) {
        self.is_ill();
        drop(self.process.lock().await.take());
    }

    /// Asks it to stop, and says how long that took.
    ///
    /// # Errors
    /// When it takes longer than it may, or does not end well.
    pub(crate) async fn stop(&self) -> Result<Duration> {
        self.is_ill();
        let Some(running) = self.process.lock().await.take() else { return Ok(Duration::ZERO) };
        let stopped = spawn_blocking(|| running.stop(STOP_TIMEOUT)).await?;
        stopped.with_context(|| format!("server {} did not stop well", self.number))
    }

    pub(crate) async fn freeze(&self) -> Result<()> {
        self.is_ill();
        match &*self.process.lock().await {
            Some(running) => running.freeze(),
            None => Ok(()),
        }
    }

    pub(crate) async fn thaw(&self) -> Result<()> {
        if let Some(running) = &*self.process.lock().await {
            running.thaw()?;
            self.is_well();
        }
        Ok(())
    }

    /// The number of its process.
    pub(crate) async fn id(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(binary::Server::id)
    }

    /// What it calls itself in the database; its log says so.
    pub(crate) async fn replica(&self) -> Option<Uuid> {
        let text = self.process.lock().await.as_ref()?.told();
        let (_, id) = text.split_once("as replica ")?;
        id.get(..36)?.parse().ok()
    }
}

impl Launch {
    fn with_log(&self, log: &Path) -> binary::Launch {
        let launch = binary::Launch::of(&self.binary)
            .logging_to(log)
            .with("--database-url", &self.database_url)
            .with("--data-dir", &self.data)
            .with("--lease", self.lease.as_secs().to_string())
            .with("--drain-grace", "1")
            .with("--allow-private-hosts", "127.0.0.1");
        match &self.model_url {
            Some(url) => launch.with("--model-base-url", url).with("--model", "chaos").with("--model-timeout", "3"),
            None => launch,
        }
    }
}
