//! A session whose tools the client runs.

use super::{Command, Story};
use crate::{follower::Follower, model::TOOL};
use anyhow::Result;
use hyper::Method;
use serde_json::json;

impl Story {
    /// Answers every call, until the answer is acknowledged or refused because an earlier one counted.
    pub(super) async fn with_tools(&mut self) -> Result<Follower> {
        let tools = self.random_tools();
        let task = self.task(tools, 0..200);
        let mut log = self.create(task, json!({})).await?;
        let mut attempt = 0;
        loop {
            log.until("a call or the end", |log| log.has_ended() || open_call(log).is_some()).await?;
            let Some(call) = open_call(&log) else { return Ok(log) };
            attempt += 1;
            let result = format!("result {attempt}");
            let tool_req = json!({"tool_name": TOOL, "args": {}, "id": call});
            let body = json!({"kind": "tool_result", "tool_req": tool_req, "result": result}).to_string();
            let sent = self.command_once(Method::POST, &log.id, "/tool_results", Some(body)).await?;
            match sent {
                Command::Accepted => {
                    self.owed.results.insert(call.clone(), result);
                }
                Command::Refused => {}
                Command::Unknown => {
                    self.retried("tool_results").await?;
                    continue;
                }
            }
            log.until("its result in the log", |log| log.has_ended() || open_call(log).as_ref() != Some(&call)).await?;
        }
    }
}

/// A call that has no result yet.
fn open_call(log: &Follower) -> Option<String> {
    let calls = log.log.iter().flat_map(|event| event.calls());
    let open = |call: &&str| !log.log.iter().any(|event| event.settled() == Some(call));
    calls.filter(open).map(str::to_owned).next()
}
