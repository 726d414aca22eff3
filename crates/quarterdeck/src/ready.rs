//! Telling the process that started this one that it is ready, and ending with that process.

use crate::{output, settings::TestSettings};
use anyhow::Context;
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tokio_util::sync::CancellationToken;

/// Says where the server is, as it was asked to. The key is only told where it is known.
pub(crate) fn tell(settings: &TestSettings, url: &str, api_key: Option<&str>) -> anyhow::Result<()> {
    let test_url = settings.test.then(|| format!("{url}/_test/v1"));
    let line = json!({"url": url, "api_key": api_key, "test_url": test_url, "pid": std::process::id()}).to_string();
    if let Some(file) = &settings.ready_file {
        write_whole(file, &line).with_context(|| format!("cannot write --ready-file {}", file.display()))?;
    }
    if settings.ready_json {
        output::print(&format!("{line}\n")).context("cannot write to standard output")?;
    }
    Ok(())
}

/// Whoever looks sees the whole file, or none. It holds a key, so nobody else reads it.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = file.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?.write_all(text.as_bytes())?;
    fs::rename(&draft, file)
}

/// Begins to stop once standard input is at its end: the pipe closes when the process at its other end ends, however that
/// comes. What is written there is nothing to us.
pub(crate) fn stop_with_stdin(draining: CancellationToken) -> anyhow::Result<()> {
    let wait = move || {
        let mut unread = [0; 1024];
        while std::io::stdin().read(&mut unread).is_ok_and(|bytes| bytes > 0) {}
        tracing::info!("standard input was closed; stopping");
        draining.cancel();
    };
    std::thread::Builder::new().name("stdin".into()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}
