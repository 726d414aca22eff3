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
    let mut failures = Failures::default();
    let mut cargo = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    let status = run_reading(cargo.env(URL_VARIABLE, &postgres.url), |line| {
        say(line);
        failures.read(line);
        if let Some(counted) = read_result(line) {
            tally += counted;
        }
    })?;
    ensure!(status.success() || tally.failed > 0, "cargo test ended with {status}");
    tally.failures = failures.told;
    Ok(tally)
}

/// What cargo test tells of each failed test: its name, and what it printed.
#[derive(Default)]
struct Failures {
    told: Vec<String>,
    is_inside_one: bool,
}

impl Failures {
    /// Reads `---- area::a_test stdout ----`, and the lines below it.
    fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.told.push(name.to_owned());
            self.is_inside_one = true;
        } else if line == "failures:" {
            self.is_inside_one = false;
        } else if self.is_inside_one
            && !line.trim().is_empty()
            && let Some(told) = self.told.last_mut()
        {
            told.push('\n');
            told.push_str(line);
        }
    }
}

/// Reads `test result: ok. 11 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 4.48s`.
fn read_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")?, ..Tally::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_of_a_test_binary_is_counted() {
        let line = "test result: FAILED. 9 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 3.66s";
        assert_eq!(read_result(line), Some(Tally { passed: 9, failed: 1, skipped: 2, ..Tally::default() }));
        assert_eq!(read_result("test result_is_read ... ok"), None);
    }

    #[test]
    fn the_name_and_the_reason_of_a_failed_test_are_kept() {
        let mut failures = Failures::default();
        let printed = "failures:\n\n---- a::one stdout ----\n\nthread 'a::one' panicked at a.rs:1:\nleft is right\n\n\
                       ---- a::two stdout ----\nno\n\n\nfailures:\n    a::one\n    a::two\n\ntest result: FAILED.";
        printed.lines().for_each(|line| failures.read(line));
        assert_eq!(failures.told, ["a::one\nthread 'a::one' panicked at a.rs:1:\nleft is right", "a::two\nno"]);
    }
}
