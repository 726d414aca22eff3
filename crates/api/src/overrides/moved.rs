//! Overrides that send an MCP server elsewhere. What was stored to be told to one address or program is not told to the
//! next: whoever names that next one says what it is told.

use crate::McpServer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Servers of which fields were overridden, by the pointer to each.
#[derive(Default)]
pub(super) struct Touched {
    servers: BTreeMap<String, Server>,
    /// What was replaced in full, and holds nothing that was stored any more.
    replaced: Vec<String>,
}

struct Server {
    stored: Value,
    overridden: Vec<String>,
}

impl Touched {
    /// The entry at `pointer` of the list `field` is about to change in its field `next`.
    pub(super) fn enter(&mut self, field: &str, pointer: &str, entry: &Value, next: &str) {
        let is_server = matches!(field, "servers" | "mcp_servers");
        if is_server && !self.replaced.iter().any(|replaced| is_within(pointer, replaced)) {
            let server = || Server { stored: entry.clone(), overridden: Vec::new() };
            self.servers.entry(pointer.to_owned()).or_insert_with(server).overridden.push(next.to_owned());
        }
    }

    /// What is at `pointer` is about to be replaced.
    pub(super) fn replace(&mut self, pointer: String) {
        self.servers.retain(|server, _| !is_within(server, &pointer));
        self.replaced.push(pointer);
    }

    /// # Errors
    /// Names a server that is another one now and would be told what was stored for the first.
    pub(super) fn check(&self, whole: &Value) -> Result<(), String> {
        self.servers.iter().try_for_each(|(pointer, server)| match whole.pointer(pointer) {
            Some(now) => server.check(now),
            None => Ok(()),
        })
    }
}

impl Server {
    fn check(&self, now: &Value) -> Result<(), String> {
        let (Some(before), Some(after)) = (read(&self.stored), read(now)) else { return Ok(()) };
        if after.is_where(&before) {
            return Ok(());
        }
        let kept =
            [("headers", !after.headers.is_empty()), ("env", !after.env.is_empty()), ("args", !after.args.is_empty())];
        let is_stored = |field: &str| !self.overridden.iter().any(|overridden| overridden == field);
        match kept.into_iter().find(|(field, has_any)| *has_any && is_stored(field)) {
            Some((field, _)) => Err(format!(
                "overrides make the server {:?} another one; its {field} were not meant for that one: override them, too",
                after.name
            )),
            None => Ok(()),
        }
    }
}

fn read(server: &Value) -> Option<McpServer> {
    serde_json::from_value(server.clone()).ok()
}

fn is_within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
