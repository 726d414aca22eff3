//! The way back from [`mask`](crate::mask): who edits what was read and writes it back sends `***` where a
//! secret stood, and means the secret that is stored there.
//!
//! A `***` for which nothing is stored stays what it is. So does one of an MCP server that became another: what was
//! stored for one address, or for a program with its arguments and variables, is not handed to the next.

use crate::mask::MASK;
use crate::{Agent, Environment, McpServer, Reference};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Puts the secrets of `stored` where `written` has `***`.
pub fn agent(written: &mut Agent, stored: &Agent) {
    // An agent holds at most one environment of a kind in full.
    for environment in written.environments.iter_mut().filter_map(inline_mut) {
        let kind = environment.kind();
        if let Some(before) = stored.environments.iter().filter_map(inline).find(|before| before.kind() == kind) {
            self::environment(environment, before);
        }
    }
    let subagents = written.subagents.iter_mut().flatten().filter_map(inline_mut);
    let before = stored.subagents.iter().flatten().filter_map(inline);
    for (subagent, before) in pairs(subagents, before, |agent| agent.name.clone(), |agent| agent.name.clone()) {
        self::agent(subagent, before);
    }
}

/// Puts the secrets of `stored` where `written` has `***`.
pub fn environment(written: &mut Environment, stored: &Environment) {
    match (written, stored) {
        (Environment::Web(browser), Environment::Web(before)) => {
            let before = before.network.as_ref().and_then(|network| network.proxy_url.as_ref());
            if let (Some(network), Some(before)) = (&mut browser.network, before)
                && let Some(url) = &mut network.proxy_url
            {
                text(url, before);
            }
        }
        (Environment::Code(sandbox), Environment::Code(before)) => {
            values(&mut sandbox.env, &before.env);
            servers(&mut sandbox.mcp_servers, &before.mcp_servers);
        }
        (Environment::Mcp(mcp), Environment::Mcp(before)) => servers(&mut mcp.servers, &before.servers),
        _ => {}
    }
}

fn servers(written: &mut [McpServer], stored: &[McpServer]) {
    for (server, before) in pairs(written.iter_mut(), stored.iter(), |s| s.name.clone(), |s| s.name.clone()) {
        if !server.is_where(before) {
            continue;
        }
        values(&mut server.env, &before.env);
        values(&mut server.headers, &before.headers);
        for (argument, before) in server.args.iter_mut().zip(&before.args) {
            text(argument, before);
        }
    }
}

/// Pairs what has the same name, the first with the first, for names may be repeated.
fn pairs<'s, W, S>(
    written: impl Iterator<Item = W>,
    stored: impl Iterator<Item = &'s S>,
    name_of_written: impl Fn(&W) -> String,
    name_of_stored: impl Fn(&S) -> String,
) -> Vec<(W, &'s S)> {
    let mut by_name: HashMap<String, VecDeque<&'s S>> = HashMap::new();
    for before in stored {
        by_name.entry(name_of_stored(before)).or_default().push_back(before);
    }
    let paired = |item| by_name.get_mut(&name_of_written(&item))?.pop_front().map(|before| (item, before));
    written.filter_map(paired).collect()
}

fn values(written: &mut BTreeMap<String, String>, stored: &BTreeMap<String, String>) {
    for (key, value) in written {
        if let Some(before) = stored.get(key) {
            text(value, before);
        }
    }
}

fn text(written: &mut String, stored: &String) {
    if written == MASK {
        written.clone_from(stored);
    }
}

fn inline<T>(reference: &Reference<T>) -> Option<&T> {
    match reference {
        Reference::Inline(item) => Some(item),
        Reference::Name(_) => None,
    }
}

