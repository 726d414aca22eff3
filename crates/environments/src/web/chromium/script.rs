//! A page of the browser as our scripts see it: from a world of their own, beside that of the page's scripts.

use super::cdp::{Cdp, CdpError};
use serde_json::{Value, json};
use std::time::Duration;

const HELPERS: &str = include_str!("script/page.js");
const MARKDOWN: &str = include_str!("script/markdown.js");
/// The name of our world.
const WORLD: &str = "quarterdeck";

/// A page, for calls to it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    cdp: Cdp,
    pub(crate) session: String,
    /// The frame that scripts run in.
    pub(crate) frame: String,
}

impl Page {
    pub(crate) fn new(cdp: Cdp, session: String, frame: String) -> Self {
        Self { cdp, session, frame }
    }

    /// Calls a method of the protocol.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, CdpError> {
        self.cdp.call(Some(&self.session), method, params).await
    }

    /// The same with another time limit.
    pub(crate) async fn call_within(&self, limit: Duration, method: &str, params: Value) -> Result<Value, CdpError> {
        self.cdp.call_within(limit, Some(&self.session), method, params).await
    }

    /// Sends a command whose answer nobody waits for.
    pub(crate) fn post(&self, method: &str, params: Value) {
        self.cdp.post(Some(&self.session), method, params);
    }

    /// Calls a helper of `script/page.js` within a time.
    pub(crate) async fn helper(&self, limit: Duration, name: &str, arguments: &[Value]) -> Result<Value, CdpError> {
        let body = format!("function(...given) {{ return (globalThis.quarterdeck ??= {HELPERS}).{name}(...given); }}");
        self.run(limit, &body, arguments).await
    }

    /// Writes the page as markdown.
    pub(crate) async fn markdown(&self, limit: Duration, only_visible: bool) -> Result<Value, CdpError> {
        let body =
            format!("function(visible) {{ return ({MARKDOWN})(globalThis.quarterdeck ??= {HELPERS})(visible); }}");
        self.run(limit, &body, &[only_visible.into()]).await
    }

    async fn run(&self, limit: Duration, function: &str, arguments: &[Value]) -> Result<Value, CdpError> {
        tokio::time::timeout(limit, self.run_without_limit(function, arguments)).await.unwrap_or(Err(CdpError::Late))
    }

    async fn run_without_limit(&self, function: &str, arguments: &[Value]) -> Result<Value, CdpError> {
        let world = self.call("Page.createIsolatedWorld", json!({"frameId": self.frame, "worldName": WORLD})).await?;
        let arguments: Vec<Value> = arguments.iter().map(|value| json!({"value": value})).collect();
        let call = json!({
            "functionDeclaration": function, "executionContextId": world["executionContextId"],
            "arguments": arguments, "returnByValue": true,
        });
        let mut answer = self.call("Runtime.callFunctionOn", call).await?;
        if let Some(fault) = answer.get("exceptionDetails") {
            let fault = fault["exception"]["description"].as_str().unwrap_or_default();
            tracing::debug!(fault, "a script of ours failed in a page");
            return Err(CdpError::Refused("a script failed in the page".into()));
        }
        Ok(answer["result"]["value"].take())
    }
}
