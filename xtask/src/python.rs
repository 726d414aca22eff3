//! The Python environment of the SDK tests.

use crate::command;
use crate::report::{Tally, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = "tests/sdk/requirements.txt";

/// Makes the environment, or makes it anew when the requirements have changed.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Tally> {
    let folder = folder(workspace);
    let wanted = fs::read_to_string(workspace.path(REQUIREMENTS)).with_context(|| format!("reading {REQUIREMENTS}"))?;
    if works(&folder) && fs::read_to_string(stamp(&folder)).is_ok_and(|installed| installed == wanted) {
        say("up to date");
        return Ok(Tally::HELD);
    }
    command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(python(workspace));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    command::run(pip.arg(workspace.path(REQUIREMENTS)))?;
    fs::write(stamp(&folder), wanted)?; // last, so that a broken-off installation is not taken for a whole one
    Ok(Tally::HELD)
}

/// The interpreter of the environment.
pub(crate) fn python(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("bin/python")
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target("python")
}

/// The requirements that were installed.
fn stamp(folder: &Path) -> PathBuf {
    folder.join("installed.txt")
}

/// An environment breaks when the interpreter it was made from goes away.
fn works(folder: &Path) -> bool {
    command::works(&folder.join("bin/python").to_string_lossy(), &["-c", "import hai_agents, pytest"])
}
