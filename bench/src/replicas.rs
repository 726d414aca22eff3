//! What a second server on the same Postgres brings.

use crate::{
    Arguments,
    server::{Engine, Server},
    sessions,
    table::{Table, Times, rate},
};
use anyhow::Result;
use std::time::{Duration, Instant};

const CLIENTS: usize = 64;

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let url = engine.fresh_url()?;
    let first = Server::start_on(arguments, &url, None).await?;
    // The first seconds of a database are not like the rest.
    load(arguments, &[&first]).await?;
    let alone = load(arguments, &[&first]).await?;
    let second = Server::start_on(arguments, &url, None).await?;
    let together = load(arguments, &[&first, &second]).await?;
    table.row(engine.name, "sessions, 64 clients, one server", alone, String::new());
    table.row(engine.name, "sessions, 64 clients, two servers on one database", together, "the same cores".into());
    Ok(())
}

async fn load(arguments: &Arguments, servers: &[&Server]) -> Result<String> {
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let started = Instant::now();
    let runs: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let address = servers[client % servers.len()].address.clone();
            tokio::spawn(sessions::run(address, client, until, sessions::Replies::default()))
        })
        .collect();
    let mut times = Times::default();
    for run in runs {
        times.extend(run.await??.0);
    }
    Ok(format!("{}, {}", rate(times.len(), started.elapsed()), times.percentiles()))
}
