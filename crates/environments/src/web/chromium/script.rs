//! A page of the browser as our scripts see it: from a world of their own, beside that of the page's scripts.

use super::{
    GLANCE_TIMEOUT,
    cdp::{Cdp, CdpError},
    state::text,
};
use serde_json::{Value, json};
use std::time::Duration;

const HELPERS: &str = include_str!("script/page.js");
const MARKDOWN: &str = include_str!("script/markdown.js");
/// The name of our world.
const WORLD: &str = "quarterdeck";
/// Elements of a page whose closed shadow roots are read, and roots of one page. To find them, all of it is told to us.
const REVEALED_MAX_ELEMENTS: u64 = 20_000;
const REVEALED_MAX: usize = 100;

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

    /// Shows our scripts the shadow roots of the page that its own scripts keep closed.
    pub(crate) async fn reveal(&self, limit: Duration) {
        // What cannot be shown is not read; the page is read all the same.
        if let Ok(Err(error)) = tokio::time::timeout(limit, self.reveal_all()).await {
            tracing::debug!(%error, "closed shadow roots are not read");
        }
    }

    async fn reveal_all(&self) -> Result<(), CdpError> {
        let count = self.helper(GLANCE_TIMEOUT, "count", &[]).await?;
        if count.as_u64().is_none_or(|count| count > REVEALED_MAX_ELEMENTS) {
            return Ok(());
        }
        let document = self.call("DOM.getDocument", json!({"depth": -1, "pierce": true})).await;
        self.post("DOM.disable", json!({}));
        let mut roots = Vec::new();
        closed_roots(&document?["root"], &mut roots);
        let body = format!("function(root) {{ (globalThis.quarterdeck ??= {HELPERS}).reveal(root); }}");
        for root in roots {
            let world = self.world().await?;
            let node = json!({"backendNodeId": root, "executionContextId": world});
            let Ok(node) = self.call("DOM.resolveNode", node).await else { continue };
            let call = json!({
                "functionDeclaration": body, "executionContextId": world,
                "arguments": [{"objectId": node["object"]["objectId"]}],
            });
            self.call("Runtime.callFunctionOn", call).await?;
        }
        Ok(())
    }

    async fn world(&self) -> Result<Value, CdpError> {
        let world = json!({"frameId": self.frame, "worldName": WORLD});
        let mut world = self.call("Page.createIsolatedWorld", world).await?;
        Ok(world["executionContextId"].take())
    }

    async fn run(&self, limit: Duration, function: &str, arguments: &[Value]) -> Result<Value, CdpError> {
        tokio::time::timeout(limit, self.run_without_limit(function, arguments)).await.unwrap_or(Err(CdpError::Late))
    }

    async fn run_without_limit(&self, function: &str, arguments: &[Value]) -> Result<Value, CdpError> {
        let world = self.world().await?;
        let arguments: Vec<Value> = arguments.iter().map(|value| json!({"value": value})).collect();
        let call = json!({
            "functionDeclaration": function, "executionContextId": world,
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

/// The closed shadow roots below a node, outer ones first.
fn closed_roots(node: &Value, found: &mut Vec<i64>) {
    if text(node, "shadowRootType") == "closed" && found.len() < REVEALED_MAX {
        found.extend(node["backendNodeId"].as_i64());
    }
    for members in ["shadowRoots", "children"] {
        node[members].as_array().into_iter().flatten().for_each(|inner| closed_roots(inner, found));
    }
    if node["contentDocument"].is_object() {
        closed_roots(&node["contentDocument"], found);
    }
}
