//! What agents, environments and skills have in common: they are kept by name, as JSON.

use super::BuiltIn;
use quarterdeck_api::{
    Agent, Decode, Detail, Environment, LocationPart, PatchAgent, PatchEnvironment, PatchSkill, Problem, Skill, mask,
    unmask,
};
use quarterdeck_store::{Content, Details, Shelf};
use serde::{Serialize, de::DeserializeOwned};

/// The longest id of a stored environment, in bytes: databases index no more.
const ID_MAX: usize = 1_024;

/// Something that a catalog keeps.
pub trait Item: Decode + Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// The body of PATCH.
    type Patch: Send + Sync;

    /// Where it is kept.
    const SHELF: Shelf;

    /// What it is called in an error.
    const NOUN: &'static str;

    /// Its name, unique on its shelf.
    fn name(&self) -> &str;

    /// What `search` looks through.
    fn searchable(&self) -> String;

    /// What is kept beside its specification.
    fn details(&self) -> Details;

    /// Those that every organization sees.
    fn built_in(built_in: &BuiltIn) -> &[Self];

    /// Without secrets.
    #[must_use]
    fn masked(&self) -> Self;

    /// Puts the secrets of `stored` where it has `***`.
    fn unmask(&mut self, stored: &Self);

    /// With the changes of `patch`, judged as a whole.
    ///
    /// # Errors
    /// When the whole breaks a rule.
    fn patched(&self, patch: &Self::Patch) -> Result<Self, Problem>;

    /// Whether its name may be stored.
    ///
    /// # Errors
    /// When it may not.
    fn check_name(&self) -> Result<(), Problem> {
        Ok(())
    }
}

impl Item for Agent {
    type Patch = PatchAgent;
    const SHELF: Shelf = Shelf::Agents;
    const NOUN: &'static str = "agent";

    fn name(&self) -> &str {
        &self.name
    }

    fn searchable(&self) -> String {
        format!("{}\n{}", self.name, self.description)
    }

    fn details(&self) -> Details {
        Details::Agent
    }

    fn built_in(built_in: &BuiltIn) -> &[Self] {
        &built_in.agents
    }

    fn masked(&self) -> Self {
        mask::agent(self)
    }

    fn unmask(&mut self, stored: &Self) {
        unmask::agent(self, stored);
    }

    fn patched(&self, patch: &PatchAgent) -> Result<Self, Problem> {
        patch.apply(self)
    }

    /// Its address would be that of a list of revisions.
    fn check_name(&self) -> Result<(), Problem> {
        match self.name.split_once('/') {
            Some((_, "revisions")) => Err(invalid(&["name"], "no agent may be called `revisions` below a namespace")),
            _ => Ok(()),
        }
    }
}

impl Item for Environment {
    type Patch = PatchEnvironment;
    const SHELF: Shelf = Shelf::Environments;
    const NOUN: &'static str = "environment";

    fn name(&self) -> &str {
        match self {
            Self::Web(environment) => &environment.id,
            Self::Desktop(environment) => &environment.id,
            Self::Android(environment) => &environment.id,
            Self::Code(environment) => &environment.id,
            Self::Mcp(environment) => &environment.id,
            Self::Memory(environment) => &environment.id,
            Self::Workstation(environment) => &environment.id,
        }
    }

    fn searchable(&self) -> String {
        self.name().to_owned()
    }

    fn details(&self) -> Details {
        Details::Environment(self.kind())
    }

    fn built_in(built_in: &BuiltIn) -> &[Self] {
        &built_in.environments
    }

    fn masked(&self) -> Self {
        mask::environment(self)
    }

    fn unmask(&mut self, stored: &Self) {
        unmask::environment(self, stored);
    }

    fn patched(&self, patch: &PatchEnvironment) -> Result<Self, Problem> {
        patch.apply(self)
    }

    fn check_name(&self) -> Result<(), Problem> {
        if self.name().len() <= ID_MAX {
            return Ok(());
        }
        Err(invalid(&[self.kind().as_str(), "id"], &format!("must have at most {ID_MAX} bytes")))
    }
}

impl Item for Skill {
    type Patch = PatchSkill;
    const SHELF: Shelf = Shelf::Skills;
    const NOUN: &'static str = "skill";

    fn name(&self) -> &str {
        &self.name
    }

    fn searchable(&self) -> String {
        format!("{}\n{}", self.name, self.description)
    }

    fn details(&self) -> Details {
        Details::Skill { files_size: self.files.values().map(|content| content.len() as u64).sum() }
    }

    fn built_in(built_in: &BuiltIn) -> &[Self] {
        &built_in.skills
    }

    fn masked(&self) -> Self {
        self.clone()
    }

    fn unmask(&mut self, _stored: &Self) {}

    fn patched(&self, patch: &PatchSkill) -> Result<Self, Problem> {
        patch.apply(self)
    }
}

/// What the store keeps of an item.
pub(super) fn content<T: Item>(item: &T) -> Content {
    #[expect(clippy::expect_used, reason = "only strings are keys, so an item always serializes")]
    let spec = serde_json::to_string(item).expect("an item serializes");
    Content { spec, search_text: without_nul(&item.searchable()).to_lowercase(), details: item.details() }
}

/// Not every database keeps that character; nobody misses it where it is only searched or shown.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

fn invalid(path: &[&str], msg: &str) -> Problem {
    let loc = ["body"].iter().chain(path).map(|step| LocationPart::Name((*step).into())).collect();
    Problem::invalid(vec![Detail::at(loc, "value_error", msg)])
}
