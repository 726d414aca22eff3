//! What is broken, when, and for how long: all of it follows from the seed.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{fmt, time::Duration};

/// One thing that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server is killed with -9, and started again later.
    Kill(usize),
    /// Every server is killed at once.
    KillAll,
    /// A server is frozen, and thawed.
    Freeze(usize),
    /// A server is asked to stop, and started again.
    Restart(usize),
    /// Postgres crashes.
    DatabaseCrash,
    /// Postgres is restarted in order.
    DatabaseRestart,
    /// Postgres takes questions and does not answer.
    DatabaseFreeze,
    /// Every connection to Postgres is cut.
    DatabaseCut,
    /// Postgres takes no writes.
    DatabaseReadOnly,
    /// The disk under SQLite is full.
    DiskFull,
    /// The model misbehaves.
    Model(Mood),
}

/// How the model behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Good,
    /// Late.
    Slow,
    /// Breaks off in the middle of a reply, or says nothing at all.
    Cut,
    /// Answers 500.
    Broken,
    /// Answers 429.
    Busy,
}

const BAD_MOODS: [Mood; 4] = [Mood::Slow, Mood::Cut, Mood::Broken, Mood::Busy];

/// What can be broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    pub(crate) replicas: usize,
    pub(crate) has_postgres: bool,
    pub(crate) can_fill_disk: bool,
    /// How long a process that stops renewing keeps its sessions.
    pub(crate) lease: Duration,
}

/// Faults that hold at the same time, after a pause.
#[derive(Clone, Debug)]
pub(crate) struct Blow {
    pub(crate) after: Duration,
    pub(crate) faults: Vec<(Fault, Duration)>,
}

/// An endless plan: every kind of fault comes once before any comes again.
pub(crate) struct Plan {
    random: StdRng,
    ground: Ground,
    deck: Vec<Fault>,
}

impl Plan {
    pub(crate) fn new(seed: u64, ground: Ground) -> Self {
        Self { random: StdRng::seed_from_u64(seed), ground, deck: Vec::new() }
    }

    fn shuffled(&mut self) -> Vec<Fault> {
        let replicas = self.ground.replicas;
        let mut any = || self.random.random_range(0..replicas);
        let mut deck = vec![Fault::Kill(any()), Fault::Kill(any()), Fault::Freeze(any()), Fault::Restart(any())];
        deck.extend([Fault::KillAll, Fault::Model(BAD_MOODS[self.random.random_range(0..BAD_MOODS.len())])]);
        if self.ground.has_postgres {
            deck.extend([Fault::DatabaseCrash, Fault::DatabaseRestart, Fault::DatabaseFreeze]);
            deck.extend([Fault::DatabaseCut, Fault::DatabaseCut, Fault::DatabaseReadOnly]);
        }
        if self.ground.can_fill_disk {
            deck.push(Fault::DiskFull);
        }
        deck.shuffle(&mut self.random);
        deck
    }

    fn draw(&mut self) -> (Fault, Duration) {
        if self.deck.is_empty() {
            self.deck = self.shuffled();
        }
        let fault = self.deck.pop().unwrap_or(Fault::KillAll);
        let lease = u64::try_from(self.ground.lease.as_millis()).unwrap_or(u64::MAX);
        let hold = match fault {
            // Half of them are taken over meanwhile.
            Fault::Freeze(_) => self.random.random_range(lease / 4..lease * 2),
            // Also past the lease, which fences the servers, and past the patience of a write.
            Fault::DatabaseFreeze | Fault::DatabaseReadOnly => self.random.random_range(200..lease * 2),
            Fault::DatabaseCrash | Fault::DatabaseRestart => self.random.random_range(0..1_500),
            Fault::Kill(_) | Fault::KillAll | Fault::Restart(_) => self.random.random_range(0..lease),
            Fault::DiskFull | Fault::Model(_) => self.random.random_range(500..2_000),
            Fault::DatabaseCut => 0,
        };
        (fault, Duration::from_millis(hold))
    }
}

impl Iterator for Plan {
    type Item = Blow;

    fn next(&mut self) -> Option<Blow> {
        let after = Duration::from_millis(self.random.random_range(100..1_200));
        let mut faults = vec![self.draw()];
        if self.random.random_bool(0.3) {
            let second = self.draw();
            let clash = faults.iter().any(|(fault, _)| fault.touches() == second.0.touches());
            if clash { self.deck.push(second.0) } else { faults.push(second) }
        }
        Some(Blow { after, faults })
    }
}

/// Two faults that touch the same thing cannot hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Servers,
    Database,
    Model,
}

impl Fault {
    pub(crate) fn touches(self) -> Touched {
        match self {
            Self::Kill(_) | Self::KillAll | Self::Freeze(_) | Self::Restart(_) => Touched::Servers,
            Self::DatabaseCrash
            | Self::DatabaseRestart
            | Self::DatabaseFreeze
            | Self::DatabaseCut
            | Self::DatabaseReadOnly
            | Self::DiskFull => Touched::Database,
            Self::Model(_) => Touched::Model,
        }
    }

    /// What it is counted as.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill(_) | Self::KillAll => "kills",
            Self::Freeze(_) => "freezes",
            Self::Restart(_) => "restarts",
            Self::DatabaseCrash => "database crashes",
            Self::DatabaseRestart => "database restarts",
            Self::DatabaseFreeze => "database freezes",
            Self::DatabaseCut => "connections cut",
            Self::DatabaseReadOnly => "database read-only",
            Self::DiskFull => "disk fills",
            Self::Model(_) => "model faults",
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} ms:", self.after.as_millis())?;
        self.faults.iter().try_for_each(|(fault, hold)| write!(f, " {fault:?} for {} ms", hold.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUND: Ground =
        Ground { replicas: 3, has_postgres: true, can_fill_disk: false, lease: Duration::from_secs(2) };

    fn plan(seed: u64, ground: Ground) -> Vec<String> {
        Plan::new(seed, ground).take(60).map(|blow| blow.to_string()).collect()
    }

    #[test]
    fn a_seed_always_gives_the_same_plan() {
        assert_eq!(plan(7, GROUND), plan(7, GROUND));
        assert_ne!(plan(7, GROUND), plan(8, GROUND));
    }

    #[test]
    fn every_kind_of_fault_comes_up_where_it_can() {
        let names = |ground| -> std::collections::BTreeSet<&str> {
            Plan::new(1, ground).take(60).flat_map(|blow| blow.faults).map(|(fault, _)| fault.name()).collect()
        };
        assert_eq!(names(GROUND).len(), 9);
        let sqlite = Ground { replicas: 1, has_postgres: false, can_fill_disk: true, ..GROUND };
        assert_eq!(
            names(sqlite).into_iter().collect::<Vec<_>>(),
            ["disk fills", "freezes", "kills", "model faults", "restarts"]
        );
    }

    #[test]
    fn faults_at_the_same_time_touch_different_things() {
        for blow in Plan::new(3, GROUND).take(200) {
            let touched: Vec<Touched> = blow.faults.iter().map(|(fault, _)| fault.touches()).collect();
            assert!(touched.len() == 1 || touched[0] != touched[1], "{blow}");
        }
    }
}