fn inline_mut<T>(reference: &mut Reference<T>) -> Option<&mut T> {
    match reference {
        Reference::Inline(item) => Some(item),
        Reference::Name(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Agent, Environment, decode_json, mask, unmask};
    use serde_json::{Value, json};

    fn agent(secrets: [&str; 4]) -> Agent {
        let [proxy, header, argument, nested] = secrets;
        decode_json(&json!({
            "name": "a", "description": "d",
            "environments": [
                {"kind": "web", "id": "w", "network": {"proxy_url": proxy}},
                {"kind": "mcp", "id": "m", "servers": [
                    {"name": "s", "transport": "sse", "url": "https://a", "headers": {"Authorization": header}},
                    {"name": "s", "transport": "stdio", "command": "c", "args": ["-k", argument]}]}],
            "subagents": [{"name": "b", "description": "d", "environments": [
                {"kind": "code", "id": "c", "env": {"TOKEN": nested}}]}],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_read_and_written_back_is_what_was_stored() {
        let stored = agent(["p", "h", "a", "n"]);
        let mut written = mask::agent(&stored);
        assert_ne!(written, stored);
        unmask::agent(&mut written, &stored);
        assert_eq!(written, stored);
    }

    #[test]
    fn a_new_secret_replaces_the_stored_one() {
        let mut written = agent(["new", "***", "***", "***"]);
        unmask::agent(&mut written, &agent(["p", "h", "-", "n"]));
        assert_eq!(written, agent(["new", "h", "-", "n"]));
    }

    #[test]
    fn a_server_that_moved_does_not_take_secrets_along() {
        let sse = |url: &str| json!({"transport": "sse", "url": url, "headers": {"K": "CANARY"}});
        let stdio = |command: &str| json!({"transport": "stdio", "command": command, "args": ["CANARY"], "env": {"K": "CANARY"}});
        let streamable =
            json!({"transport": "streamable_http", "url": "https://a.example/1", "headers": {"K": "CANARY"}});
        let run = |args: Value, env: Value| json!({"transport": "stdio", "command": "c", "args": args, "env": env});
        let stays = [
            (sse("https://a.example/1"), sse("https://A.example:443/1")),
            (run(json!(["-k", "CANARY"]), json!({})), run(json!(["-k", "CANARY"]), json!({}))),
            (sse("not an address"), sse("not an address")),
            (stdio("c"), stdio("c")),
        ];
        for (before, after) in stays {
            assert_eq!(written_over(&before, &after), server(&after), "{after}");
        }
        let moves = [
            (sse("https://a.example/1"), sse("https://b.example/1")),
            (sse("https://a.example/1"), sse("http://a.example/1")),
            (sse("https://a.example/1"), sse("https://a.example:444/1")),
            (sse("https://a.example/1"), sse("https://a.example@b.example/1")),
            (sse("https:///a.example/1"), sse("https:///b.example/1")),
            (sse("not an address"), sse("no address either")),
            (sse("https://a.example/1"), sse("https://a.example/2")),
            (sse("https://a.example/1"), sse("https://a.example/1?to=b.example")),
            (streamable.clone(), sse("https://a.example/1")),
            (stdio("c"), stdio("d")),
        ];
        for (before, after) in moves {
            assert_eq!(written_over(&before, &after), masked(&after), "{after}");
        }
    }

    #[test]
    fn a_program_that_is_run_in_another_way_does_not_take_secrets_along() {
        let stored = json!({"transport": "stdio", "command": "c", "args": ["--to", "a"], "env": {"K": "CANARY"}});
        for changed in [
            json!({"args": ["--to", "b"], "env": {"K": "***"}}),
            json!({"args": ["***", "b"], "env": {"K": "***"}}),
            json!({"args": ["***", "***", "-v"], "env": {"K": "***"}}),
            json!({"args": ["***"], "env": {"K": "***"}}),
            json!({"args": ["***", "***"], "env": {"K": "***", "HTTPS_PROXY": "http://b"}}),
            json!({"args": ["***", "***"], "env": {"L": "***"}}),
        ] {
            let mut after = json!({"transport": "stdio", "command": "c"});
            after.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            let mut written = server(&after);
            unmask::environment(&mut written, &server(&stored));
            assert_eq!(written, server(&after), "{after}");
        }
    }

    /// What becomes of a masked copy of `after`, written over `before`.
    fn written_over(before: &Value, after: &Value) -> Environment {
        let mut written = masked(after);
        unmask::environment(&mut written, &server(before));
        written
    }

    fn masked(fields: &Value) -> Environment {
        mask::environment(&server(fields))
    }

    fn server(fields: &Value) -> Environment {
        let mut server = json!({"name": "s"});
        server.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        decode_json(&json!({"kind": "mcp", "id": "m", "servers": [server]})).unwrap()
    }

    #[test]
    fn a_mask_for_which_nothing_is_stored_stays() {
        let spec: Value = json!({"name": "a", "description": "d", "environments": ["other"]});
        let mut written = agent(["***", "***", "***", "***"]);
        unmask::agent(&mut written, &decode_json(&spec).unwrap());
        assert_eq!(written, agent(["***", "***", "***", "***"]));
    }
}
