//! Environments that an agent was set up for and this build does not have: the agent is told, once.

use quarterdeck_api::{Agent, AgentEvent, Environment, EnvironmentKind, JsonObject, Reference};
use std::sync::Arc;

/// What is still to be observed before the agent's first reply: one remark for each kind of environment.
pub(crate) fn missing(agent: &Agent, transcript: &[Arc<AgentEvent>]) -> Vec<AgentEvent> {
    if transcript.iter().any(|event| matches!(**event, AgentEvent::PolicyEvent { .. })) {
        return Vec::new();
    }
    let mut sources: Vec<&str> = Vec::new();
    for source in agent.environments.iter().map(source) {
        if !sources.contains(&source) && !is_observed(source, transcript) {
            sources.push(source);
        }
    }
    sources.into_iter().map(remark).collect()
}

fn source(environment: &Reference<Environment>) -> &str {
    match environment {
        Reference::Inline(environment) => word(environment.kind()),
        Reference::Name(name) => name,
    }
}

fn word(kind: EnvironmentKind) -> &'static str {
    match kind {
        EnvironmentKind::Web => "web",
        EnvironmentKind::Desktop => "desktop",
        EnvironmentKind::Android => "android",
        EnvironmentKind::Code => "code",
        EnvironmentKind::Mcp => "mcp",
        EnvironmentKind::Memory => "memory",
        EnvironmentKind::Workstation => "workstation",
    }
}

/// After a crash some may have been told already.
fn is_observed(kind: &str, transcript: &[Arc<AgentEvent>]) -> bool {
    transcript.iter().any(|event| matches!(&**event, AgentEvent::ObservationEvent { source, .. } if source == kind))
}

fn remark(source: &str) -> AgentEvent {
    AgentEvent::ObservationEvent {
        source: source.to_owned(),
        text: Some(format!(
            "The environment \"{source}\" is not available: this version of Quarterdeck does not run any yet. \
             The agent works without it."
        )),
        image: None,
        metadata: JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, events};
    use serde_json::{Value, json};

    #[test]
    fn each_kind_is_told_once_before_the_first_reply() {
        let message = json!({"kind": "message_event", "caller_id": "user", "content": ["hi"]});
        let seen = json!({"kind": "observation_event", "type": "memory", "text": "t", "image": null, "metadata": {}});
        let reply = json!({"kind": "policy_event", "tool_reqs": [], "validation_errors": ["x"]});
        check(&[&message], &["memory", "h/browser"]);
        check(&[&message, &seen], &["h/browser"]);
        check(&[&message, &reply], &[]);
    }

    fn check(transcript: &[&Value], expected: &[&str]) {
        let memory = |id| json!({"kind": "memory", "id": id, "namespace": "n"});
        let agent = agent(json!({"environments": [memory("a"), memory("b"), "h/browser"]}));
        let told = missing(&agent, &events(transcript.iter().copied()));
        let sources = told.iter().map(|event| {
            let AgentEvent::ObservationEvent { source, .. } = event else { panic!("{event:?}") };
            source.as_str()
        });
        assert_eq!(sources.collect::<Vec<_>>(), expected);
    }
}
