//! Throw-away Postgres servers for tests.
//!
//! [`shared`] gives a test a fresh database on a server that all tests of the process use; a test that stops,
//! freezes or restarts its server makes a [`PostgresCluster`] of its own.
//!
//! Invariant: nothing outlives the process that started it, not even when that process is killed. A guardian
//! process holds the reading end of a pipe; when the pipe closes it stops the server and removes the folder.

mod binaries;
mod database;
mod processes;
mod shared;

pub use binaries::{BINARIES_VARIABLE, Binaries, VERSION_MIN};
pub use database::Database;
pub use shared::{URL_VARIABLE, shared};

use crate::processes::{Signal, children_of, send, wait_until};
use anyhow::{Context, Result, bail, ensure};
use processes::{Account, Guardian};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

const USER: &str = "quarterdeck";
const START_ATTEMPTS: usize = 5;
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The line of `postmaster.pid` that says whether the server takes connections.
const STATUS_LINE: usize = 7;

/// How a cluster is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether a commit waits for the disk. Off is faster and loses commits when the machine dies, not when
    /// the server does. Default: on.
    pub fsync: bool,
    /// Connections the server takes. Default: 200.
    pub connections_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: true, connections_max: 200 }
    }
}

/// A Postgres server with its own folder and port, gone when dropped.
#[derive(Debug)]
pub struct PostgresCluster {
    binaries: Binaries,
    options: Options,
    account: Account,
    password: String,
    port: u16,
    server: Mutex<Option<Child>>,
    folder: TempDir,
    _guardian: Guardian,
}

impl PostgresCluster {
    /// Makes and starts a cluster with the default options.
    ///
    /// # Errors
    /// When no server of version 15 or newer is installed, or it does not start.
    pub fn new() -> Result<Self> {
        Self::with_options(Options::default())
    }

    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// When no server of version 15 or newer is installed, or it does not start.
    pub fn with_options(options: Options) -> Result<Self> {
        let binaries = Binaries::find()?;
        let account = Account::for_server()?;
        let folder = tempfile::Builder::new().prefix("quarterdeck-postgres-").tempdir()?;
        account.give(folder.path())?;
        let guardian = Guardian::watch(folder.path())?;
        let password = random_hex()?;
        initialize(&binaries, account, folder.path(), &password)?;
        let server = Mutex::new(None);
        let mut cluster = Self { binaries, options, account, password, port: 0, server, folder, _guardian: guardian };
        cluster.start_on_free_port()?;
        Ok(cluster)
    }

