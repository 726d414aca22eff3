//! Where things are, and how cargo is called.

use crate::command;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository and its target folder.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    root: PathBuf,
    #[serde(rename = "target_directory")]
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let mut cargo = Command::new(cargo_program());
        cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&command::output_of(&mut cargo)?).context("reading the output of cargo metadata")
    }

    /// A path below the root of the repository.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A path below the target folder.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.target.join(below)
    }

    /// `cargo` at the root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(cargo_program());
        cargo.args(arguments).current_dir(&self.root);
        cargo
    }

    /// Builds the server in debug and gives its path.
    pub(crate) fn build_server(&self) -> Result<PathBuf> {
        command::run(&mut self.cargo(&["build", "--package", "quarterdeck"]))?;
        Ok(self.server())
    }

    /// Builds the server without Agent View, beside the usual one, and gives its path.
    pub(crate) fn build_server_without_view(&self) -> Result<PathBuf> {
        command::run(&mut self.cargo(&["build", "--package", "quarterdeck", "--no-default-features"]))?;
        let kept = self.target("debug/quarterdeck-without-view");
        std::fs::copy(self.server(), &kept)?;
        self.build_server()?;
        Ok(kept)
    }

    /// Where the server's debug build is.
    pub(crate) fn server(&self) -> PathBuf {
        self.target("debug/quarterdeck")
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

fn cargo_program() -> String {
    variable("CARGO").unwrap_or_else(|| "cargo".to_owned())
}

/// Reads an environment variable.
#[expect(clippy::disallowed_methods, reason = "a developer's commands take the developer's environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
