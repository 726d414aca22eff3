//! The real binary, running for a step of the tests.

use crate::workspace::Workspace;
use anyhow::Result;
use quarterdeck_test_support::server::Launch;
pub(crate) use quarterdeck_test_support::server::{API_KEY, Server};
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to stop.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts one on a store, with a data folder of its own; no URL means its default, SQLite. Its log is called like the step.
pub(crate) fn start(workspace: &Workspace, database_url: Option<&str>, step: &str) -> Result<Server> {
    let launch =
        Launch::of(&workspace.server()).logging_to(&workspace.target(&format!("{step}.log"))).with_own_data()?;
    // Tests leave sessions behind that wait for a message.
    let launch = launch.with("--max-concurrent-sessions", "100000");
    match database_url {
        Some(url) => launch.with("--database-url", url),
        None => launch,
    }
    .start(START_TIMEOUT)
}
