//! What every server has, under the hosted service's names, so that code written for it runs here.

use quarterdeck_api::{Agent, Browser, BrowserMode, Environment, Host, Reference, Skill, Timestamp};
use std::sync::LazyLock;

/// How the name of everything built in begins; nobody else may use it.
pub(crate) const RESERVED: &str = "h/";

/// When all of it was made, in seconds: the first of January 2025.
const CREATED_AT_S: i64 = 1_735_689_600;

/// Names of the agents, and what each is for.
const AGENTS: [(&str, &str); 2] = [
    ("h/web-surfer-flash", "Answers quickly, with few steps on the web."),
    ("h/web-surfer-pro", "Works through longer tasks on the web."),
];

static BUILT_IN_AGENTS: LazyLock<Vec<Agent>> =
    LazyLock::new(|| AGENTS.iter().map(|(name, description)| web_agent(name, description)).collect());

static BUILT_IN_ENVIRONMENTS: LazyLock<Vec<Environment>> = LazyLock::new(|| vec![Environment::Web(browser())]);

pub(crate) fn agents() -> &'static [Agent] {
    &BUILT_IN_AGENTS
}

pub(crate) fn environments() -> &'static [Environment] {
    &BUILT_IN_ENVIRONMENTS
}

pub(crate) fn skills() -> &'static [Skill] {
    &[]
}

pub(crate) fn created_at() -> Timestamp {
    Timestamp::from_timestamp(CREATED_AT_S, 0).unwrap_or_default()
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