    /// Where `database` is reached, as a `postgres://` URL with user and password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The folder that holds the data, the log (`server.log`) and the socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an empty database whose name begins with `name` and is used by nobody else.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn create_database(&self, name: &str) -> Result<Database> {
        Database::create(self.binaries.psql(), &self.url("postgres"), name)
    }

    /// Starts the server again after [`stop_immediate`](Self::stop_immediate), on the same port.
    ///
    /// # Errors
    /// When it runs already, or does not come up within a minute.
    pub fn start(&self) -> Result<()> {
        let mut server = self.server();
        ensure!(server.is_none(), "the server runs already");
        *server = Some(self.spawn()?);
        let started = self.wait_until_ready(&mut server);
        if started.is_err() {
            kill(&mut server);
        }
        started
    }

    /// Stops the server as a crash does: no checkpoint, clients are cut off. Committed data is kept.
    ///
    /// # Errors
    /// When it does not stop within half a minute. No error when it is stopped already.
    pub fn stop_immediate(&self) -> Result<()> {
        self.stop(Signal::Quit)
    }

    /// Stops the server in order: transactions are rolled back, clients are cut off, a checkpoint is written.
    ///
    /// # Errors
    /// When it does not stop within half a minute. No error when it is stopped already.
    pub fn stop_fast(&self) -> Result<()> {
        self.stop(Signal::Interrupt)
    }

    /// A crash and the start after it.
    ///
    /// # Errors
    /// See [`stop_immediate`](Self::stop_immediate) and [`start`](Self::start).
    pub fn restart(&self) -> Result<()> {
        self.stop_immediate()?;
        self.start()
    }

    /// Freezes every process of the server: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn pause(&self) -> Result<()> {
        let postmaster = self.postmaster()?;
        send(Signal::Stop, &[postmaster])?; // first, so that it forks no more
        send(Signal::Stop, &children_of(postmaster)?)
    }

    /// Undoes [`pause`](Self::pause).
    ///
    /// # Errors
    /// When the server does not run.
    pub fn resume(&self) -> Result<()> {
        let postmaster = self.postmaster()?;
        let mut all = children_of(postmaster)?;
        all.push(postmaster);
        send(Signal::Continue, &all)
    }

    /// Cuts every client connection, of all databases.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn terminate_connections(&self) -> Result<()> {
        database::terminate(self.binaries.psql(), &self.url("postgres"), "true")
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn postmaster(&self) -> Result<u32> {
        self.server().as_ref().map(Child::id).context("the server does not run")
    }

    /// A free port may be taken by somebody else before the server binds it, so a failed start is repeated.
    fn start_on_free_port(&mut self) -> Result<()> {
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            match self.start() {
                Err(_) if attempt < START_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::create(self.folder.path().join("server.log"))?;
        let mut command = self.account.command(&self.binaries.server());
        command.arg("-D").arg(self.data_folder());
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.current_dir(self.folder.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("starting {}", self.binaries.server().display()))
    }

    fn settings(&self) -> [(&'static str, String); 7] {
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        [
            ("port", self.port.to_string()),
            ("listen_addresses", Ipv4Addr::LOCALHOST.to_string()),
            ("unix_socket_directories", self.folder.path().display().to_string()),
            ("max_connections", self.options.connections_max.to_string()),
            ("fsync", on(self.options.fsync)),
            ("full_page_writes", on(self.options.fsync)),
            ("logging_collector", on(false)),
        ]
    }

    fn wait_until_ready(&self, server: &mut Option<Child>) -> Result<()> {
        let status = self.data_folder().join("postmaster.pid");
        wait_until("Postgres is ready", START_TIMEOUT, || {
            if let Some(exit) = server.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("postgres ended with {exit} at its start:\n{}", self.log());
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            Ok(text.lines().nth(STATUS_LINE).is_some_and(|line| line.trim() == "ready"))
        })
    }

    fn stop(&self, signal: Signal) -> Result<()> {
        let mut server = self.server();
        let Some(child) = server.as_mut() else { return Ok(()) };
        let mut all = children_of(child.id())?;
        all.push(child.id());
        send(signal, &[child.id()])?;
        send(Signal::Continue, &all)?; // it may be paused
        wait_until("Postgres has stopped", STOP_TIMEOUT, || Ok(child.try_wait()?.is_some()))?;
        *server = None;
        Ok(())
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        if self.stop(Signal::Interrupt).is_err() {
            kill(&mut self.server());
        }
    }
}

/// Takes the last resort. What cannot be killed is left to the guardian.
fn kill(server: &mut Option<Child>) {
    if let Some(mut child) = server.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Makes the data folder. Over TCP a password is asked, because other users of the machine can reach the port;
/// it is sent in the clear, because hashing it on each connect costs an unoptimized client a tenth of a second.
fn initialize(binaries: &Binaries, account: Account, folder: &Path, password: &str) -> Result<()> {
    let password_file = folder.join("password");
    std::fs::write(&password_file, password)?;
    account.give(&password_file)?;
    let output = account
        .command(&binaries.initdb())
        .arg("-D")
        .arg(folder.join("data"))
        .arg(format!("--pwfile={}", password_file.display()))
        .args(["--username", USER, "--auth-local=trust", "--auth-host=password", "--no-sync", "--no-instructions"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8"]) // folds letters beyond ASCII, as production does
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("running initdb")?;
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Sixteen hex digits from the system, without a crate for it.
fn random_hex() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Runs `command` and gives what it printed.
fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests;
