//! The store under the servers, and what is done to it.

use anyhow::{Context, Result, ensure};
use quarterdeck_test_support::postgres::{Database, PostgresCluster};
use sqlx::{Connection, PgConnection};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// Enough for a short run, and little enough to be filled at once.
const DISK_MIB: u32 = 96;

/// Where the servers keep their sessions.
pub(crate) enum Store {
    Sqlite { disk: Disk },
    Postgres { cluster: Arc<PostgresCluster>, database: Option<Database> },
}

impl Store {
    pub(crate) fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite { disk: Disk::new()? })
    }

    pub(crate) fn postgres() -> Result<Self> {
        let cluster = PostgresCluster::new()?;
        let database = cluster.create_database("chaos")?;
        Ok(Self::Postgres { cluster: Arc::new(cluster), database: Some(database) })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    pub(crate) fn can_fill_disk(&self) -> bool {
        matches!(self, Self::Sqlite { disk: Disk { is_mounted: true, .. } })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite { disk } => format!("sqlite://{}", disk.path().join("quarterdeck.db").display()),
            Self::Postgres { database, .. } => {
                database.as_ref().map(|database| database.url().to_owned()).unwrap_or_default()
            }
        }
    }

    pub(crate) fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Sqlite { disk } => Some(disk),
            Self::Postgres { .. } => None,
        }
    }

    /// Does something to Postgres, off the runtime's threads; nothing to do on SQLite.
    pub(crate) async fn with_cluster(
        &self,
        act: impl FnOnce(&PostgresCluster) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let Self::Postgres { cluster, .. } = self else { return Ok(()) };
        let cluster = Arc::clone(cluster);
        spawn_blocking(move || act(&cluster)).await?
    }

    /// Lets writes through or not, for all that begin from now on.
    pub(crate) async fn set_read_only(&self, yes: bool) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let setting = if yes { "on" } else { "off" };
        let statement = format!("ALTER SYSTEM SET default_transaction_read_only = {setting}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        sqlx::query("SELECT pg_reload_conf()").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// The sessions that a replica owns and that have work to do: what has to go on elsewhere when it dies.
    pub(crate) async fn running(&self, owner: Uuid) -> Result<Vec<Uuid>> {
        ensure!(self.is_postgres(), "only Postgres is shared");
        let mut connection = PgConnection::connect(&self.url()).await?;
        let query = "SELECT id FROM sessions WHERE owner = $1 AND due_at <= now()";
        let ids = sqlx::query_scalar(query).bind(owner).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(ids)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It is dropped on the server it lives on, which has to be there.
        if let Self::Postgres { database, .. } = self {
            drop(database.take());
        }
    }
}

/// A folder; for root a small disk of its own, which can be filled.
pub(crate) struct Disk {
    folder: TempDir,
    is_mounted: bool,
}

impl Disk {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("quarterdeck-chaos-").tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "none"]).arg(folder.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        Ok(Self { folder, is_mounted })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Leaves no byte free.
    pub(crate) async fn fill(&self) -> Result<()> {
        let path = self.ballast();
        spawn_blocking(move || {
            use std::io::Write;
            let mut file = std::fs::File::create(&path).context("the ballast")?;
            for size in [1 << 20, 4096, 1] {
                let block = vec![0; size];
                while file.write_all(&block).is_ok() {}
            }
            anyhow::Ok(())
        })
        .await?
    }

    pub(crate) async fn free(&self) -> Result<()> {
        match tokio::fs::remove_file(self.ballast()).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a server may still be ending.
            let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        }
    }
}
