//! Measures a release build of the server and prints a table: the figures of `docs/performance.md`.
//!
//! Client, fake model and server share the machine, the server in a process of its own. Every figure stands
//! beside the limit it can be compared with, measured in the same run: a bare axum handler, the database's own
//! rate of small commits. Nothing is asserted: a figure that misses its aim is a figure.
#![expect(clippy::disallowed_methods, reason = "time is what is measured")]

mod client;
mod limits;
mod live;
mod pages;
mod replicas;
mod server;
mod sessions;
mod status;
mod steps;
mod table;
mod test_target;
mod waiters;

use anyhow::Result;
use clap::Parser;
use quarterdeck_test_support::postgres::PostgresCluster;
use server::Engine;
use table::Table;
use tempfile::TempDir;

#[derive(Parser)]
struct Arguments {
    /// The server's binary
    #[arg(long, default_value = "target/release/quarterdeck")]
    binary: std::path::PathBuf,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only this part: sessions, steps, commits, status, replicas, waiters, live, pages, idle, test-target
    #[arg(long)]
    only: Option<String>,
    /// Only this engine: sqlite, postgres
    #[arg(long)]
    engine: Option<String>,
    /// Waiters to hold at once
    #[arg(long, default_value_t = 10_000)]
    waiters: usize,
    /// Clients that follow sessions at work
    #[arg(long, default_value_t = 2_000)]
    followers: usize,
    /// Seconds for which they do
    #[arg(long, default_value_t = 60)]
    follow_seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Each waiter is a connection.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut table = Table::new();
    if arguments.wants_engine("sqlite") {
        let folder = TempDir::new()?;
        measure(&arguments, &Engine::sqlite(folder.path()), &mut table).await?;
    }
    if arguments.wants_engine("postgres") {
        let cluster = PostgresCluster::new()?;
        measure(&arguments, &Engine::postgres(cluster), &mut table).await?;
    }
    table.print();
    Ok(())
}

async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    if arguments.wants("idle") {
        server::measure_idle(arguments, engine, table).await?;
    }
    if arguments.wants("commits") {
        limits::measure_commits(arguments, engine, table).await?;
    }
    if arguments.wants("sessions") {
        sessions::measure(arguments, engine, table).await?;
    }
    if arguments.wants("steps") {
        steps::measure(arguments, engine, table).await?;
    }
    if arguments.wants("replicas") && engine.can_be_shared() {
        replicas::measure(arguments, engine, table).await?;
    }
    if arguments.wants("status") {
        status::measure(arguments, engine, table).await?;
    }
    if arguments.wants("waiters") {
        waiters::measure(arguments, engine, table).await?;
    }
    if arguments.wants("live") {
        live::measure(arguments, engine, table).await?;
    }
    // Its clock is one process's, so no store is shared with others.
    if arguments.wants("test-target") && !engine.can_be_shared() {
        test_target::measure(arguments, engine, table).await?;
    }
    if arguments.wants("pages") {
        pages::measure(arguments, engine, table).await?;
    }
    Ok(())
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    fn wants_engine(&self, engine: &str) -> bool {
        self.engine.as_deref().is_none_or(|only| only == engine)
    }
}
