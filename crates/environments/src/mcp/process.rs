//! A program that speaks MCP over its standard streams.

use super::{mask::Secrets, supervise};
use quarterdeck_api::McpServer;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{ffi::OsString, io, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Of what a program writes to its standard error, lines that reach the log, and characters of each.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 400;
/// How much of a line is read. It is masked before it is cut: a secret that was cut would not be known any more.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// How long a supervisor may take to end what it looks after, before it is killed itself.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(5);

/// A running program, in a process group of its own. Dropping it ends it and what it started: the group, and under a
/// supervisor also what has left the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
    is_supervised: bool,
}

/// Starts a program with nothing but `PATH` and the given variables around it.
pub(super) fn start(server: &McpServer, program: &Program, secrets: &Secrets) -> io::Result<Started> {
    let (first, arguments) = program.command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = match &program.supervisor {
        Some(supervisor) => {
            let mut command = Command::new(supervisor);
            command.args(supervise::arguments(first));
            command
        }
        None => Command::new(first),
    };
    command.args(arguments).args(&server.args).env_clear().envs(&server.env);
    command.env("PATH", &program.path);
    command.current_dir(std::env::temp_dir()).process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    tokio::spawn(log(server.name.clone(), stderr, secrets.clone()));
    let process = Process { child: Some(child), is_supervised: program.supervisor.is_some() };
    Ok(Started { process, stdout, stdin })
}

/// A program that may be run.
#[derive(Debug)]
pub(super) struct Program {
    /// The program and its first arguments.
    pub(super) command: Vec<String>,
    pub(super) path: OsString,
    /// What it is run under.
    pub(super) supervisor: Option<OsString>,
}

/// A program that was started, and its streams.
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) stdout: ChildStdout,
    pub(super) stdin: ChildStdin,
}

impl Process {
    /// Waits until the program has gone.
    pub(super) async fn until_gone(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.wait().await);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // None has gone and was collected. Others may be gone; then nothing is hit.
        let Some(pid) = pid else { return };
        if !self.is_supervised {
            let _ = kill_process_group(pid, Signal::KILL);
            return;
        }
        let _ = kill_process(pid, Signal::TERM);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if timeout(SUPERVISOR_TIMEOUT, child.wait()).await.is_err() {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
            });
        }
    }
}

/// Passes on what the program says, up to a limit; after it the pipe is only kept empty.
async fn log(server: String, stderr: ChildStderr, secrets: Secrets) {
    let mut stderr = BufReader::new(stderr);
    for _ in 0..LINES_MAX {
        match line(&mut stderr, &secrets).await {
            Ok(Some(line)) => tracing::info!(server, line, "an MCP server said"),
            Ok(None) | Err(_) => return,
        }
    }
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
}

/// The next line, fit for the log; none at the end.
async fn line(stderr: &mut (impl AsyncBufRead + Unpin), secrets: &Secrets) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = stderr.take(LINE_MAX_BYTES as u64).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    let is_whole = read < LINE_MAX_BYTES || line.ends_with(b"\n");
    let text = String::from_utf8_lossy(&line);
    if is_whole {
        return Ok(Some(secrets.masked_line(text.trim_end(), LINE_MAX)));
    }
    skip_line(stderr).await?;
    Ok(Some(secrets.masked_beginning(&text, LINE_MAX)))
}

async fn skip_line(stderr: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<()> {
    loop {
        let waiting = stderr.fill_buf().await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(waiting.len(), |end| end + 1);
        stderr.consume(skipped);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_long_line_is_masked_before_it_is_cut() {
        let server = json!({
            "name": "s", "transport": "stdio", "args": [], "env": {"A": "CANARY-".repeat(100)}, "headers": {},
        });
        let secrets = Secrets::of(&serde_json::from_value(server).unwrap());
        let secret = "CANARY-".repeat(100);
        for filling in [0, 1_000, 1_500, 1_599, LINE_MAX_BYTES - 650, LINE_MAX_BYTES - 1, LINE_MAX_BYTES] {
            let said = format!("{}{secret} said\nnext\n{}", " ".repeat(filling), secret.repeat(200));
            let mut stderr = BufReader::new(said.as_bytes());
            let mut lines = Vec::new();
            while let Some(line) = line(&mut stderr, &secrets).await.unwrap() {
                lines.push(line);
            }
            assert_eq!(lines.len(), 3, "{filling}");
            assert_eq!(lines[1], "next");
            assert!(!lines.concat().contains("CANARY"), "{filling}: {lines:?}");
        }
    }
}
