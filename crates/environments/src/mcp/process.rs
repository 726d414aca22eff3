//! A program that speaks MCP over its standard streams.

use super::mask::Secrets;
use quarterdeck_api::McpServer;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{ffi::OsStr, process::Stdio};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

/// Of what a program writes to its standard error, lines that reach the log, and characters of each.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 400;
/// How much of a line is read. It is masked before it is cut: a secret that was cut would not be known any more.
const LINE_MAX_BYTES: usize = 64 * 1024;

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
