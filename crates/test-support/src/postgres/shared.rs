//! One server for all tests of a process, or of a whole test run.

use super::{Database, Options, PostgresCluster};
use anyhow::{Result, anyhow};
use std::sync::OnceLock;

/// Names a running server by the URL of its database `postgres`, as a user who may create databases.
/// `cargo xtask test` sets it, so that not every test binary starts a server.
pub const URL_VARIABLE: &str = "QUARTERDECK_TEST_POSTGRES_URL";

/// A fresh database on the server that `QUARTERDECK_TEST_POSTGRES_URL` names, else on one that this process
/// starts once and that ends with it.
///
/// # Errors
/// When there is no server to be had.
pub fn shared() -> Result<Database> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| Server::open().map_err(|error| format!("{error:#}")));
    server.as_ref().map_err(|error| anyhow!("no Postgres for this test: {error}"))?.create_database("shared")
}

enum Server {
    Own(PostgresCluster),
    Running { url: String },
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the test run names the server it started")]
    fn open() -> Result<Self> {
        match std::env::var(URL_VARIABLE) {
            Ok(url) => Ok(Self::Running { url }),
            // No test here cuts the machine's power, and making a database is slow when it waits for the disk.
            Err(_) => PostgresCluster::with_options(Options { fsync: false, ..Options::default() }).map(Self::Own),
        }
    }

    fn create_database(&self, name: &str) -> Result<Database> {
        match self {
            Self::Own(cluster) => cluster.create_database(name),
            Self::Running { url } => Database::create_on(url, name),
        }
    }
}
