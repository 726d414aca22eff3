//! The Python tests, counted.

use super::Postgres;
use crate::command::run_reading;
use crate::python;
use crate::report::{Tally, say};
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use quarterdeck_test_support::postgres::{BINARIES_VARIABLE, URL_VARIABLE};
use std::process::Command;

/// Runs `tests/sdk` against the debug build of the server.
pub(super) fn run(workspace: &Workspace, postgres: &Postgres) -> Result<Tally> {
    let mut pytest = pytest(workspace);
    pytest.arg("tests/sdk").env(URL_VARIABLE, &postgres.url).env(BINARIES_VARIABLE, &postgres.programs);
    counted(&mut pytest)
}

/// Runs the example of the plugin for pytest, by two workers of xdist, each with a server of its own.
pub(super) fn run_fixture(workspace: &Workspace) -> Result<Tally> {
    let mut pytest = pytest(workspace);
    pytest.args(["-n", "2", "-p", "pytest_quarterdeck", "--rootdir", "fixtures/pytest", "fixtures/pytest/example"]);
    pytest.env("PYTHONPATH", workspace.path("fixtures/pytest"));
    counted(&mut pytest)
}

fn pytest(workspace: &Workspace) -> Command {
    let mut pytest = Command::new(python::SDK.program(workspace, "python"));
    pytest.args(["-m", "pytest", "--color=no", "--tb=short", "-rfEs"]).current_dir(workspace.root());
    pytest.env("QUARTERDECK_BIN", workspace.server()).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest
}

fn counted(pytest: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let status = run_reading(pytest, |line| {
        say(line);
        if line.starts_with("FAILED ") || line.starts_with("ERROR ") {
            failures.push(line.to_owned());
        }
        if let Some(counted) = read_summary(line) {
            tally = counted;
        }
    })?;
    ensure!(status.success() || tally.failed > 0, "pytest ended with {status}");
    tally.failures = failures;
    Ok(tally)
}

/// Reads `===== 1 failed, 20 passed, 2 skipped, 1 error in 12.3s =====`.
fn read_summary(line: &str) -> Option<Tally> {
    let (counts, _) = line.strip_prefix('=')?.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let mut tally = Tally::default();
    for part in counts.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            "skipped" | "deselected" => tally.skipped += number,
            _ => {}
        }
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_pytest_is_counted() {
        let check = |line: &str, expected: Option<Tally>| assert_eq!(read_summary(line), expected);
        check("===== 20 passed in 12.30s =====", Some(Tally { passed: 20, ..Tally::default() }));
        let mixed = "= 1 failed, 20 passed, 2 skipped, 3 warnings, 2 errors in 72.30s (0:01:12) =";
        check(mixed, Some(Tally { passed: 20, failed: 3, skipped: 2, ..Tally::default() }));
        check("===== test session starts =====", None);
        check("FAILED tests/sdk/test_x.py::test_y", None);
    }
}
