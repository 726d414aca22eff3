//! A server process that is killed, frozen, stopped and started again.

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::File,
    path::PathBuf,
    process::Stdio,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// The key that every server here accepts.
pub(crate) const KEY: &str = "hk-chaos-0000000000000000000000000000000000000000000000000000000000";
const START_WAIT: Duration = Duration::from_secs(20);
/// What documentation promises, and a little for a busy machine.
const STOP_WAIT: Duration = Duration::from_secs(25);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

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
    process: tokio::sync::Mutex<Option<Running>>,
    address: Mutex<String>,
    /// Odd while something is done to the process, and one more afterwards.
    disturbances: AtomicU64,
}

struct Running {
    child: Child,
    log: PathBuf,
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
                Err(_) => sleep(RETRY_PAUSE).await,
            }
        }
    }

    async fn try_start(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        ensure!(process.is_none(), "server {} runs already", self.number);
        let log = self.launch.logs.join(format!("server-{}-{}.log", self.number, self.stretch().0));
        let mut child = self.launch.command(&log)?.spawn().context("starting the server")?;
        let output = child.stdout.take().context("no output")?;
        let address = timeout(START_WAIT, read_address(output)).await;
        let Some(address) = address.ok().flatten() else {
            let _ = child.kill().await;
            bail!("it said: {}", tokio::fs::read_to_string(&log).await.unwrap_or_default());
        };
        *self.address_guard() = address;
        *process = Some(Running { child, log });
        drop(process);
        self.is_well();
        Ok(())
    }

    /// As a crash of the machine would.
    pub(crate) async fn kill(&self) -> Result<()> {
        self.is_ill();
        if let Some(mut running) = self.process.lock().await.take() {
            running.child.kill().await?;
        }
        Ok(())
    }

    /// Asks it to stop, and says how long that took.
    ///
    /// # Errors
    /// When it takes longer than it may, or does not end well.
    pub(crate) async fn stop(&self) -> Result<Duration> {
        self.is_ill();
        let Some(mut running) = self.process.lock().await.take() else { return Ok(Duration::ZERO) };
        let asked = Instant::now();
        signal("TERM", &running.child).await?;
        let Ok(ended) = timeout(STOP_WAIT, running.child.wait()).await else {
            running.child.kill().await?;
            bail!("server {} did not stop within {STOP_WAIT:?}; its log: {}", self.number, running.log.display());
        };
        let status = ended?;
        ensure!(status.success(), "server {} ended with {status}; its log: {}", self.number, running.log.display());
        Ok(asked.elapsed())
    }

    pub(crate) async fn freeze(&self) -> Result<()> {
        self.is_ill();
        match &*self.process.lock().await {
            Some(running) => signal("STOP", &running.child).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn thaw(&self) -> Result<()> {
        if let Some(running) = &*self.process.lock().await {
            signal("CONT", &running.child).await?;
            self.is_well();
        }
        Ok(())
    }

    /// What it calls itself in the database; its log says so.
    pub(crate) async fn replica(&self) -> Option<Uuid> {
        let log = self.process.lock().await.as_ref()?.log.clone();
        let text = tokio::fs::read_to_string(log).await.ok()?;
        let (_, id) = text.split_once("as replica ")?;
        id.get(..36)?.parse().ok()
    }
}

impl Launch {
    fn command(&self, log: &std::path::Path) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--browser",
            "none",
            "--api-key",
            KEY,
            "--database-url",
            &self.database_url,
        ]);
        if let Some(url) = &self.model_url {
            command.args(["--model-base-url", url, "--model", "chaos", "--model-timeout", "3"]);
        }
        command.arg("--data-dir").arg(&self.data);
        command.args(["--lease", &self.lease.as_secs().to_string(), "--drain-grace", "1"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUARTERDECK_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log)?).kill_on_drop(true);
        Ok(command)
    }
}

/// Reads on afterwards, so that the server never blocks on a full pipe.
async fn read_address(output: tokio::process::ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = line.strip_prefix("listening on http://") {
            let address = address.trim().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(address);
        }
    }
    None
}

async fn signal(name: &str, child: &Child) -> Result<()> {
    let Some(process) = child.id() else { return Ok(()) };
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$1\" \"$2\"", "kill", name, &process.to_string()]);
    ensure!(command.status().await?.success(), "could not send {name}");
    Ok(())
}
