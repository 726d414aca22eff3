//! Everything that an agent names, directly or through others, read from the catalogs.

use super::{Catalog, Found, Item, Stored, expand::expand};
use quarterdeck_api::{Agent, Environment, OrganizationId, Problem, Reference, Skill, decode_json};
use quarterdeck_store::{Error, Shelf};
use std::collections::HashMap;
use thiserror::Error as ThisError;

/// The most entries that one agent may name, directly or through others.
const ENTRIES_MAX: usize = 256;

/// Why an agent cannot be had in full.
#[derive(Debug, ThisError)]
pub enum ResolveError {
    /// There is nothing of these names.
    #[error("{}", listed(.0))]
    Unknown(Vec<UnknownName>),
    /// An agent delegates to itself.
    #[error("the agent {0:?} would be its own subagent, directly or through others")]
    Cycle(String),
    /// Subagents have subagents too often.
    #[error("subagents are nested more than {0} deep")]
    TooDeep(usize),
    /// It names too many entries.
    #[error("the agent names more than {ENTRIES_MAX} entries, directly or through others")]
    TooMany,
    /// In full it would be too large.
    #[error("the agent would have more than {0} bytes with everything it names in full")]
    TooLarge(usize),
    /// In full it breaks a rule, for instance with two environments of one kind.
    #[error("{0}")]
    Invalid(Box<Problem>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A name that nothing in the catalogs has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What it would be.
    pub noun: &'static str,
    /// The name, as it was given.
    pub name: String,
}

fn listed(names: &[UnknownName]) -> String {
    names.iter().map(|name| format!("there is no {} named {:?}", name.noun, name.name)).collect::<Vec<_>>().join("; ")
}

/// An agent by its name, with the revision that this is.
pub(crate) struct NamedAgent {
    pub(crate) agent: Agent,
    /// Without a pin.
    pub(crate) name: String,
    pub(crate) revision: i64,
}

/// What was read: entries by the names they were asked for, agents with their pins.
#[derive(Default)]
pub(super) struct Library {
    pub(super) agents: HashMap<String, LibraryEntry<Agent>>,
    pub(super) environments: HashMap<String, LibraryEntry<Environment>>,
    pub(super) skills: HashMap<String, LibraryEntry<Skill>>,
    unknown: Vec<UnknownName>,
}

/// An entry, with its revision and what it weighs as JSON.
pub(super) struct LibraryEntry<T> {
    pub(super) item: T,
    pub(super) revision: i64,
    pub(super) size: usize,
}

impl Library {
    fn len(&self) -> usize {
        self.agents.len() + self.environments.len() + self.skills.len() + self.unknown.len()
    }

    fn has(&self, on: Shelf, name: &str) -> bool {
        let known = match on {
            Shelf::Agents => self.agents.contains_key(name),
            Shelf::Environments => self.environments.contains_key(name),
            Shelf::Skills => self.skills.contains_key(name),
        };
        known || self.unknown.iter().any(|unknown| unknown.noun == noun(on) && unknown.name == name)
    }
}

impl Catalog {
    /// The agent that a reference names, with everything it names in full.
    pub(crate) async fn named_agent(
        &self,
        organization: OrganizationId,
        reference: &str,
    ) -> Result<NamedAgent, ResolveError> {
        let Some(kept) = self.read_agent(organization, reference).await? else {
            return Err(ResolveError::Unknown(vec![unknown(Shelf::Agents, reference)]));
        };
        let (name, revision) = (bare(reference).to_owned(), kept.revision);
        let agent = self.expanded(organization, &kept.item, Some((&name, revision))).await?;
        Ok(NamedAgent { agent, name, revision })
    }

    /// An agent with everything it names in full. `identity` is its own name and revision, if it has one. An agent
    /// that names nothing costs no look at the store.
    pub(crate) async fn expanded(
        &self,
        organization: OrganizationId,
        agent: &Agent,
        identity: Option<(&str, i64)>,
    ) -> Result<Agent, ResolveError> {
        let names = names_in(agent);
        if names.is_empty() {
            return Ok(agent.clone());
        }
        let library = self.library(organization, names).await?;
        let whole = expand(agent, identity, &library)?;
        let whole = serde_json::to_value(&whole).map_err(|_| ResolveError::Invalid(Box::new(Problem::internal())))?;
        decode_json(&whole).map_err(|problem| ResolveError::Invalid(Box::new(problem)))
    }

