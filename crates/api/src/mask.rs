//! Copies without secrets, for everything that leaves the server. Keys and list lengths stay.

use crate::{Agent, Environment, JsonObject, McpServer, Reference, SessionRequest};
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in for a secret.
pub const MASK: &str = "***";

/// A request without secrets.
pub fn session_request(request: &SessionRequest) -> SessionRequest {
    let mut masked = request.clone();
    if let Reference::Inline(agent) = &mut masked.agent {
        mask_agent(agent);
    }
    mask_overrides(&mut masked.overrides);
    masked
}

/// An agent without secrets.
pub fn agent(agent: &Agent) -> Agent {
    let mut masked = agent.clone();
    mask_agent(&mut masked);
    masked
}

/// An environment without secrets.
pub fn environment(environment: &Environment) -> Environment {
    let mut masked = environment.clone();
    mask_environment(&mut masked);
    masked
}

fn mask_agent(agent: &mut Agent) {
    for environment in &mut agent.environments {
        if let Reference::Inline(environment) = environment {
            mask_environment(environment);
        }
    }
    for subagent in agent.subagents.iter_mut().flatten() {
        if let Reference::Inline(subagent) = subagent {
            mask_agent(subagent);
        }
    }
}

fn mask_environment(environment: &mut Environment) {
    match environment {
        Environment::Web(browser) => {
            if let Some(url) = browser.network.as_mut().and_then(|network| network.proxy_url.as_mut()) {
                MASK.clone_into(url);
            }
        }
        Environment::Code(sandbox) => {
            mask_values(&mut sandbox.env);
            sandbox.mcp_servers.iter_mut().for_each(mask_server);
        }
        Environment::Mcp(environment) => environment.servers.iter_mut().for_each(mask_server),
        Environment::Desktop(_) | Environment::Android(_) | Environment::Memory(_) | Environment::Workstation(_) => {}
    }
}

fn mask_server(server: &mut McpServer) {
    mask_values(&mut server.env);
    mask_values(&mut server.headers);
    for argument in &mut server.args {
        MASK.clone_into(argument);
    }
}

fn mask_values(map: &mut BTreeMap<String, String>) {
    for value in map.values_mut() {
        MASK.clone_into(value);
    }
}

/// Overrides hold values as they were sent; what will become a secret is masked by its name.
fn mask_overrides(overrides: &mut JsonObject) {
    for (path, value) in overrides.iter_mut() {
        let field = path.rsplit('.').next().unwrap_or_default();
        mask_field(field, value);
    }
}

fn mask_field(name: &str, value: &mut Value) {
    match name {
        "proxy_url" | "env" | "headers" | "args" => mask_texts(value),
        // Free-form schemas and texts: a property of theirs that has such a name is no secret.
        "answer_format" | "input_schema" | "messages" => {}
        _ => mask_inside(value),
    }
}

fn mask_inside(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| mask_field(name, value)),
        Value::Array(items) => items.iter_mut().for_each(mask_inside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mask_texts(value: &mut Value) {
    match value {
        Value::String(text) => MASK.clone_into(text),
        Value::Object(fields) => fields.values_mut().for_each(mask_texts),
        Value::Array(items) => items.iter_mut().for_each(mask_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
