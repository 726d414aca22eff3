//! A client in TypeScript, generated from `openapi.yaml` and compiled strictly, against the real binary.

use super::{Postgres, npm};
use crate::command::run;
use crate::report::{Report, Tally};
use crate::server::{self, API_KEY, STOP_TIMEOUT};
use crate::workspace::Workspace;
use anyhow::Result;
use quarterdeck_test_support::postgres::Database;

const FOLDER: &str = "tests/typescript";

/// Makes the client and drives both engines with it.
pub(super) fn steps(workspace: &Workspace, postgres: &Postgres, report: &mut Report) {
    report.step("TypeScript client", || make_client(workspace));
    report.step("TypeScript client on SQLite", || drive(workspace, "sqlite", None));
    report.step("TypeScript client on Postgres", || {
        let database = Database::create_on(&postgres.url, "typescript")?;
        drive(workspace, "postgres", Some(database.url()))
    });
    report.step("example of the vitest fixture", || run_fixture(workspace));
}

/// Runs the example of the helper for vitest.
fn run_fixture(workspace: &Workspace) -> Result<Tally> {
    const FIXTURE: &str = "fixtures/vitest";
    npm::install(workspace, FIXTURE)?;
    run(npm::command(workspace, FIXTURE)?.args(["test"]).env("QUARTERDECK_BIN", workspace.server()))?;
    Ok(Tally::HELD)
}

/// Installs the generator and the compiler, generates the client and compiles it with its tests.
fn make_client(workspace: &Workspace) -> Result<Tally> {
    npm::install(workspace, FOLDER)?;
    run(npm::command(workspace, FOLDER)?.args(["run", "--silent", "generate"]))?;
    run(npm::command(workspace, FOLDER)?.args(["run", "--silent", "compile"]))?;
    Ok(Tally::HELD)
}

fn drive(workspace: &Workspace, engine: &str, database_url: Option<&str>) -> Result<Tally> {
    let server = server::start(workspace, database_url, &format!("typescript-{engine}"))?;
    let mut tests = npm::command(workspace, FOLDER)?;
    tests.args(["run", "--silent", "drive"]);
    tests.env("QUARTERDECK_TEST_URL", server.base_url()).env("QUARTERDECK_TEST_KEY", API_KEY);
    let tally = npm::drive(&mut tests)?;
    server.stop(STOP_TIMEOUT)?;
    Ok(tally)
}
