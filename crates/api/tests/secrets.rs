//! What was stored in secret is shown to nobody, and told to no other server, whatever a request says.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use quarterdeck_api::{
    Agent, Decode, Environment, PatchEnvironment, Problem, SessionRequest, apply_overrides, decode_json,
};
use serde_json::{Value, json};

#[test]
fn a_patch_that_does_not_fit_shows_nothing_that_is_stored() {
    let web: Environment = read(&json!({"kind": "web", "id": "w", "network": {"proxy_url": "http://CANARY@p"}}));
    let patch: PatchEnvironment = read(&json!({"session_id": "open"}));
    check_refused(patch.apply(&web), "already open");
}

#[test]
fn overrides_that_do_not_fit_show_nothing_that_is_stored() {
    check_refused(overridden(&json!({"servers[name=http].transport": "stdio"})), "needs a command");
    check_refused(overridden(&json!({"servers[name=program].url": "https://a.example"})), "takes neither an address");
}

#[test]
fn an_agent_in_full_that_breaks_a_rule_shows_nothing_that_is_stored() {
    let mut agent = agent();
    agent["environments"] = json!([agent["environments"][0], agent["environments"][0]]);
    check_refused(decode_json::<Agent>(&agent), "at most one of each kind");
}

#[test]
fn an_override_sends_no_secret_elsewhere() {
    for (overrides, field) in [
        (json!({"servers[name=http].url": "https://b.example/mcp"}), "its headers"),
        (json!({"servers[name=http].name": "b", "servers[name=b].url": "https://b.example/mcp"}), "its headers"),
        (json!({"servers[name=http].transport": "streamable_http"}), "its headers"),
        (json!({"servers[name=http].url": "https://a.example/elsewhere"}), "its headers"),
        (json!({"servers[name=http].url": "https://a.example/mcp?to=b"}), "its headers"),
        (json!({"servers[name=program].args": ["--to", "b"]}), "its env"),
        (json!({"servers[name=program].env": {"HTTPS_PROXY": "http://b"}}), "its args"),
        (json!({"servers[name=program].command": "other"}), "its env"),
        (json!({"servers[name=program].command": "other", "servers[name=program].env": {}}), "its args"),
    ] {
        check_refused(overridden(&overrides), field);
    }
    let other = json!({"name": "http", "transport": "sse", "url": "https://b.example", "headers": {"A": "own"}});
    for overrides in [
        json!({"servers[name=http].url": "https://A.example:443/mcp"}),
        json!({"servers[name=http].headers": {"A": "own"}}),
        json!({"servers[name=program].args": [], "servers[name=program].env": {"A": "own"}}),
        json!({"servers[name=http].url": "https://b.example", "servers[name=http].headers": {"A": "own"}}),
        json!({"servers[name=http].headers": {}, "servers[name=http].url": "https://b.example"}),
        json!({"servers[name=program].command": "c", "servers[name=program].env": {}, "servers[name=program].args": []}),
        json!({"servers[name=http].url": "https://c.example", "servers[name=http]": other}),
        json!({"servers": [other], "servers[name=http].url": "https://c.example"}),
    ] {
        assert!(overridden(&overrides).is_ok(), "{overrides}");
    }
}

/// The agent with overrides of its environment.
fn overridden(overrides: &Value) -> Result<SessionRequest, Problem> {
    let below = |(path, value): (&String, &Value)| (format!("agent.environments[kind=mcp].{path}"), value.clone());
    let overrides: serde_json::Map<_, _> = overrides.as_object().unwrap().iter().map(below).collect();
    apply_overrides(&read(&json!({"agent": agent(), "overrides": overrides})))
}

fn agent() -> Value {
    let http = json!({
        "name": "http", "transport": "sse", "url": "https://a.example/mcp", "headers": {"Authorization": "CANARY"},
    });
    let program =
        json!({"name": "program", "transport": "stdio", "command": "run", "args": ["CANARY"], "env": {"A": "CANARY"}});
    let mcp = json!({"kind": "mcp", "id": "m", "servers": [http, program]});
    json!({"name": "a", "description": "d", "environments": [mcp]})
}

fn read<T: Decode>(json: &Value) -> T {
    decode_json(json).unwrap()
}

fn check_refused<T: std::fmt::Debug>(result: Result<T, Problem>, expected: &str) {
    let problem = result.unwrap_err();
    assert!(problem.status == 422 && problem.body.message.contains(expected), "{problem}");
    let shown = serde_json::to_string(&problem.body).unwrap();
    assert!(!shown.contains("CANARY"), "{shown}");
}