    async fn library(
        &self,
        organization: OrganizationId,
        mut wanted: Vec<(Shelf, String)>,
    ) -> Result<Library, ResolveError> {
        let mut library = Library::default();
        while let Some((on, name)) = wanted.pop() {
            if library.has(on, &name) {
                continue;
            }
            if library.len() >= ENTRIES_MAX {
                return Err(ResolveError::TooMany);
            }
            let known = match on {
                Shelf::Agents => {
                    let agent = self.read_agent(organization, &name).await?;
                    wanted.extend(agent.iter().flat_map(|agent| names_in(&agent.item)));
                    keep(&mut library.agents, &name, agent)
                }
                Shelf::Environments => keep(&mut library.environments, &name, self.read(organization, &name).await?),
                Shelf::Skills => keep(&mut library.skills, &name, self.read(organization, &name).await?),
            };
            if !known {
                library.unknown.push(unknown(on, &name));
            }
        }
        if library.unknown.is_empty() { Ok(library) } else { Err(ResolveError::Unknown(library.unknown)) }
    }

    /// What has a reserved name costs no look at the store.
    async fn read<T: Item>(&self, organization: OrganizationId, name: &str) -> Result<Option<LibraryEntry<T>>, Error> {
        if let Some(found) = self.reserved::<T>(name) {
            return Ok(Some(found.into()));
        }
        let stored = self.find::<T>(organization, name).await?.map(LibraryEntry::from);
        Ok(stored.or_else(|| self.built_in::<T>(name).map(LibraryEntry::from)))
    }

    /// `name` is the newest revision, `name:N` that one.
    async fn read_agent(
        &self,
        organization: OrganizationId,
        reference: &str,
    ) -> Result<Option<LibraryEntry<Agent>>, Error> {
        let Some((name, pin)) = reference.split_once(':') else { return self.read(organization, reference).await };
        let Some(number) = pinned(pin) else { return Ok(None) };
        if let Some(found) = self.reserved::<Agent>(name) {
            return Ok((number == found.revision).then(|| found.into()));
        }
        if let Some(past) = self.find_revision(organization, name, number).await? {
            return Ok(Some(past.into()));
        }
        let Some(found) = self.built_in::<Agent>(name).filter(|found| number == found.revision) else {
            return Ok(None);
        };
        // An organization's own agent of this name never had the revision.
        Ok(self.find::<Agent>(organization, name).await?.is_none().then(|| found.into()))
    }
}

impl<T> From<Stored<T>> for LibraryEntry<T> {
    fn from(stored: Stored<T>) -> Self {
        Self { item: stored.item, revision: stored.version.number, size: stored.size }
    }
}

impl<T: Item> From<Found<T>> for LibraryEntry<T> {
    fn from(found: Found<T>) -> Self {
        let size = serde_json::to_string(&found.item).map_or(0, |spec| spec.len());
        Self { item: found.item, revision: found.revision, size }
    }
}

fn keep<T>(kept: &mut HashMap<String, LibraryEntry<T>>, name: &str, entry: Option<LibraryEntry<T>>) -> bool {
    entry.map(|entry| kept.insert(name.to_owned(), entry)).is_some()
}

fn unknown(shelf: Shelf, name: &str) -> UnknownName {
    UnknownName { noun: noun(shelf), name: name.to_owned() }
}

fn noun(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Agents => Agent::NOUN,
        Shelf::Environments => Environment::NOUN,
        Shelf::Skills => Skill::NOUN,
    }
}

/// A revision's number: digits only.
fn pinned(text: &str) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number >= 1)
}

/// The name without a pin.
pub(super) fn bare(reference: &str) -> &str {
    reference.split_once(':').map_or(reference, |(name, _)| name)
}

/// The names in an agent and in those it holds in full.
pub(super) fn names_in(agent: &Agent) -> Vec<(Shelf, String)> {
    let mut names = Vec::new();
    collect(agent, &mut names);
    names
}

fn collect(agent: &Agent, names: &mut Vec<(Shelf, String)>) {
    let mut add = |shelf: Shelf, name: Option<&String>| names.extend(name.map(|name| (shelf, name.clone())));
    agent.environments.iter().for_each(|environment| add(Shelf::Environments, name(environment)));
    agent.skills.iter().flatten().for_each(|skill| add(Shelf::Skills, name(skill)));
    for subagent in agent.subagents.iter().flatten() {
        match subagent {
            Reference::Name(name) => names.push((Shelf::Agents, name.clone())),
            Reference::Inline(subagent) => collect(subagent, names),
        }
    }
}

fn name<T>(reference: &Reference<T>) -> Option<&String> {
    match reference {
        Reference::Name(name) => Some(name),
        Reference::Inline(_) => None,
    }
}
