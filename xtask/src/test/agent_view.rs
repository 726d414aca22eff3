//! Agent View in a real Chromium, against the real binary: `tests/agent-view`.

use super::npm;
use crate::python;
use crate::report::{Report, Tally};
use crate::workspace::{Workspace, variable};
use anyhow::{Context, Result};
use std::path::PathBuf;

const FOLDER: &str = "tests/agent-view";
/// Names the browser where it is not in one of the usual places.
const CHROMIUM_VARIABLE: &str = "QUARTERDECK_TEST_CHROMIUM";
const CHROMIUM_PLACES: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/opt/google/chrome/chrome"];

/// Installs what drives the browser, and drives it.
pub(super) fn steps(workspace: &Workspace, report: &mut Report) {
    report.step("Agent View in Chromium", || drive(workspace));
}

fn drive(workspace: &Workspace) -> Result<Tally> {
    let chromium = chromium()?;
    // What the page lets people copy is run: as Python, and as `hai`.
    python::SDK.prepare(workspace)?;
    let hai = python::SDK.program(workspace, "hai");
    let programs = hai.parent().context("a program without a folder")?;
    npm::install(workspace, FOLDER)?;
    let mut tests = npm::command(workspace, FOLDER)?;
    tests.args(["run", "--silent", "drive"]);
    tests.env("QUARTERDECK_TEST_BINARY", workspace.server()).env(CHROMIUM_VARIABLE, chromium);
    tests.env("QUARTERDECK_TEST_PYTHON_PROGRAMS", programs);
    tests.env("QUARTERDECK_TEST_BINARY_WITHOUT_VIEW", workspace.build_server_without_view()?);
    npm::drive(&mut tests)
}

/// The browser that the tests drive.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = variable(CHROMIUM_VARIABLE) {
        return Ok(named.into());
    }
    let found = CHROMIUM_PLACES.into_iter().map(PathBuf::from).find(|place| place.exists());
    found.with_context(|| format!("there is no Chromium; install one, or name it in {CHROMIUM_VARIABLE}"))
}
