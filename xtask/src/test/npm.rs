//! Node and npm, for the tests that are written for them.

use crate::command::{output_of, run, run_reading};
use crate::python;
use crate::report::{Tally, say};
use crate::workspace::{Workspace, variable};
use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::process::Command;

/// The oldest major version of Node that the tests run on.
const NODE_MIN: u32 = 20;

/// Installs what `package-lock.json` says, unless that is what there is.
pub(super) fn install(workspace: &Workspace, folder: &str) -> Result<()> {
    if !node_is_there() {
        say(format_args!("there is no Node {NODE_MIN} with npm; taking the one of PyPI"));
        python::NODE.prepare(workspace)?;
    }
    let wanted = fs::read_to_string(workspace.path(folder).join("package-lock.json"))?;
    let stamp = workspace.path(folder).join("node_modules/installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(command(workspace, folder)?.args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Runs tests of Node, and counts them.
pub(super) fn drive(tests: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = run_reading(tests, |line| {
        say(line);
        match read_count(line) {
            Some(("pass", number)) => tally.passed = number,
            Some(("fail" | "cancelled", number)) => tally.failed += number,
            Some(("skipped" | "todo", number)) => tally.skipped += number,
            _ => tally.failures.extend(read_failure(line)),
        }
    })?;
    tally.failures.sort();
    tally.failures.dedup();
    ensure!(tally.passed > 0 && (status.success() || tally.failed > 0), "the tests ended with {status}");
    Ok(tally)
}

/// Reads `ℹ pass 12`.
fn read_count(line: &str) -> Option<(&str, u64)> {
    let (what, number) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    Some((what, number.parse().ok()?))
}

/// Reads `✖ a session runs (12.5ms)`. Node says each twice, and the names of files beside those of tests.
fn read_failure(line: &str) -> Option<String> {
    line.trim_start().strip_prefix("✖ ").filter(|name| name.ends_with("ms)")).map(str::to_owned)
}

/// `npm` in a folder; Node from the Python environment where the machine has none.
pub(super) fn command(workspace: &Workspace, folder: &str) -> Result<Command> {
    let mut npm = Command::new("npm");
    npm.current_dir(workspace.path(folder));
    if !node_is_there() {
        let own = python::NODE.program(workspace, "npm");
        let programs = own.parent().context("a program without a folder")?.to_owned();
        let others = variable("PATH").unwrap_or_default();
        npm = Command::new(own);
        npm.current_dir(workspace.path(folder));
        npm.env("PATH", env::join_paths(std::iter::once(programs).chain(env::split_paths(&others)))?);
    }
    Ok(npm)
}

fn node_is_there() -> bool {
    let node = output_of(Command::new("node").arg("--version"));
    let is_new = node.is_ok_and(|version| major(&version).is_some_and(|major| major >= NODE_MIN));
    is_new && output_of(Command::new("npm").arg("--version")).is_ok()
}

/// Reads `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_node_is_counted() {
        assert_eq!(read_count("ℹ pass 12"), Some(("pass", 12)));
        assert_eq!(read_count("ℹ duration_ms 91.5"), None);
        assert_eq!(read_count("✔ a session runs (12ms)"), None);
        assert_eq!(read_failure("✔ a session runs (12ms)"), None);
        assert_eq!(read_failure("  ✖ a session runs (12ms)").as_deref(), Some("a session runs (12ms)"));
        assert_eq!(read_failure("✖ failing tests:"), None);
    }

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.19.2\n"), Some(20));
        assert_eq!(major("20"), None);
    }
}
