//! What every organization sees beside its own entries: what is built in, under the hosted service's names, so that
//! code written for it runs here, and what the server's operator adds.
//!
//! What the agents are told stands in `built_in/agents`, the skills in `built_in/skills`, a file each.

use super::{Item, library};
use quarterdeck_api::{
    Agent, Browser, BrowserMode, Decode, Desktop, Environment, Host, Problem, Reference, Skill, Timestamp, decode_json,
};
use quarterdeck_store::Shelf;
use serde_json::Value;
use std::collections::HashSet;

/// How the name of everything of the server's own begins; no organization may use it.
pub(crate) const RESERVED: &str = "h/";

/// When all of it was made, in seconds: the first of January 2025.
const CREATED_AT_S: i64 = 1_735_689_600;

/// The environment of the agents.
const BROWSER: &str = "h/browser";

/// Names of the agents, what each is for, and what it is told.
const AGENTS: [(&str, &str, &str); 6] = [
    (
        "h/web-surfer-flash",
        "Answers quickly, with few steps on the web.",
        include_str!("built_in/agents/web-surfer-flash.md"),
    ),
    ("h/web-surfer-pro", "Works through longer tasks on the web.", include_str!("built_in/agents/web-surfer-pro.md")),
    (
        "h/web-surfer-holo3-1-35b",
        "Acts on the web by what it sees, for models that are trained to act on pictures.",
        include_str!("built_in/agents/web-surfer-holo3-1-35b.md"),
    ),
    (
        "h/web-scraper-flash",
        "Takes data from a few pages of the web.",
        include_str!("built_in/agents/web-scraper-flash.md"),
    ),
    (
        "h/web-scraper-pro",
        "Collects data from many pages of the web, completely.",
        include_str!("built_in/agents/web-scraper-pro.md"),
    ),
    (
        "h/deep-search-pro",
        "Answers questions that need many sources, with subagents that search side by side.",
        include_str!("built_in/agents/deep-search-pro.md"),
    ),
];

/// The agent that delegates, and to which.
const DELEGATION: (&str, &str) = ("h/deep-search-pro", "h/web-surfer-flash");

/// Names of the skills, when each is of use, and the skill itself.
const SKILLS: [(&str, &str, &str); 2] = [
    (
        "h/answering",
        "Before you give an answer that others will rely on: what to check, and how to write it.",
        include_str!("built_in/skills/answering.md"),
    ),
    (
        "h/planning",
        "Before a task of several steps: how to plan it and how to keep to the plan.",
        include_str!("built_in/skills/planning.md"),
    ),
];

/// The entries that every organization sees and none can change.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    pub(super) agents: Vec<Agent>,
    pub(super) environments: Vec<Environment>,
    pub(super) skills: Vec<Skill>,
}

impl Default for BuiltIn {
    fn default() -> Self {
        Self {
            agents: AGENTS.iter().map(agent).collect(),
            // Early desktop clients name the environment `desktop`.
            environments: vec![browser(BROWSER), browser("h/web-environment"), desktop("desktop")],
            skills: SKILLS.iter().map(skill).collect(),
        }
    }
}

impl BuiltIn {
    /// With the operator's own: an object of lists `agents`, `environments` and `skills`, in the form in which the API
    /// takes each. An entry by the name of one that is built in takes its place.
    ///
    /// # Errors
    /// Says in a sentence what is wrong with them.
    pub fn with(mut self, entries: &Value) -> Result<Self, String> {
        let lists = entries.as_object().ok_or("must be an object with the lists `agents`, `environments`, `skills`")?;
        for (list, entries) in lists {
            match list.as_str() {
                "agents" => add(&mut self.agents, list, entries)?,
                "environments" => add(&mut self.environments, list, entries)?,
                "skills" => add(&mut self.skills, list, entries)?,
                _ => return Err(format!("`{list}` is not known here: agents, environments, skills")),
            }
        }
        self.check_references()?;
        Ok(self)
    }

    /// Every name in it must be in it: organizations' own entries are not the same for all.
    fn check_references(&self) -> Result<(), String> {
        for agent in &self.agents {
            for (shelf, reference) in library::names_in(agent) {
                let known = match shelf {
                    Shelf::Agents => has(&self.agents, library::bare(&reference)),
                    Shelf::Environments => has(&self.environments, &reference),
                    Shelf::Skills => has(&self.skills, &reference),
                };
                if !known {
                    return Err(format!("the agent {:?} names {reference:?}, which is not among them", agent.name));
                }
            }
        }
        Ok(())
    }
}

fn has<T: Item>(items: &[T], name: &str) -> bool {
    items.iter().any(|item| item.name() == name)
}

