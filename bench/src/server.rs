//! The measured server, in a process of its own.

use crate::{Arguments, client::Client, table::Table};
use anyhow::{Context, Result, ensure};
use quarterdeck_test_support::{
    postgres::{Database, PostgresCluster},
    server::Launch,
};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const START_WAIT_MAX: Duration = Duration::from_secs(30);

/// Where sessions are stored.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    folder: PathBuf,
    /// Dropped before the cluster they are on.
    databases: Mutex<Vec<Database>>,
    cluster: Option<PostgresCluster>,
}

impl Engine {
    pub(crate) fn sqlite(folder: &Path) -> Self {
        Self { name: "sqlite", folder: folder.to_owned(), databases: Mutex::default(), cluster: None }
    }

    pub(crate) fn postgres(cluster: PostgresCluster) -> Self {
        Self { name: "postgres", folder: PathBuf::new(), databases: Mutex::default(), cluster: Some(cluster) }
    }

    pub(crate) fn can_be_shared(&self) -> bool {
        self.cluster.is_some()
    }

    /// The URL of a fresh database.
    pub(crate) fn fresh_url(&self) -> Result<String> {
        let Some(cluster) = &self.cluster else {
            let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
            return Ok(format!("sqlite://{}", self.folder.join(format!("{stamp}.db")).display()));
        };
        let database = cluster.create_database("bench")?;
        let url = database.url().to_owned();
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(database);
        Ok(url)
    }
}

/// A running server.
pub(crate) struct Server {
    process: quarterdeck_test_support::server::Server,
    pub(crate) address: String,
    /// From the start of the process to its word that it listens.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts one on a fresh database; without a model it is the scripted one.
    pub(crate) async fn start(arguments: &Arguments, engine: &Engine, model: Option<&str>) -> Result<Self> {
        Self::start_on(arguments, &engine.fresh_url()?, model).await
    }

    /// Starts one in test mode on a fresh database.
    pub(crate) async fn start_for_tests(arguments: &Arguments, engine: &Engine) -> Result<Self> {
        Self::start_with(arguments, &engine.fresh_url()?, None, &["--test"]).await
    }

    /// Starts one on this database.
    pub(crate) async fn start_on(arguments: &Arguments, url: &str, model: Option<&str>) -> Result<Self> {
        Self::start_with(arguments, url, model, &[]).await
    }

    async fn start_with(arguments: &Arguments, url: &str, model: Option<&str>, options: &[&str]) -> Result<Self> {
        let started = Instant::now();
        let mut launch = Launch::of(&arguments.binary)
            .with("--log", "warn")
            .with("--max-concurrent-sessions", "1000000")
            .with("--database-url", url);
        for option in options {
            launch = launch.switched(option);
        }
        if let Some(model) = model {
            launch = launch.with("--model-base-url", model).with("--model", "bench");
        }
        let process = tokio::task::spawn_blocking(|| launch.start(START_WAIT_MAX)).await??;
        Ok(Self { address: process.address().to_owned(), process, ready_after: started.elapsed() })
    }

    /// Resident memory in KiB.
    pub(crate) async fn memory_kib(&self) -> Result<u64> {
        let status = tokio::fs::read_to_string(format!("/proc/{}/status", self.process.id())).await?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
    }

    /// CPU time used so far.
    pub(crate) async fn cpu(&self) -> Result<Duration> {
        let stat = tokio::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).await?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

/// Start-up, first answer, idle memory.
pub(crate) async fn measure_idle(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let started = Instant::now();
    let server = Server::start(arguments, engine, None).await?;
    let mut client = Client::connect(&server.address).await?;
    let (status, _) = client.get("/healthz").await?;
    ensure!(status == 200, "healthz answered {status}");
    let first = started.elapsed();
    let id = client.create(crate::sessions::ONE_SHOT).await?;
    client.follow(&id, 0, &["completed"]).await?;
    let answered = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let memory = server.memory_kib().await? / 1024;
    let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    table.row(engine.name, "start to listening", ms(server.ready_after), String::new());
    table.row(engine.name, "start to first answered request", ms(first), String::new());
    table.row(engine.name, "start to first answered session", ms(answered), "aim: under 100 ms".into());
    table.row(engine.name, "idle memory", format!("{memory} MiB"), "aim: under 30 MiB".into());
    Ok(())
}
