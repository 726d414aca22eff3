//! `cargo xtask bench`: measures a release build; `bench/` does the measuring.

use crate::command::run as run_command;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::Command;

/// What is passed on to the bench; see `cargo xtask bench -- --help`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Options of the bench itself, such as `--only sessions --engine sqlite --seconds 10`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds server and bench in release and runs every measurement.
///
/// # Errors
/// When the server or a client fails; a figure that misses its aim is no error.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    run_command(&mut workspace.cargo(&["build", "--release", "-p", "quarterdeck", "-p", "quarterdeck-bench"]))?;
    let mut bench = Command::new(workspace.target("release/quarterdeck-bench"));
    run_command(bench.arg("--binary").arg(workspace.target("release/quarterdeck")).args(&arguments.options))
}
