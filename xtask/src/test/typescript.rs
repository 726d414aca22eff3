//! A client in TypeScript, generated from `openapi.yaml` and compiled strictly, against the real binary.

use super::Postgres;
use crate::command::{output_of, run, run_reading};
use crate::python;
use crate::report::{Report, Tally, say};
use crate::server::{API_KEY, Server};
use crate::workspace::{Workspace, variable};
use anyhow::{Context, Result, ensure};
use quarterdeck_test_support::postgres::Database;
use std::env;
use std::fs;
use std::process::Command;

const FOLDER: &str = "tests/typescript";
/// The oldest major version of Node that the tests run on.
const NODE_MIN: u32 = 20;

/// Makes the client and drives both engines with it.
pub(super) fn steps(workspace: &Workspace, postgres: &Postgres, report: &mut Report) {
    report.step("TypeScript client", || make_client(workspace));
    report.step("TypeScript client on SQLite", || drive(workspace, "sqlite", None));
    report.step("TypeScript client on Postgres", || {
        let database = Database::create_on(&postgres.url, "typescript")?;
        drive(workspace, "postgres", Some(database.url()))
    });
}

/// Installs the generator and the compiler, generates the client and compiles it with its tests.
fn make_client(workspace: &Workspace) -> Result<Tally> {
    if !node_is_there() {
        say(format_args!("there is no Node {NODE_MIN} with npm; taking the one of PyPI"));
        python::NODE.prepare(workspace)?;
    }
    install(workspace)?;
    run(npm(workspace)?.args(["run", "--silent", "generate"]))?;
    run(npm(workspace)?.args(["run", "--silent", "compile"]))?;
    Ok(Tally::HELD)
}

/// Installs what `package-lock.json` says, unless that is what there is.
fn install(workspace: &Workspace) -> Result<()> {
    let wanted = fs::read_to_string(workspace.path(FOLDER).join("package-lock.json"))?;
    let stamp = workspace.path(FOLDER).join("node_modules/installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(npm(workspace)?.args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(stamp, wanted)?;
    Ok(())
}

fn drive(workspace: &Workspace, engine: &str, database_url: Option<&str>) -> Result<Tally> {
    let log = workspace.target(&format!("typescript-{engine}.log"));
    let server = Server::start(&workspace.server(), database_url, &log)?;
    let mut tests = npm(workspace)?;
    tests.args(["run", "--silent", "drive"]);
    tests.env("QUARTERDECK_TEST_URL", server.base_url()).env("QUARTERDECK_TEST_KEY", API_KEY);
    let mut tally = Tally::default();
    let status = run_reading(&mut tests, |line| {
        say(line);
        match read_count(line) {
            Some(("pass", number)) => tally.passed = number,
            Some(("fail" | "cancelled", number)) => tally.failed += number,
            Some(("skipped" | "todo", number)) => tally.skipped += number,
            _ => {}
        }
    })?;
    ensure!(tally.passed > 0 && (status.success() || tally.failed > 0), "the tests ended with {status}");
    server.stop()?;
    Ok(tally)
}

/// Reads `ℹ pass 12`.
fn read_count(line: &str) -> Option<(&str, u64)> {
    let (what, number) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    Some((what, number.parse().ok()?))
}

/// `npm` in the folder of the client; Node from the Python environment where the machine has none.
fn npm(workspace: &Workspace) -> Result<Command> {
    let mut npm = Command::new("npm");
    npm.current_dir(workspace.path(FOLDER));
    if !node_is_there() {
        let own = python::NODE.program(workspace, "npm");
        let folder = own.parent().context("a program without a folder")?.to_owned();
        let others = variable("PATH").unwrap_or_default();
        npm = Command::new(own);
        npm.current_dir(workspace.path(FOLDER));
        npm.env("PATH", env::join_paths(std::iter::once(folder).chain(env::split_paths(&others)))?);
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
    }

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.19.2\n"), Some(20));
        assert_eq!(major("20"), None);
    }
}
