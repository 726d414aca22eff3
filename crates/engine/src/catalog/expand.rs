//! Puts what is named in place of its name: a pure function over what was read.

use super::library::{Library, LibraryEntry, ResolveError, UnknownName};
use quarterdeck_api::{Agent, Reference};
use std::collections::HashMap;

/// How deep subagents may be nested.
const DEPTH_MAX: usize = quarterdeck_core::Session::DEPTH_MAX as usize;
/// What everything put in place may weigh as JSON: names may be repeated, and so multiply.
const SIZE_MAX: usize = 32 * 1024 * 1024;

/// `root` with everything it names, directly or through others, in full. `identity` is its own name and revision.
pub(super) fn expand(root: &Agent, identity: Option<(&str, i64)>, library: &Library) -> Result<Agent, ResolveError> {
    Expansion { library, size: 0, trail: identity.into_iter().collect() }.agent(root, 0)
}

struct Expansion<'l> {
    library: &'l Library,
    size: usize,
    /// The agents that are being put in place, outermost first: who comes again is its own subagent.
    trail: Vec<(&'l str, i64)>,
}

impl<'l> Expansion<'l> {
    fn agent(&mut self, agent: &'l Agent, depth: usize) -> Result<Agent, ResolveError> {
        let environments = &self.library.environments;
        let skills = &self.library.skills;
        Ok(Agent {
            environments: self.items(&agent.environments, environments)?,
            skills: agent.skills.as_ref().map(|names| self.items(names, skills)).transpose()?,
            subagents: agent.subagents.as_ref().map(|subagents| self.subagents(subagents, depth + 1)).transpose()?,
            ..agent.clone()
        })
    }

    fn items<T: Clone>(
        &mut self,
        references: &[Reference<T>],
        kept: &HashMap<String, LibraryEntry<T>>,
    ) -> Result<Vec<Reference<T>>, ResolveError> {
        let in_full = |reference: &Reference<T>| match reference {
            Reference::Inline(_) => Ok(reference.clone()),
            Reference::Name(name) => {
                let entry = kept.get(name).ok_or_else(|| not_read(name))?;
                self.spend(entry.size)?;
                Ok(Reference::Inline(Box::new(entry.item.clone())))
            }
        };
        references.iter().map(in_full).collect()
    }

    fn subagents(
        &mut self,
        references: &'l [Reference<Agent>],
        depth: usize,
    ) -> Result<Vec<Reference<Agent>>, ResolveError> {
        let in_full = |reference: &'l Reference<Agent>| {
            let agent = match reference {
                Reference::Inline(agent) => self.agent(agent, depth)?,
                Reference::Name(name) => self.named(name, depth)?,
            };
            Ok(Reference::Inline(Box::new(agent)))
        };
        references.iter().map(in_full).collect()
    }

    fn named(&mut self, reference: &'l str, depth: usize) -> Result<Agent, ResolveError> {
        let entry = self.library.agents.get(reference).ok_or_else(|| not_read(reference))?;
        let identity = (entry.item.name.as_str(), entry.revision);
        if self.trail.contains(&identity) {
            return Err(ResolveError::Cycle(reference.to_owned()));
        }
        if depth > DEPTH_MAX {
            return Err(ResolveError::TooDeep(DEPTH_MAX));
        }
        self.spend(entry.size)?;
        self.trail.push(identity);
        let agent = self.agent(&entry.item, depth);
        self.trail.pop();
        agent
    }

    fn spend(&mut self, size: usize) -> Result<(), ResolveError> {
        self.size = self.size.saturating_add(size);
        if self.size > SIZE_MAX { Err(ResolveError::TooLarge(SIZE_MAX)) } else { Ok(()) }
    }
}

fn not_read(name: &str) -> ResolveError {
    ResolveError::Unknown(vec![UnknownName { noun: "entry", name: name.to_owned() }])
}
