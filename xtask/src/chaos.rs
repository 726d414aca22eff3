//! `cargo xtask chaos`: breaks running servers and checks what they promise; `chaos/` does the breaking.

use crate::command::run as run_command;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::Command;

/// What is passed on; see `cargo xtask chaos -- --help`.
#[derive(clap::Args)]
#[group(id = "chaos")]
pub(crate) struct Arguments {
    /// Options of the harness, such as `--engine sqlite --seconds 600 --seed 7`; `--release` breaks a release build
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds server and harness, and runs it.
///
/// # Errors
/// When a promise was broken.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let (release, options): (Vec<&str>, Vec<&str>) =
        arguments.options.iter().map(String::as_str).partition(|option| *option == "--release");
    let profile = if release.is_empty() { "debug" } else { "release" };
    let mut build = workspace.cargo(&["build", "-p", "quarterdeck", "-p", "quarterdeck-chaos"]);
    run_command(build.args(release))?;
    run_command(&mut harness(workspace, profile, &options))
}

/// The harness on the server of the same profile.
pub(crate) fn harness(workspace: &Workspace, profile: &str, options: &[&str]) -> Command {
    let mut harness = Command::new(workspace.target(&format!("{profile}/quarterdeck-chaos")));
    harness.arg("--binary").arg(workspace.target(&format!("{profile}/quarterdeck")));
    harness.arg("--folder").arg(workspace.target("chaos")).args(options);
    harness
}
