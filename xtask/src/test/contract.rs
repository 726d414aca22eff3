//! The contract's cases, area by area, judged by what `expectations.toml` says of them.

mod expectations;

use super::Postgres;
use crate::command::run_reading;
use crate::report::{Report, Tally, say};
use crate::server::{self, API_KEY, STOP_TIMEOUT, Server};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use expectations::{Area, Expectations};
use quarterdeck_test_support::postgres::Database;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

const FOLDER: &str = "tests/contract";

/// Runs every area on SQLite and on Postgres, a step each.
pub(super) fn run(workspace: &Workspace, postgres: &Postgres, report: &mut Report) {
    report.step("contract cases on SQLite", || run_on(workspace, "sqlite", None));
    report.step("contract cases on Postgres", || {
        let database = Database::create_on(&postgres.url, "contract")?;
        run_on(workspace, "postgres", Some(database.url()))
    });
}

fn run_on(workspace: &Workspace, engine: &str, database_url: Option<&str>) -> Result<Tally> {
    let areas = read_areas(workspace)?;
    let expectations = Expectations::read(&workspace.path(&format!("{FOLDER}/expectations.toml")), &areas)?;
    let server = server::start(workspace, database_url, &format!("contract-{engine}"))?;
    let mut tally = Tally::default();
    for (name, cases) in &areas {
        tally += run_area(workspace, &server, name, cases, expectations.area(name))?;
    }
    server.stop(STOP_TIMEOUT)?;
    Ok(tally)
}

/// The areas with the ids of their cases.
type Areas = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Case {
    id: String,
}

fn read_areas(workspace: &Workspace) -> Result<Areas> {
    let mut areas = Areas::new();
    for entry in fs::read_dir(workspace.path(&format!("{FOLDER}/cases")))? {
        let path = entry?.path();
        let name = path.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        let cases: Vec<Case> =
            serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        areas.insert(name, cases.into_iter().map(|case| case.id).collect());
    }
    ensure!(!areas.is_empty(), "no cases in {FOLDER}/cases");
    Ok(areas)
}

fn run_area(
    workspace: &Workspace,
    server: &Server,
    name: &str,
    cases: &BTreeSet<String>,
    expected: &Area,
) -> Result<Tally> {
    if let Some(reason) = &expected.skip {
        say(format_args!("{name}: skipped: {reason}"));
        return Ok(Tally { skipped: count(cases.len()), ..Tally::default() });
    }
    let results = run_cases(workspace, server, name)?;
    let verdict = expected.judge(cases, &results);
    for complaint in &verdict.complaints {
        say(format_args!("    {complaint}"));
    }
    say(format_args!("{name}: {} of {} pass, {} as expected", verdict.passed, cases.len(), verdict.as_expected));
    let failed = count(verdict.complaints.len());
    let failures = verdict.complaints.iter().map(|complaint| format!("{name}: {complaint}")).collect();
    Ok(Tally { passed: count(verdict.as_expected), failed, skipped: 0, failures })
}

/// What each case came to.
type Results = BTreeMap<String, CaseResult>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum CaseResult {
    Passed,
    /// What it got and what it expected, in words.
    Failed(String),
}

fn run_cases(workspace: &Workspace, server: &Server, area: &str) -> Result<Results> {
    let mut results = Results::new();
    let mut is_complete = false;
    let mut check = Command::new("python3");
    check.arg(workspace.path(&format!("{FOLDER}/check_cases.py"))).args(["--verbose", "--area", area]);
    check.args(["--base-url", &server.base_url(), "--api-key", API_KEY]).stdin(Stdio::null());
    let status = run_reading(&mut check, |line| {
        results.extend(read_result(line));
        is_complete |= line.ends_with(" failed");
    })?;
    if !is_complete {
        bail!("check_cases.py broke off with {status} in {area}");
    }
    Ok(results)
}

/// Reads `agents/create-full: ok` or `agents/create-full: got ...; expected ...`; other lines are not about a case.
fn read_result(line: &str) -> Option<(String, CaseResult)> {
    let (id, said) = line.split_once(": ")?;
    match said {
        "ok" => Some((id.to_owned(), CaseResult::Passed)),
        said if said.starts_with("got ") => Some((id.to_owned(), CaseResult::Failed(said.to_owned()))),
        _ => None,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_case_is_told_from_others() {
        let failed = CaseResult::Failed("got status 500 b'a: ok'; expected status 201".to_owned());
        let line = "agents/create-full: got status 500 b'a: ok'; expected status 201";
        assert_eq!(read_result(line), Some(("agents/create-full".to_owned(), failed)));
        assert_eq!(read_result("auth/none: ok"), Some(("auth/none".to_owned(), CaseResult::Passed)));
        assert_eq!(read_result("12 passed, 1 failed"), None);
    }
}
