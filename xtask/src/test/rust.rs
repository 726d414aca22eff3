//! `cargo test`, counted.

use super::Postgres;
use crate::command::run_reading;
use crate::report::{Tally, say};
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use quarterdeck_test_support::postgres::URL_VARIABLE;

/// Runs all tests of the workspace, documentation tests included.
pub(super) fn run(workspace: &Workspace, postgres: &Postgres) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut cargo = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    let status = run_reading(cargo.env(URL_VARIABLE, &postgres.url), |line| {
        say(line);
        if let Some(counted) = read_result(line) {
            tally += counted;
        }
    })?;
    ensure!(status.success() || tally.failed > 0, "cargo test ended with {status}");
    Ok(tally)
}

/// Reads `test result: ok. 11 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 4.48s`.
fn read_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_of_a_test_binary_is_counted() {
        let line = "test result: FAILED. 9 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 3.66s";
        assert_eq!(read_result(line), Some(Tally { passed: 9, failed: 1, skipped: 2 }));
        assert_eq!(read_result("test result_is_read ... ok"), None);
    }
}
