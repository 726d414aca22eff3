//! Built-in agents, and how a name becomes an agent.

use quarterdeck_api::{Agent, Browser, BrowserMode, Environment, Host, Reference, SessionRequest};
use std::sync::Arc;
use thiserror::Error;

/// A request whose agent is known in full.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The request, the agent inline.
    pub request: SessionRequest,
    /// The agent.
    pub agent: Arc<Agent>,
    /// The name it was asked for by.
    pub reference: Option<String>,
    /// The catalog revision used.
    pub revision: Option<i64>,
}

/// There is no agent of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no agent named {0:?}")]
pub struct UnknownAgent(pub String);

/// Names of the hosted service's agents, and what each is for.
const BUILT_IN: [(&str, &str); 2] = [
    ("h/web-surfer-flash", "Answers quickly, with few steps on the web."),
    ("h/web-surfer-pro", "Works through longer tasks on the web."),
];

/// The agents that every server has, under the hosted service's names, so that code written for it runs here.
pub fn built_in_agents() -> Vec<Agent> {
    BUILT_IN.iter().map(|(name, description)| web_agent(name, description)).collect()
}

fn web_agent(name: &str, description: &str) -> Agent {
    Agent {
        name: name.to_owned(),
        description: description.to_owned(),
        environments: vec![Reference::Inline(Box::new(Environment::Web(browser())))],
        model: None,
        reasoning_effort: None,
        instructions: None,
        subagents: None,
        skills: None,
        answer_format: None,
        tools: None,
    }
}

fn browser() -> Browser {
    Browser {
        id: "h/web-environment".into(),
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
    }
}

/// Puts the agent in full in place of its name.
pub(crate) fn resolve(mut request: SessionRequest) -> Result<Resolved, UnknownAgent> {
    let (agent, reference, revision) = match &request.agent {
        Reference::Inline(agent) => ((**agent).clone(), None, None),
        Reference::Name(name) => (built_in(name)?, Some(without_revision(name).to_owned()), Some(1)),
    };
    request.agent = Reference::Inline(Box::new(agent.clone()));
    Ok(Resolved { request, agent: Arc::new(agent), reference, revision })
}

/// Built-in agents have one revision.
fn built_in(name: &str) -> Result<Agent, UnknownAgent> {
    let bare = match name.split_once(':') {
        Some((bare, "1")) => bare,
        Some(_) => return Err(UnknownAgent(name.to_owned())),
        None => name,
    };
    built_in_agents().into_iter().find(|agent| agent.name == bare).ok_or_else(|| UnknownAgent(name.to_owned()))
}

fn without_revision(name: &str) -> &str {
    name.split_once(':').map_or(name, |(bare, _)| bare)
}
