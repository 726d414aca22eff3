//! Whole clusters in one thread: real engines over one store in memory, a clock that stands still until everybody
//! waits, and a seed that decides everything that happens.
//!
//! A seed picks how many replicas and sessions there are, what the agents do, what clients ask for and when, and what
//! goes wrong. When it is over, what was stored and what clients saw is held against what is promised. A seed that
//! fails names itself; `QUARTERDECK_SEEDS=17` or `QUARTERDECK_SEEDS=0..100000` chooses seeds.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "simulation/chaos.rs"]
mod chaos;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/clients.rs"]
mod clients;
#[path = "simulation/clock.rs"]
mod clock;
#[path = "simulation/logs.rs"]
mod logs;
#[path = "simulation/replica.rs"]
mod replica;
#[path = "simulation/runner.rs"]
mod runner;
#[path = "simulation/stories.rs"]
mod stories;
#[path = "simulation/world.rs"]
mod world;

use std::{
    ops::Range,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};
use world::{Outcome, World};

/// What is run when nobody says otherwise.
const SEEDS: Range<u64> = 0..2_000;
/// Real time for one seed, which takes some milliseconds.
const SEED_MAX: Duration = Duration::from_mins(1);

#[test]
fn every_seed_keeps_the_promises() {
    let seeds = chosen_seeds();
    let next = AtomicU64::new(seeds.start);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| std::iter::from_fn(take).for_each(check))).collect();
        for worker in workers {
            worker.join().expect("every seed keeps the promises");
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let (first, second) = (simulate(seed, true).trace, simulate(seed, true).trace);
        let parted = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(line) = parted {
            panic!("seed {seed} parts at line {line}:\n{}\n{}", first[line], second[line]);
        }
        assert_eq!(first.len(), second.len());
    }
}

fn check(seed: u64) {
    let outcome = match run_in_time(seed) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => panic!("seed {seed} hangs; {}", replay(seed)),
        Err(RecvTimeoutError::Disconnected) => panic!("seed {seed} panicked; {}", replay(seed)),
    };
    if !outcome.faults.is_empty() {
        let (faults, trace) = (outcome.faults.join("\n"), outcome.trace.join("\n"));
        panic!("{trace}\n\nseed {seed}:\n{faults}\n{}", replay(seed));
    }
}

/// In a thread of its own: a task that spins stops the clock, and with it everything that could stop the task.
fn run_in_time(seed: u64) -> Result<Outcome, RecvTimeoutError> {
    let (done, outcome) = sync_channel(1);
    std::thread::spawn(move || done.send(simulate(seed, false)));
    outcome.recv_timeout(SEED_MAX)
}

fn replay(seed: u64) -> String {
    format!("QUARTERDECK_SEEDS={seed} cargo test -p quarterdeck-engine --test simulation every_seed")
}

fn simulate(seed: u64, traced: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(World::run(seed, traced))
}

/// `17` or `0..1000`.
#[expect(clippy::disallowed_methods, reason = "asked of the developer who runs the test, not of a server")]
fn chosen_seeds() -> Range<u64> {
    let Ok(chosen) = std::env::var("QUARTERDECK_SEEDS") else { return SEEDS };
    let number = |text: &str| text.trim().parse::<u64>().expect("QUARTERDECK_SEEDS is a seed or a range a..b");
    match chosen.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&chosen)..number(&chosen) + 1,
    }
}
