//! Processes that tests start: signals to them, and waiting for them.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What is sent to a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// End well.
    Terminate,
    /// To Postgres: end at once, as in a crash.
    Quit,
    /// To Postgres: end, but roll back and write a checkpoint first.
    Interrupt,
    /// Freeze.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// Sends `signal`. A process that has ended meanwhile is no error: the shell's exit status is not looked at.
pub(crate) fn send(signal: Signal, processes: &[u32]) -> Result<()> {
    let script = "signal=$1; shift; for process; do kill -s \"$signal\" \"$process\"; done";
    let mut command = Command::new("sh");
    command.args(["-c", script, "kill", signal.name()]).args(processes.iter().map(u32::to_string));
    command.stderr(Stdio::null()).status().context("running sh")?;
    Ok(())
}

/// The processes whose parent is `process`.
pub(crate) fn children_of(process: u32) -> Result<Vec<u32>> {
    let numbers = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|&child| parent_of(child) == Some(process)).collect())
}

/// The fourth field of `stat`; the second one, a name, may hold spaces and brackets.
fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Asks `done` until it says yes.
///
/// # Errors
/// When it fails, or says no for `wait_max`.
pub(crate) fn wait_until(what: &str, wait_max: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + wait_max;
    while !done()? {
        if Instant::now() >= deadline {
            bail!("waited {wait_max:?} in vain until {what}");
        }
        #[expect(clippy::disallowed_methods, reason = "another process is polled, and no runtime is assumed")]
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
