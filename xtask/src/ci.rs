//! `cargo xtask ci`: everything that must hold before a change goes in.

use crate::command::{run as run_command, works};
use crate::openapi;
use crate::report::{Report, Tally, say};
use crate::test;
use crate::workspace::Workspace;
use anyhow::Result;
use std::fs;
use std::process::Command;

const CARGO_DENY_VERSION: &str = "0.20.2";
/// Advisories are not among them: their database is not in a registry, so a closed network has none.
const DENY: [&str; 4] = ["check", "bans", "licenses", "sources"];

#[derive(clap::Args)]
#[group(id = "ci")]
pub(crate) struct Arguments {
    #[command(flatten)]
    test: test::Arguments,
}

/// Runs every step, the quick ones first.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments, report: &mut Report) {
    report.step("format", || held(&mut workspace.cargo(&["fmt", "--all", "--check"])));
    report.step("lints", || {
        held(&mut workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    report.step("documentation", || {
        held(workspace.cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    });
    report.step("dependencies: bans, licences, sources", || check_dependencies(workspace));
    report.step("openapi.yaml", || openapi::check(workspace));
    test::run(workspace, &arguments.test, report);
}

fn held(command: &mut Command) -> Result<Tally> {
    run_command(command).map(|()| Tally::HELD)
}

/// Uses the cargo-deny of the machine, else one built into the target folder.
fn check_dependencies(workspace: &Workspace) -> Result<Tally> {
    if works("cargo-deny", &["--version"]) {
        return held(Command::new("cargo-deny").args(DENY).current_dir(workspace.root()));
    }
    let program = workspace.target("tools/bin/cargo-deny");
    if !works(&program.to_string_lossy(), &["--version"]) {
        install_cargo_deny(workspace)?;
    }
    held(Command::new(program).args(DENY).current_dir(workspace.root()))
}

/// Without optimization, which takes longer than all that the program ever does here.
fn install_cargo_deny(workspace: &Workspace) -> Result<()> {
    say("cargo-deny is not installed; building it once");
    let build = workspace.target("tools/build");
    let mut install =
        workspace.cargo(&["install", "cargo-deny", "--locked", "--debug", "--quiet", "--version", CARGO_DENY_VERSION]);
    install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    run_command(install.arg("--root").arg(workspace.target("tools")).arg("--target-dir").arg(&build))?;
    fs::remove_dir_all(build)?;
    Ok(())
}
