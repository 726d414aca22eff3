//! `cargo xtask bench`: measures what the design's speed table promises. Not written yet, and not registered.
//!
//! To write it: build the binary in release, start it with [`Server::start`](crate::server::Server::start), drive
//! it from a process of its own, and print one line a measurement. Then add a variant to `Command` in `main.rs`.

use crate::workspace::Workspace;
use anyhow::{Result, bail};

/// Runs every measurement and prints the figures.
///
/// # Errors
/// When the server or a client fails; a figure that misses its aim is no error.
pub(crate) fn run(_workspace: &Workspace) -> Result<()> {
    bail!("no measurement is written yet")
}
