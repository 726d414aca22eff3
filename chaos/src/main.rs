//! Breaks running servers in every way that a single machine allows, and checks what they promise.
//!
//! Real server processes, on `SQLite` and on Postgres, serve clients that write down what they were promised. Faults
//! come from a plan that follows from a seed. Afterwards everything is left alone for a while, and then every server
//! has to tell the story that the clients saw. A promise that was broken ends the program with exit code 1, and what
//! is known about it lies in `target/chaos`.
//!
//! It knows the servers only from outside: HTTP, signals, the database's and the model's side of things.

#![expect(clippy::print_stdout, reason = "the report is the product")]

mod attacks;
mod check;
mod client;
mod database;
mod follower;
mod log;
mod model;
mod overload;
mod plan;
mod promises;
mod report;
mod server;
mod stories;
mod storm;
mod world;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use database::Store;
use model::Model;
use plan::{Ground, Plan};
use rand::random;
use report::Report;
use server::{Launch, Server};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use world::World;

/// How long sessions may take to end once nothing is broken any more.
const QUIET_TIMEOUT: Duration = Duration::from_secs(40);
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Breaks running servers and checks what they promise.
#[derive(Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// The server's binary
    #[arg(long, default_value = "target/debug/quarterdeck")]
    binary: PathBuf,
    /// Where the history, the servers' logs and the evidence go
    #[arg(long, default_value = "target/chaos")]
    folder: PathBuf,
    /// On which engine
    #[arg(long, value_enum, default_value_t = Engines::Both)]
    engine: Engines,
    /// How long things are broken; checking comes on top
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// What the plan follows from [default: a random one]
    #[arg(long)]
    seed: Option<u64>,
    /// Servers on Postgres; on SQLite there is one
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Clients at once, each with one session at a time
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// Seconds after which a dead server's sessions are taken over
    #[arg(long, default_value_t = 2)]
    lease: u64,
    /// Break nothing: offer one server four times what it can take
    #[arg(long)]
    overload: bool,
    /// Break nothing: wage each attack that a caller could, for so many seconds each, and measure what others see
    #[arg(long, conflicts_with = "overload")]
    attacks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engines {
    Sqlite,
    Postgres,
    Both,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(random);
    let mut held = true;
    if arguments.engine != Engines::Postgres {
        held &= run("sqlite", Store::sqlite()?, 1, seed, &arguments).await?;
    }
    if arguments.engine != Engines::Sqlite {
        held &= run("postgres", Store::postgres()?, arguments.replicas.max(1), seed, &arguments).await?;
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run on one engine; whether every promise was kept.
async fn run(engine: &str, store: Store, replicas: usize, seed: u64, arguments: &Arguments) -> Result<bool> {
    if arguments.overload || arguments.attacks {
        return one_server(engine, &store, arguments).await;
    }
    let folder = fresh_folder(&arguments.folder.join(format!("{engine}-{seed}")))?;
    let replay = format!("--engine {engine} --seconds {} --seed {seed}", arguments.seconds);
    println!("chaos on {engine}, seed {seed}; again: cargo xtask chaos {replay}");
    let lease = Duration::from_secs(arguments.lease.max(1));
    let can_fill_disk = store.can_fill_disk();
    if !store.is_postgres() && !can_fill_disk {
        println!("  the disk is not filled: that needs a small disk of its own, which only root can mount");
    }
    let ground = Ground { replicas, has_postgres: store.is_postgres(), can_fill_disk, lease };
    let data = tempfile::tempdir()?;
    let model = Model::start().await?;
    let launch = Launch {
        binary: arguments.binary.clone(),
        database_url: store.url(),
        data: data.path().to_owned(),
        logs: folder.clone(),
        model_url: Some(model.base_url()),
        lease,
    };
    let servers: Vec<_> = (0..replicas).map(|number| Arc::new(Server::new(number, launch.clone()))).collect();
    let world = Arc::new(World::new(servers, store, model, &folder)?);
    for server in &world.servers {
        server.start(START_TIMEOUT).await?;
    }
    let clients: Vec<_> =
        (0..arguments.clients).map(|number| tokio::spawn(stories::live(Arc::clone(&world), number, seed))).collect();
    let deaths = storm::rage(&world, Plan::new(seed, ground), Duration::from_secs(arguments.seconds)).await?;
    world.calm_down(QUIET_TIMEOUT);
    let mut kept = Vec::new();
    for client in clients {
        kept.extend(client.await?);
    }
    let kept = Arc::new(kept);
    world.calm_down(Duration::from_mins(10)); // what follows asks, and waits for nothing
    check::check(&world, &kept).await?;
    for server in &world.servers {
        if let Err(error) = server.stop().await {
            world.violation(format!("{error:#}"));
        }
    }
    world.history.flush();
    let report = Report::new(&world, &kept, &check::failovers(&kept, &deaths));
    println!("{report}");
    std::fs::write(folder.join("report.txt"), report.to_string())?;
    Ok(world.violations().is_empty())
}

/// Overload and attacks: one server, which nothing is done to.
async fn one_server(engine: &str, store: &Store, arguments: &Arguments) -> Result<bool> {
    let what = if arguments.attacks { "attacks" } else { "overload" };
    println!("{what} on {engine}");
    let data = tempfile::tempdir()?;
    // The disk that is there to be filled is too small for what is created here.
    let own_file = format!("sqlite://{}", data.path().join("quarterdeck.db").display());
    let database_url = if store.is_postgres() { store.url() } else { own_file };
    let launch = Launch {
        binary: arguments.binary.clone(),
        database_url,
        data: data.path().to_owned(),
        logs: fresh_folder(&arguments.folder.join(format!("{engine}-{what}")))?,
        model_url: None,
        lease: Duration::from_secs(arguments.lease.max(1)),
    };
    let length = Duration::from_secs(arguments.seconds);
    if arguments.attacks { attacks::run(launch, length).await } else { overload::run(launch, length).await }
}

fn fresh_folder(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        std::fs::remove_dir_all(path)?;
    }
    std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
    Ok(path.canonicalize()?)
}