fn add<T: Item + Decode>(items: &mut Vec<T>, list: &str, entries: &Value) -> Result<(), String> {
    let entries = entries.as_array().ok_or_else(|| format!("`{list}` must be a list"))?;
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let wrong = |problem: Problem| format!("{list}[{index}]: {}", problem.body.message);
        let item: T = decode_json(entry).map_err(wrong)?;
        item.check_name().map_err(wrong)?;
        if !seen.insert(item.name().to_owned()) {
            return Err(format!("{list}[{index}]: there are two of the name {:?}", item.name()));
        }
        items.retain(|known| known.name() != item.name());
        items.push(item);
    }
    Ok(())
}

pub(crate) fn created_at() -> Timestamp {
    Timestamp::from_timestamp(CREATED_AT_S, 0).unwrap_or_default()
}

fn agent((name, description, instructions): &(&str, &str, &str)) -> Agent {
    let named = |name: &str| Reference::Name(name.to_owned());
    let subagents = (*name == DELEGATION.0).then(|| vec![Reference::Name(DELEGATION.1.to_owned())]);
    Agent {
        name: (*name).to_owned(),
        description: (*description).to_owned(),
        environments: vec![named(BROWSER)],
        model: None,
        reasoning_effort: None,
        instructions: Some(instructions.trim().to_owned()),
        subagents,
        skills: Some(SKILLS.iter().map(|(name, _, _)| Reference::Name((*name).to_owned())).collect()),
        answer_format: None,
        tools: None,
    }
}

fn skill((name, description, body): &(&str, &str, &str)) -> Skill {
    Skill {
        name: (*name).to_owned(),
        description: (*description).to_owned(),
        body: body.trim().to_owned(),
        source: None,
        url_pattern: None,
        compatibility: None,
        files: std::collections::BTreeMap::new(),
        executable_files: Vec::new(),
    }
}

fn browser(id: &str) -> Environment {
    Environment::Web(Browser {
        id: id.to_owned(),
        host: Host::Cloud,
        start_url: "https://www.bing.com".into(),
        headless: false,
        session_id: None,
        mode: BrowserMode::Visual { width: 1200, height: 1200, markdown: false },
        lazy: false,
        settle_s: 1.0,
        vault_id: None,
        browser_profile_id: None,
        use_default_browser_profile: false,
        persist_browser_profile: false,
        network: None,
    })
}

fn desktop(id: &str) -> Environment {
    Environment::Desktop(Desktop {
        id: id.to_owned(),
        host: Host::Cloud,
        session_id: None,
        lazy: false,
        settle_s: 0.5,
        screenshot_max_width: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{BuiltIn, Item};
    use quarterdeck_api::{Decode, decode_json};
    use serde_json::json;

    fn check_all<T: Item + Decode + std::fmt::Debug>(items: &[T]) {
        for item in items {
            let decoded: T = decode_json(&serde_json::to_value(item).unwrap()).unwrap();
            assert_eq!(decoded, *item, "satisfies the rules of the API");
        }
    }

    #[test]
    fn what_is_built_in_satisfies_every_rule() {
        let built_in = BuiltIn::default();
        check_all(&built_in.agents);
        check_all(&built_in.environments);
        check_all(&built_in.skills);
        built_in.check_references().unwrap();
    }

    #[test]
    fn an_operator_adds_names_and_replaces_ours() {
        let own = json!({
            "environments": [{"kind": "memory", "id": "acme/notes", "namespace": "n"}],
            "agents": [
                {"name": "acme/clerk", "description": "d", "environments": ["acme/notes"], "subagents": ["h/web-surfer-pro:1"]},
                {"name": "h/web-surfer-pro", "description": "Ours.", "environments": ["h/browser"]},
            ],
        });
        let with = BuiltIn::default().with(&own).unwrap();
        assert_eq!(with.agents.len(), BuiltIn::default().agents.len() + 1);
        assert!(with.agents.iter().any(|agent| agent.name == "h/web-surfer-pro" && agent.description == "Ours."));
    }

    #[test]
    fn what_is_wrong_with_an_operators_entries_is_said() {
        let agent = |environment: &str| json!({"name": "a", "description": "d", "environments": [environment]});
        for (entries, said) in [
            (json!([]), "must be an object"),
            (json!({"agent": []}), "`agent` is not known here"),
            (json!({"agents": {}}), "`agents` must be a list"),
            (json!({"agents": [{"name": "a"}]}), "agents[0]: "),
            (json!({"agents": [agent("nowhere")]}), "the agent \"a\" names \"nowhere\""),
            (json!({"agents": [agent("h/browser"), agent("h/browser")]}), "agents[1]: there are two"),
        ] {
            let refused = BuiltIn::default().with(&entries).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
