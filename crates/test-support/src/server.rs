//! The real binary, as tests, measurements and trials of faults start it: on a free port, deaf to the settings of the shell.

use crate::processes::{Signal, send, wait_until};
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The key that every server started here accepts.
pub const API_KEY: &str = "hk-0000000000000000000000000000000000000000000000000000000000000000";
const READY: &str = "listening on http://";

/// How a server is started.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    log: Option<PathBuf>,
    data: Option<TempDir>,
}

impl Launch {
    /// Of this binary, without a browser.
    pub fn of(binary: &Path) -> Self {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--browser", "none", "--api-key", API_KEY]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUARTERDECK_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        Self { command, log: None, data: None }
    }

    /// With its log in this file, not on our own.
    #[must_use]
    pub fn logging_to(self, log: &Path) -> Self {
        Self { log: Some(log.to_owned()), ..self }
    }

    /// With this argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.arg(name).arg(value);
        self
    }

    /// With this switch.
    #[must_use]
    pub fn switched(mut self, name: &str) -> Self {
        self.command.arg(name);
        self
    }

    /// With a folder for its data that goes with it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn with_own_data(self) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("quarterdeck-data-").tempdir()?;
        let launch = self.with("--data-dir", data.path());
        Ok(Self { data: Some(data), ..launch })
    }

    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When it does not within `wait_max`; the error holds its log.
    pub fn start(mut self, wait_max: Duration) -> Result<Server> {
        if let Some(log) = &self.log {
            self.command.stderr(File::create(log)?);
        }
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = self.command.spawn().with_context(|| format!("starting {:?}", self.command))?;
        let output = lines(process.stdout.take().context("no output to read")?);
        let mut server = Server { process, address: String::new(), log: self.log, _data: self.data };
        server.address = address_said(&output, wait_max).with_context(|| server.told())?;
        Ok(server)
    }
}

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: String,
    log: Option<PathBuf>,
    _data: Option<TempDir>,
}

impl Server {
    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far.
    pub fn told(&self) -> String {
        self.log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
    }

    /// Stops it where it is.
    ///
    /// # Errors
    /// When no signal can be sent.
    pub fn freeze(&self) -> Result<()> {
        send(Signal::Stop, &[self.id()])
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When no signal can be sent.
    pub fn thaw(&self) -> Result<()> {
        send(Signal::Continue, &[self.id()])
    }

    /// Asks it to stop, and says how long that took.
    ///
    /// # Errors
    /// When it takes longer than `wait_max`, or does not end well.
    pub fn stop(mut self, wait_max: Duration) -> Result<Duration> {
        let asked = Instant::now();
        send(Signal::Terminate, &[self.id()])?;
        let log = self.log.clone().unwrap_or_default();
        let mut ended = None;
        let has_ended = || {
            ended = self.process.try_wait()?;
            Ok(ended.is_some())
        };
        wait_until("the server stopped", wait_max, has_ended).with_context(|| format!("its log: {}", log.display()))?;
        match ended {
            Some(status) if status.success() => Ok(asked.elapsed()),
            _ => bail!("the server ended with {ended:?}; its log: {}", log.display()),
        }
    }
}

fn address_said(output: &Receiver<String>, wait_max: Duration) -> Result<String> {
    let deadline = Instant::now() + wait_max;
    loop {
        let line = output.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.context("the server did not come up")?;
        if let Some((_, address)) = line.split_once(READY) {
            return Ok(address.trim().to_owned());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // an error says that it has ended already
        let _ = self.process.wait();
    }
}

/// Reads on for as long as the server runs, so that it never blocks on a full pipe.
fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens once the server has said where it is.
            drop(sender.send(line));
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "127.0.0.1:8430";
    const WAIT_MAX: Duration = Duration::from_secs(30);

    #[test]
    fn a_server_is_up_once_it_says_where_it_listens() -> Result<()> {
        check(&format!("echo starting; echo listening on http://{ADDRESS}; exec sleep 60"), |server| {
            assert_eq!(server?.address(), ADDRESS);
            Ok(())
        })
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_log() -> Result<()> {
        check("echo no such store >&2; exit 3", |server| {
            assert!(server.is_err_and(|error| format!("{error:#}").contains("no such store")));
            Ok(())
        })
    }

    #[test]
    fn a_server_has_to_stop_well() -> Result<()> {
        let stopping = |code: u8| {
            format!("trap 'kill $!; exit {code}' TERM; sleep 60 >/dev/null & echo listening on http://{ADDRESS}; wait")
        };
        check(&stopping(0), |server| server?.stop(WAIT_MAX).map(drop))?;
        check(&stopping(1), |server| {
            assert!(server?.stop(WAIT_MAX).is_err());
            Ok(())
        })
    }

    /// Shows what becomes of a server whose program is `script`.
    fn check(script: &str, judge: impl FnOnce(Result<Server>) -> Result<()>) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = Some(folder.path().join("log"));
        judge(Launch { command, log, data: None }.start(WAIT_MAX))
    }
}
