//! One world: an organization that a test has for itself.

use super::{faults::ActiveRule, journal::Journal};
use quarterdeck_api::{OrganizationId, SessionId};
use quarterdeck_scenario::{Rule, Scenario};
use quarterdeck_store::KeyHash;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fmt::Write as _, sync::Arc};
use uuid::Uuid;

/// Faults at once.
pub(super) const RULES_MAX: usize = 1_000;

/// What a test has for itself.
pub(crate) struct World {
    /// Who made it; none for one that was there by itself.
    pub(super) creator: Option<OrganizationId>,
    /// Its key's id.
    pub(super) key: Option<(Uuid, KeyHash)>,
    /// In the order in which they are tried.
    pub(super) scenarios: Vec<Loaded>,
    pub(super) journal: Journal,
    pub(super) rules: Vec<ActiveRule>,
    pub(super) rules_made: u64,
    /// Which scenario each session plays.
    pub(super) casts: HashMap<SessionId, String>,
}

/// A scenario that sessions may play.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) scenario: Arc<Scenario>,
    /// As it is stored.
    pub(super) stored: Arc<str>,
    /// Of what is stored.
    pub(super) hash: String,
    /// Whether the store has it.
    pub(super) is_kept: bool,
    /// Sessions that play it, or are about to.
    pub(super) served: u32,
    pub(super) sessions: Vec<SessionId>,
}

impl Loaded {
    pub(super) fn of(scenario: Arc<Scenario>) -> Self {
        let (stored, hash) = stored(&scenario);
        Self { scenario, stored: stored.into(), hash, is_kept: false, served: 0, sessions: Vec::new() }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.scenario.pattern.times.is_some_and(|times| self.served >= times)
    }
}

/// A scenario as it is stored, and the hash that it is found by.
pub(crate) fn stored(scenario: &Scenario) -> (String, String) {
    #[expect(clippy::expect_used, reason = "only strings are keys, so a scenario always serializes")]
    let stored = serde_json::to_string(scenario).expect("a scenario serializes");
    let hash = Sha256::digest(&stored).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    (stored, hash)
}

impl World {
    pub(super) fn with(scenarios: &[Arc<Scenario>]) -> Self {
        Self {
            creator: None,
            key: None,
            scenarios: scenarios.iter().map(|scenario| Loaded::of(Arc::clone(scenario))).collect(),
            journal: Journal::default(),
            rules: Vec::new(),
            rules_made: 0,
            casts: HashMap::new(),
        }
    }

    /// Puts scenarios behind those that are there, or in front of them; one of a known name takes its place.
    pub(super) fn load(&mut self, scenarios: Vec<Scenario>, first: bool) {
        let mut place = 0;
        for scenario in scenarios {
            let loaded = Loaded::of(Arc::new(scenario));
            let known = self.scenarios.iter().position(|known| known.scenario.name == loaded.scenario.name);
            match known {
                Some(known) => self.scenarios[known] = loaded,
                None if first => {
                    self.scenarios.insert(place, loaded);
                    place += 1;
                }
                None => self.scenarios.push(loaded),
            }
        }
    }

    /// Adds a fault; returns its number, or none when there are too many.
    pub(super) fn add_rule(&mut self, rule: Rule) -> Option<u64> {
        if self.rules.len() >= RULES_MAX {
            return None;
        }
        self.rules_made += 1;
        self.rules.push(ActiveRule::new(self.rules_made, rule));
        Some(self.rules_made)
    }

    /// Back to how it began, scenarios aside.
    pub(super) fn reset(&mut self) {
        self.journal = Journal::default();
        self.rules.clear();
        self.rules_made = 0;
        self.casts.clear();
        for loaded in &mut self.scenarios {
            loaded.served = 0;
            loaded.sessions.clear();
        }
    }
}
