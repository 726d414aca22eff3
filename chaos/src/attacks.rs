//! What a caller who means harm can do, at full scale against a real server: what it holds stays within its budgets, another
//! organization is served meanwhile, and it ends in the promised time. The quick ones of these attacks are also tests of the
//! server.

mod bystander;
mod http;
mod pinger;
mod weapons;

use crate::server::{Launch, Server};
use anyhow::{Context, Result, ensure};
use bystander::{Bystander, Seen};
use quarterdeck_test_support::server::API_KEY;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{process::Stdio, time::Duration};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use weapons::{Field, Weapon};

/// What docs/operations.md lets all callers hold together (heads, bodies, answers and conversations: 896 MB), and what is made of
/// the bodies that are decoded meanwhile.
const MEMORY_MAX_MB: u64 = 1_536;
/// What others wait at most, of a hundred requests for ninety-nine.
const OTHERS_P99_MAX: Duration = Duration::from_millis(100);
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two attacks, so that each has its own figures.
const REST: Duration = Duration::from_secs(2);

/// Wages every attack for `length`, one after the other, then stops the server under the last ones; whether it stood.
pub(crate) async fn run(launch: Launch, length: Duration) -> Result<bool> {
    raise_file_limit()?;
    let server = Server::new(0, launch.clone());
    server.start(START_TIMEOUT).await?;
    let others = others_key(&launch).await?;
    let process = server.id().await.context("the server is not there")?;
    let field = Field::prepare(server.address(), API_KEY).await?;
    let bystander = Bystander::new(server.address(), others, process);
    let mut stood = judge("nothing", &bystander.watch(length).await);
    for weapon in Weapon::ALL {
        let attack = weapon.wage(&field, Instant::now() + length);
        let seen = tokio::select! {
            never = attack => match never {},
            seen = bystander.watch(length) => seen,
        };
        stood &= judge(weapon.name(), &seen);
        sleep(REST).await;
    }
    println!("  {:42} {} MB", "held at the end", bystander::held_mb(process)?);
    let until = Instant::now() + length;
    let stopping = async {
        sleep(REST).await;
        server.stop().await
    };
    let stopped = tokio::select! {
        stopped = stopping => stopped?,
        never = Weapon::Checks.wage(&field, until) => match never {},
        never = Weapon::Peers.wage(&field, until) => match never {},
    };
    println!("  {:42} {stopped:.1?}", "stopped under checks and peers after");
    Ok(stood)
}

/// Says what was seen, and whether it is as it should be.
fn judge(attack: &str, seen: &Seen) -> bool {
    println!("  {attack:42} {seen}");
    let stood = seen.failed == 0 && seen.memory_mb <= MEMORY_MAX_MB && seen.p99() <= OTHERS_P99_MAX;
    if !stood {
        println!(
            "  BROKEN: at most {MEMORY_MAX_MB} MB, a p99 of {OTHERS_P99_MAX:?}, and no request of others that fails"
        );
    }
    stood
}

/// A key of another organization, made as an operator makes one.
async fn others_key(launch: &Launch) -> Result<String> {
    let mut command = Command::new(&launch.binary);
    command.args(["keys", "create", "--org", "others", "--database-url", &launch.database_url]).arg("--data-dir");
    let output = command.arg(&launch.data).stdin(Stdio::null()).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "no key was made: {}", String::from_utf8_lossy(&output.stderr));
    let key = said.split_whitespace().find(|word| word.starts_with("hk-")).context("no key was printed")?;
    Ok(key.to_owned())
}

/// Thousands of connections start here.
fn raise_file_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
