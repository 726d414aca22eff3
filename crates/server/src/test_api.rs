//! What a server in test mode has beside the API: worlds of their own for tests, scenarios, a journal, faults on purpose,
//! and a clock that is moved on. All of it is below `/_test/v1`, and none of it is there without `--test`.
//!
//! Invariant: a call sees and changes the world of its key only, and no cookie counts.

mod around;
mod casting;
mod faults;
mod journal;
mod routes;
mod world;

pub(crate) use around::around;
pub use casting::Unmatched;
pub(crate) use casting::{Audience, CreatedSession};
pub use routes::look::failures;
pub(crate) use routes::router;
pub(crate) use world::stored;

use crate::openapi;
use quarterdeck_api::OrganizationId;
use quarterdeck_engine::VirtualClock;
use quarterdeck_scenario::{Diagnostics, Played, Scenario};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use world::World;

/// What tests share: the clock, and what every world begins with.
pub struct TestBed {
    pub(crate) clock: Arc<VirtualClock>,
    /// Loaded from files, for every world.
    scenarios: Vec<Arc<Scenario>>,
    unmatched: Unmatched,
    worlds: Mutex<HashMap<OrganizationId, World>>,
    /// Ids of operations, by method and template of the path.
    operations: HashMap<(String, String), String>,
    /// The same, sorted, for faults that name one.
    names: Vec<String>,
}

impl TestBed {
    /// A bed without worlds.
    pub fn new(clock: Arc<VirtualClock>, scenarios: Vec<Scenario>, unmatched: Unmatched) -> Self {
        let operations = openapi::operations();
        let mut names: Vec<String> = operations.values().cloned().collect();
        names.sort_unstable();
        let scenarios = scenarios.into_iter().map(Arc::new).collect();
        Self { clock, scenarios, unmatched, worlds: Mutex::default(), operations, names }
    }

    /// Does something with a world; it begins with what is loaded from files. Nothing panics while it holds the lock.
    pub(crate) fn world<T>(&self, organization: OrganizationId, act: impl FnOnce(&mut World) -> T) -> T {
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        act(worlds.entry(organization).or_insert_with(|| World::with(&self.scenarios)))
    }

    /// Forgets a world, if `may` says so.
    pub(crate) fn remove(&self, organization: OrganizationId, may: impl FnOnce(&World) -> bool) -> Option<World> {
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        if worlds.get(&organization).is_some_and(may) { worlds.remove(&organization) } else { None }
    }

    /// How many worlds were made for tests, beside this one.
    pub(crate) fn others(&self, organization: OrganizationId) -> usize {
        let worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        worlds.iter().filter(|(other, world)| **other != organization && world.creator.is_some()).count()
    }

    /// Loads a file of scenarios into a world; returns their names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, organization: OrganizationId, text: &str) -> Result<Vec<String>, Diagnostics> {
        let scenarios = routes::scenarios::checked(self, text).map_err(Diagnostics)?;
        let names = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        self.world(organization, |world| world.load(scenarios, false));
        Ok(names)
    }

    /// Puts a recording among the scenarios of a world; returns its name.
    pub fn play(&self, organization: OrganizationId, played: Played) -> String {
        let name = routes::recordings::name_of(&played.recording);
        let scenario = Scenario::of_recording(name.clone(), name.clone(), played);
        self.world(organization, |world| world.load(vec![scenario], false));
        name
    }

    pub(crate) fn known(&self) -> quarterdeck_scenario::Known<'_> {
        quarterdeck_scenario::Known { operations: &self.names }
    }
}

/// Ids of all operations, for checks without a server.
pub fn operation_ids() -> Vec<String> {
    let mut names: Vec<String> = openapi::operations().into_values().collect();
    names.sort_unstable();
    names
}
