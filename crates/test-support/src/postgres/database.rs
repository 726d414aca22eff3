//! A database of its own for each test.

use super::{Binaries, output_of, random_hex};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What keeps a name, with its 17 characters of suffix, under the 63 bytes that Postgres keeps.
const PREFIX_CHARS_MAX: usize = 40;

/// An empty database with a name nobody else uses, dropped with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    admin_url: String,
    psql: PathBuf,
}

impl Database {
    /// Makes one on a running server; `admin_url` reaches its database `postgres`, as a user who may make others.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub fn create_on(admin_url: &str, name: &str) -> Result<Self> {
        // The server may be another machine's: then only the client is here.
        let psql = Binaries::find().map_or_else(|_| PathBuf::from("psql"), |binaries| binaries.psql());
        Self::create(psql, admin_url, name)
    }

    /// Makes one on the server that `admin_url` reaches.
    pub(super) fn create(psql: PathBuf, admin_url: &str, name: &str) -> Result<Self> {
        let name = unique(name)?;
        query(&psql, admin_url, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { url: with_database(admin_url, &name)?, name, admin_url: admin_url.to_owned(), psql })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is reached, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL through `psql` and gives the rows, columns parted by `|`.
    ///
    /// # Errors
    /// When a statement fails or the server does not answer.
    pub fn query(&self, sql: &str) -> Result<String> {
        query(&self.psql, &self.url, sql)
    }

    /// Cuts every connection to this database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn terminate_connections(&self) -> Result<()> {
        terminate(&self.psql, &self.admin_url, &format!("datname = '{}'", self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test may have stopped the server; then the folder goes, and the database with it.
        let _ = query(&self.psql, &self.admin_url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Cuts the client connections that the condition picks from `pg_stat_activity`, except the one that asks.
pub(super) fn terminate(psql: impl AsRef<Path>, admin_url: &str, condition: &str) -> Result<()> {
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND {condition}"
    );
    query(psql.as_ref(), admin_url, &sql).map(drop)
}

fn query(psql: &Path, url: &str, sql: &str) -> Result<String> {
    let mut command = Command::new(psql);
    command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
    command.args(["--dbname", url, "--command", sql]).env("PGCONNECT_TIMEOUT", "30");
    Ok(output_of(&mut command)?.trim_end().to_owned())
}

/// Needs no quotes in SQL: small letters, digits and underscores.
pub(super) fn unique(name: &str) -> Result<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let prefix: String = name.chars().map(plain).take(PREFIX_CHARS_MAX).collect();
    Ok(format!("t_{prefix}_{}", random_hex()?))
}

/// `url` with another database; options behind a question mark stay.
pub(super) fn with_database(url: &str, name: &str) -> Result<String> {
    let (front, options) = url.split_once('?').map_or((url, None), |(front, options)| (front, Some(options)));
    let authority = front.find("://").with_context(|| format!("no URL: {url:?}"))? + "://".len();
    let end = front[authority..].find('/').map_or(front.len(), |slash| authority + slash);
    let options = options.map(|text| format!("?{text}")).unwrap_or_default();
    Ok(format!("{}/{name}{options}", &front[..end]))
}
