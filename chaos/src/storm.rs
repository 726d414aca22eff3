//! Carries the plan out.

use crate::{
    plan::{Fault, Mood, Plan, Touched},
    world::{World, lock},
};
use anyhow::Result;
use chrono::{DateTime, Utc};
use quarterdeck_test_support::postgres::PostgresCluster;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long a server may take to come up, with the database coming and going.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A server that was killed, with the sessions that must go on without it.
pub(crate) struct Death {
    pub(crate) at: DateTime<Utc>,
    /// When somebody could go on: at once, or when the only server was back.
    pub(crate) back: DateTime<Utc>,
    /// None: all that were at work.
    pub(crate) sessions: Option<Vec<Uuid>>,
}

/// Strikes until the time is over, then leaves everything as it should be.
pub(crate) async fn rage(world: &Arc<World>, plan: Plan, length: Duration) -> Result<Vec<Death>> {
    let deaths = Mutex::default();
    let end = Instant::now() + length;
    for blow in plan {
        sleep(blow.after).await;
        if Instant::now() >= end {
            break;
        }
        world.history.note(&format!("FAULT {blow}"));
        let hits_database = blow.faults.iter().any(|(fault, _)| fault.touches() == Touched::Database);
        let strikes: Vec<_> =
            blow.faults.iter().map(|&(fault, hold)| Box::pin(strike(world, fault, hold, &deaths))).collect();
        for (result, (fault, _)) in join_all(strikes).await.into_iter().zip(&blow.faults) {
            world.count_fault(fault.name());
            if let Err(error) = result {
                world.violation(format!("{fault:?}: {error:#}"));
            }
        }
        world.history.note("FAULT is over");
        if hits_database {
            world.database_is_back();
        }
    }
    Ok(lock(&deaths).drain(..).collect())
}

/// At most two at once.
async fn join_all(mut strikes: Vec<impl Future<Output = Result<()>>>) -> Vec<Result<()>> {
    match (strikes.pop(), strikes.pop()) {
        (Some(second), Some(first)) => {
            let (first, second) = tokio::join!(first, second);
            vec![first, second]
        }
        (Some(only), None) => vec![only.await],
        (None, _) => Vec::new(),
    }
}

async fn strike(world: &World, fault: Fault, hold: Duration, deaths: &Mutex<Vec<Death>>) -> Result<()> {
    match fault {
        Fault::Kill(server) => kill(world, server, hold, deaths).await,
        Fault::KillAll => kill_all(world, hold, deaths).await,
        Fault::Freeze(server) => {
            world.servers[server].freeze().await?;
            sleep(hold).await;
            world.servers[server].thaw().await
        }
        Fault::Restart(server) => {
            let server = &world.servers[server];
            let took = server.stop().await?;
            world.history.note(&format!("server {} stopped within {} ms", server.number(), took.as_millis()));
            server.start(START_TIMEOUT).await
        }
        Fault::DatabaseCrash => down(world, hold, PostgresCluster::stop_immediate).await,
        Fault::DatabaseRestart => down(world, hold, PostgresCluster::stop_fast).await,
        Fault::DatabaseFreeze => {
            world.store.with_cluster(PostgresCluster::pause).await?;
            sleep(hold).await;
            world.store.with_cluster(PostgresCluster::resume).await
        }
        Fault::DatabaseCut => world.store.with_cluster(PostgresCluster::terminate_connections).await,
        Fault::DatabaseReadOnly => {
            world.store.set_read_only(true).await?;
            sleep(hold).await;
            world.store.set_read_only(false).await
        }
        Fault::DiskFull => {
            let Some(disk) = world.store.disk() else { return Ok(()) };
            disk.fill().await?;
            sleep(hold).await;
            disk.free().await
        }
        Fault::Model(mood) => {
            world.model.set(mood);
            sleep(hold).await;
            world.model.set(Mood::Good);
            Ok(())
        }
    }
}

async fn kill(world: &World, server: usize, hold: Duration, deaths: &Mutex<Vec<Death>>) -> Result<()> {
    let server = &world.servers[server];
    let replica = server.replica().await;
    let at = now();
    server.kill().await;
    let sessions = match replica {
        // It may be away itself: then this death is not measured.
        Some(replica) if world.store.is_postgres() => Some(world.store.running(replica).await.unwrap_or_default()),
        Some(_) | None => None,
    };
    sleep(hold).await;
    server.start(START_TIMEOUT).await?;
    let back = if sessions.is_some() { at } else { now() };
    lock(deaths).push(Death { at, back, sessions });
    Ok(())
}

/// Nobody is left to go on: counted from the moment that somebody is back.
async fn kill_all(world: &World, hold: Duration, deaths: &Mutex<Vec<Death>>) -> Result<()> {
    let at = now();
    for server in &world.servers {
        server.kill().await;
    }
    sleep(hold).await;
    for server in &world.servers {
        server.start(START_TIMEOUT).await?;
    }
    lock(deaths).push(Death { at, back: now(), sessions: None });
    Ok(())
}

async fn down(world: &World, hold: Duration, stop: fn(&PostgresCluster) -> Result<()>) -> Result<()> {
    world.store.with_cluster(stop).await?;
    sleep(hold).await;
    world.store.with_cluster(PostgresCluster::start).await
}

#[expect(clippy::disallowed_methods, reason = "compared with the timestamps of events")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
