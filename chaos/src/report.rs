//! What is said at the end.

use crate::{
    promises::Kept,
    world::{World, lock},
};
use std::{fmt, sync::atomic::Ordering, time::Duration};

/// Violations that are printed; all of them are in the history.
const VIOLATIONS_SHOWN: usize = 20;

/// Counts, times, violations.
pub(crate) struct Report {
    lines: Vec<String>,
    violations: Vec<String>,
    folder: String,
}

impl Report {
    pub(crate) fn new(world: &World, kept: &[Kept], failovers: &[Duration]) -> Self {
        let faults: Vec<String> =
            lock(&world.counts.faults).iter().map(|(name, count)| format!("{count} {name}")).collect();
        let events: usize = kept.iter().map(|session| session.length).sum();
        let turns = world.counts.turns.load(Ordering::Relaxed);
        let retries = world.counts.retries.load(Ordering::Relaxed);
        let lines = vec![
            faults.join(", "),
            format!(
                "{} sessions, {turns} messages, {events} events, {retries} calls repeated, {} model replies",
                kept.len(),
                world.model.served()
            ),
            times("after a kill, to the next event of a session that was at work", failovers.to_vec()),
            times("after a fault of the database, to the next write", lock(&world.counts.recoveries).clone()),
        ];
        Self { lines, violations: world.violations(), folder: world.folder.display().to_string() }
    }
}

fn times(what: &str, mut waits: Vec<Duration>) -> String {
    waits.sort_unstable();
    let at = |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1)));
    match (at(50), at(99)) {
        (Some(half), Some(most)) => {
            format!("{what}: p50 {half:.1?}, p99 {most:.1?}, of {}", waits.len())
        }
        _ => format!("{what}: none"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        for violation in self.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "  VIOLATION {violation}")?;
        }
        match self.violations.len() {
            0 => write!(f, "  every promise was kept"),
            count => write!(f, "  {count} violations; see {}", self.folder),
        }
    }
}
