//! Finding an installed Postgres server.

use super::output_of;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder with `initdb` and `postgres`.
pub const BINARIES_VARIABLE: &str = "QUARTERDECK_TEST_POSTGRES_BIN";

/// The oldest version that serves.
pub const VERSION_MIN: u32 = 15;

/// Debian keeps the server's programs off the PATH, in a folder a version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";

/// The programs of one installed server.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds a server: in the folder that `QUARTERDECK_TEST_POSTGRES_BIN` names, else on the PATH, else the
    /// newest of `/usr/lib/postgresql`.
    ///
    /// # Errors
    /// When there is none of version 15 or newer.
    pub fn find() -> Result<Self> {
        if let Some(folder) = variable(BINARIES_VARIABLE) {
            return Self::at(Path::new(&folder)).with_context(|| format!("{BINARIES_VARIABLE} is no help"));
        }
        match on_path().into_iter().chain(newest_first(Path::new(DEBIAN_FOLDER))).find_map(|at| Self::at(&at).ok()) {
            Some(found) => Ok(found),
            None => bail!("found no Postgres server of version {VERSION_MIN} or newer; set {BINARIES_VARIABLE}"),
        }
    }

    /// The folder they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The client program; it may be installed apart from the server.
    pub fn psql(&self) -> PathBuf {
        let beside = self.folder.join("psql");
        if beside.is_file() { beside } else { PathBuf::from("psql") }
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn server(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    fn at(folder: &Path) -> Result<Self> {
        let found = Self { folder: folder.to_owned() };
        let version = major_version(&output_of(Command::new(found.server()).arg("--version"))?)?;
        if version < VERSION_MIN || !found.initdb().is_file() {
            bail!("{} holds version {version}, or lacks initdb", folder.display());
        }
        Ok(found)
    }
}

#[expect(clippy::disallowed_methods, reason = "tests take the server that the machine has")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The real folder behind `initdb` on the PATH: a lone link there has no `postgres` beside it.
fn on_path() -> Option<PathBuf> {
    let path = variable("PATH")?;
    let initdb = std::env::split_paths(&path).map(|folder| folder.join("initdb")).find(|file| file.is_file())?;
    Some(initdb.canonicalize().ok()?.parent()?.to_owned())
}

/// The `bin` folders under `root`, which holds a folder a version.
pub(super) fn newest_first(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| root.join(version.to_string()).join("bin")).collect()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian ...)`, also `17beta1`.
pub(super) fn major_version(text: &str) -> Result<u32> {
    let number = text.split_whitespace().nth(2).unwrap_or_default();
    let major: String = number.chars().take_while(char::is_ascii_digit).collect();
    major.parse().with_context(|| format!("no version in {text:?}"))
}
