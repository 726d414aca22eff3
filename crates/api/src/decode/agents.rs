//! Agents.

use super::Decode;
use super::fields::{Fields, checked, list, nullable};
use super::json::Value;
use super::place::Place;
use super::rules::{ensure, names};
use super::scalars::{plain, sized, word};
use super::schemas::schema;
use super::skills::{prompt_part, prompt_text};
use crate::{Agent, Environment, EnvironmentKind, ReasoningEffort, Reference, Skill, ToolDefinition};
use std::collections::HashSet;

/// The longest name of an agent.
const NAME_MAX: usize = 127;

impl Decode for Agent {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.required("name", agent_name);
        let description = fields.required("description", prompt_text);
        let environments = fields.required("environments", environments);
        let model = fields.or("model", None, nullable(plain));
        let reasoning_effort = fields.or("reasoning_effort", None, nullable(ReasoningEffort::decode));
        let instructions = fields.or("instructions", None, nullable(prompt_part));
        let subagents = fields.or("subagents", None, nullable(list(Reference::<Self>::decode)));
        let skills = fields.or("skills", None, nullable(list(Reference::<Skill>::decode)));
        let answer_format = fields.or("answer_format", None, nullable(schema));
        let tools = fields.or("tools", None, nullable(tools));
        let agent = Self {
            name: name?,
            description: description?,
            environments: environments?,
            model: model?,
            reasoning_effort: reasoning_effort?,
            instructions: instructions?,
            subagents: subagents?,
            skills: skills?,
            answer_format: answer_format?,
            tools: tools?,
        };
        if can_act(&agent) {
            Some(agent)
        } else {
            fields.refuse("needs an environment, a subagent or a tool to act with")
        }
    }
}

fn can_act(agent: &Agent) -> bool {
    let has_subagents = agent.subagents.as_ref().is_some_and(|subagents| !subagents.is_empty());
    let has_tools = agent.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    has_subagents || has_tools || !agent.environments.is_empty()
}

/// The name of an agent.
pub fn agent_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let name = |value: &Value<'_>, at: &Place<'_>| sized(1..=NAME_MAX, value, at).map(str::to_owned);
    checked(name, |name| names::check_catalog_name(name))(value, at)
}

/// An agent's environments.
pub fn environments(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<Reference<Environment>>> {
    checked(list(Reference::<Environment>::decode), |environments| check_environments(environments))(value, at)
}

fn check_environments(environments: &[Reference<Environment>]) -> Result<(), String> {
    let mut names = HashSet::new();
    let mut kinds = HashSet::new();
    let mut is_new = |environment: &Reference<Environment>| match environment {
        Reference::Name(name) => names.insert(name.clone()),
        Reference::Inline(environment) => kinds.insert(environment.kind()),
    };
    let all_new = environments.iter().all(&mut is_new);
    ensure(all_new, "no environment may be listed twice, and at most one of each kind")?;
    ensure(!names.contains(""), "the id of an environment may not be empty")?;
    let both = kinds.contains(&EnvironmentKind::Workstation) && kinds.contains(&EnvironmentKind::Code);
    ensure(!both, "a workstation and a code sandbox exclude each other")
}

/// An agent's tools.
pub fn tools(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<ToolDefinition>> {
    checked(list(ToolDefinition::decode), |tools| {
        let mut names = HashSet::new();
        match tools.iter().find(|tool| !names.insert(&tool.name)) {
            Some(tool) => Err(format!("two tools are called `{}`", tool.name)),
            None => Ok(()),
        }
    })(value, at)
}

impl Decode for ReasoningEffort {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const WORDS: [(&str, ReasoningEffort); 4] = [
            ("disabled", ReasoningEffort::Disabled),
            ("low", ReasoningEffort::Low),
            ("medium", ReasoningEffort::Medium),
            ("xhigh", ReasoningEffort::Xhigh),
        ];
        word("literal_error", &WORDS, value, at)
    }
}
