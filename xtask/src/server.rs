//! The real binary, running.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_WAIT_MAX: Duration = Duration::from_secs(30);
const STOP_WAIT_MAX: Duration = Duration::from_secs(30);
const READY: &str = "listening on ";
/// The key that every server started here accepts.
pub(crate) const API_KEY: &str = "hk-0000000000000000000000000000000000000000000000000000000000000000";

/// A server on a free port, with a data folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    base_url: String,
    log: PathBuf,
    output: Receiver<String>,
    _data: TempDir,
}

impl Server {
    /// Starts `binary` on a store and waits until it listens. No URL means its default, SQLite.
    pub(crate) fn start(binary: &Path, database_url: Option<&str>, log: &Path) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("quarterdeck-data-").tempdir()?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--api-key", API_KEY, "--browser", "none"])
            .arg("--data-dir")
            .arg(data.path());
        // Tests leave sessions behind that wait for a message.
        command.args(["--max-concurrent-sessions", "100000"]);
        command.args(database_url.iter().flat_map(|url| ["--database-url", url]));
        forget_settings(&mut command);
        Self::launch(command, data, log)
    }

    fn launch(mut command: Command, data: TempDir, log: &Path) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut process = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let output = lines(process.stdout.take().context("no output to read")?);
        let mut server = Self { process, base_url: String::new(), log: log.to_owned(), output, _data: data };
        server.base_url = server.wait_until_listening()?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it takes longer than 30 s, or does not end with exit code 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = self.process.id().to_string();
        Command::new("sh").args(["-c", "kill -s TERM \"$1\"", "kill", &process]).status()?;
        self.wait_until_silent()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the server ended with {status}; its log: {}", self.log.display());
        Ok(())
    }

    /// Its output closes when it ends.
    fn wait_until_silent(&self) -> Result<()> {
        let deadline = Instant::now() + STOP_WAIT_MAX;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => bail!("the server did not stop; its log: {}", self.log.display()),
            }
        }
    }

    fn wait_until_listening(&self) -> Result<String> {
        loop {
            match self.output.recv_timeout(START_WAIT_MAX) {
                Ok(line) => {
                    if let Some((_, url)) = line.split_once(READY) {
                        return Ok(url.trim().to_owned());
                    }
                }
                Err(_) => bail!("the server did not come up:\n{}", std::fs::read_to_string(&self.log)?),
            }
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
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What the developer's shell has set must not reach the server.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUARTERDECK_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:8430";

    #[test]
    fn a_server_is_up_once_it_says_where_it_listens() -> Result<()> {
        check("echo starting; echo listening on http://127.0.0.1:8430; exec sleep 60", |server| {
            assert_eq!(server?.base_url(), URL);
            Ok(())
        })
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_log() -> Result<()> {
        check("echo no such store >&2; exit 3", |server| {
            assert!(server.is_err_and(|error| error.to_string().contains("no such store")));
            Ok(())
        })
    }

    #[test]
    fn a_server_has_to_stop_well() -> Result<()> {
        let stopping =
            |code: u8| format!("trap 'kill $!; exit {code}' TERM; sleep 60 >/dev/null & echo listening on {URL}; wait");
        check(&stopping(0), |server| server?.stop())?;
        check(&stopping(1), |server| {
            assert!(server?.stop().is_err());
            Ok(())
        })
    }

    /// Shows what becomes of a server whose program is `script`.
    fn check(script: &str, judge: impl FnOnce(Result<Server>) -> Result<()>) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        judge(Server::launch(command, folder, &log))
    }
}
