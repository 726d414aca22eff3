//! A program that speaks MCP over its standard streams.

use super::mask::Secrets;
use quarterdeck_api::McpServer;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{ffi::OsStr, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

/// Of what a program writes to its standard error, lines that reach the log, and characters of each.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 400;

/// A running program, in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process(Child);

/// Starts a program with nothing but `PATH` and the given variables around it.
pub(super) fn start(
    server: &McpServer,
    command: &[String],
    path: &OsStr,
    secrets: &Secrets,
) -> std::io::Result<(Process, ChildStdout, ChildStdin)> {
    let (program, first) = command.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(first).args(&server.args).env_clear().envs(&server.env);
    command.env("PATH", path);
    command.current_dir(std::env::temp_dir()).process_group(0).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    tokio::spawn(log(server.name.clone(), stderr, secrets.clone()));
    Ok((Process(child), stdout, stdin))
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Passes on what the program says, up to a limit; after it the pipe is only kept empty.
async fn log(server: String, stderr: ChildStderr, secrets: Secrets) {
    let mut stderr = BufReader::new(stderr);
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        let mut limited = (&mut stderr).take(LINE_MAX as u64 * 4);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = secrets.masked_line(String::from_utf8_lossy(&line).trim_end(), LINE_MAX);
                tracing::info!(server, line, "an MCP server said");
            }
        }
    }
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
}
