//! Generated requests against the real binary, judged by `openapi.yaml`.

use super::Postgres;
use crate::command::run_reading;
use crate::python;
use crate::report::{Report, Tally, say};
use crate::server::{self, API_KEY, STOP_TIMEOUT};
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use quarterdeck_test_support::postgres::Database;
use std::process::Command;

const FOLDER: &str = "tests/schemathesis";
const ALL_PHASES: &str = "examples,coverage,fuzzing,stateful";
/// Without the phase that goes through the limits of each value: those are checked before any store is asked.
const PHASES_OF_STORES: &str = "examples,fuzzing,stateful";

/// How much is generated, and from where on.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Generation {
    /// Where Schemathesis begins; each number gives other requests
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Schemathesis goes on for so long on each engine, instead of the usual number of requests
    #[arg(long, value_name = "SECONDS")]
    fuzz_seconds: Option<u32>,
}

/// Asks both engines.
pub(super) fn steps(workspace: &Workspace, postgres: &Postgres, generation: Generation, report: &mut Report) {
    report.step("Schemathesis environment", || python::SCHEMATHESIS.prepare(workspace));
    report.step("Schemathesis on SQLite", || ask(workspace, "sqlite", None, ALL_PHASES, generation));
    report.step("Schemathesis on Postgres", || {
        let database = Database::create_on(&postgres.url, "schemathesis")?;
        ask(workspace, "postgres", Some(database.url()), PHASES_OF_STORES, generation)
    });
}

fn ask(
    workspace: &Workspace,
    engine: &str,
    database_url: Option<&str>,
    phases: &str,
    generation: Generation,
) -> Result<Tally> {
    let server = server::start(workspace, database_url, &format!("schemathesis-{engine}"))?;
    let mut schemathesis = Command::new(python::SCHEMATHESIS.program(workspace, "schemathesis"));
    schemathesis.current_dir(workspace.path(FOLDER)).args(["--config-file", "schemathesis.toml", "run"]);
    schemathesis.arg(workspace.path("openapi.yaml")).args(["--no-color", "--url", &server.base_url()]);
    schemathesis.args(["--phases", phases, "--seed", &generation.seed.to_string()]);
    if let Some(seconds) = generation.fuzz_seconds {
        schemathesis.args(["--max-time", &seconds.to_string()]);
    }
    schemathesis.env("QUARTERDECK_TEST_KEY", API_KEY).env("PYTHONDONTWRITEBYTECODE", "1");
    schemathesis.env("PYTHONPATH", ".").env("SCHEMATHESIS_HOOKS", "hooks");
    let mut generated = 0;
    let status = run_reading(&mut schemathesis, |line| {
        say(line);
        generated = read_generated(line).unwrap_or(generated);
    })?;
    ensure!(status.success(), "schemathesis ended with {status}");
    ensure!(generated > 0, "schemathesis sent nothing");
    server.stop(STOP_TIMEOUT)?;
    Ok(Tally { passed: generated, ..Tally::default() })
}

/// Reads `  12763 generated, 21 found 21 unique failures`.
fn read_generated(line: &str) -> Option<u64> {
    let (number, _) = line.trim_start().split_once(" generated")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_requests_is_read() {
        assert_eq!(read_generated("  12763 generated, 12733 passed, 30 skipped"), Some(12763));
        assert_eq!(read_generated("Seed: 1"), None);
    }
}
