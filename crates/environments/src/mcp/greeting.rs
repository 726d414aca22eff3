//! How a server is met: by `initialize` in any of its revisions, or by `server/discover` where there is none any more.

use super::{error::McpError, json, link::Link};
use quarterdeck_api::JsonObject;
use serde_json::{Value, json};

/// The newest revision that begins with a handshake, and the older ones.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision without one: each request says who asks.
const WITHOUT_HANDSHAKE: &str = "2026-07-28";
/// Characters of what a server says of itself that the model is shown.
const INSTRUCTIONS_MAX: usize = 4_000;

/// Greets a server. Returns what it says of itself.
pub(super) async fn greet(link: &Link) -> Result<Option<String>, McpError> {
    let fault = match initialize(link, VERSIONS[0]).await {
        Ok(said) => return Ok(said),
        Err(fault) => fault,
    };
    let Some(refusal) = fault.refusal().filter(|refusal| refusal.is_about_version()) else { return Err(fault) };
    let shared = VERSIONS.iter().find(|version| refusal.versions.iter().any(|theirs| theirs == *version));
    let second = match shared {
        Some(version) => initialize(link, version).await,
        None => discover(link).await,
    };
    second.map_err(|_| fault)
}

async fn initialize(link: &Link, version: &str) -> Result<Option<String>, McpError> {
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client_info()});
    let greeting = link.request("initialize", object(params)).await?;
    let names = ["protocolVersion", "capabilities", "instructions"];
    let [theirs, capabilities, instructions] = json::members(greeting.get(), names).unwrap_or_default();
    // What we ask for is the same in every revision, so one that we do not know is no hindrance.
    link.agree(&json::string(theirs).unwrap_or_else(|| version.to_owned()), None);
    if let Err(error) = link.notify("notifications/initialized").await {
        tracing::debug!(%error, "an MCP server did not take our thanks for its greeting");
    }
    let tools = capabilities.and_then(|all| json::members(all.get(), ["tools"])).and_then(|[tools]| tools);
    let changes = tools.and_then(|tools| json::members(tools.get(), ["listChanged"])).and_then(|[changes]| changes);
    if changes.is_some_and(|changes| changes.get() == "true") {
        link.listen();
    }
    Ok(said(instructions))
}

async fn discover(link: &Link) -> Result<Option<String>, McpError> {
    let about_us = json!({
        "io.modelcontextprotocol/protocolVersion": WITHOUT_HANDSHAKE,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    link.agree(WITHOUT_HANDSHAKE, Some(about_us));
    let found = link.request("server/discover", JsonObject::new()).await?;
    let [instructions] = json::members(found.get(), ["instructions"]).unwrap_or_default();
    Ok(said(instructions))
}

fn said(instructions: Option<&serde_json::value::RawValue>) -> Option<String> {
    let said = json::string(instructions).filter(|said| !said.trim().is_empty())?;
    Some(said.chars().take(INSTRUCTIONS_MAX).collect())
}

fn client_info() -> Value {
    json!({"name": "quarterdeck", "version": env!("CARGO_PKG_VERSION")})
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => JsonObject::new(),
    }
}
