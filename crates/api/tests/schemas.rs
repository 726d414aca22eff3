//! The `OpenAPI` schemas of request types agree with the contract's document: same fields, same required ones,
//! same bounds. Names of schemas and the way unions are written may differ.

use quarterdeck_api::{
    Agent, Android, Browser, BrowserNetwork, CodeSandbox, CreateSchedule, CreateWebhook, CronTiming, Desktop, Feedback,
    FileContent, ManagedProxy, McpEnvironment, McpServer, Memory, PatchAgent, PatchEnvironment, PatchSkill,
    PauseSchedule, SessionRequest, Skill, ToolDefinition, ToolError, ToolRequest, ToolResult, UpdateSchedule,
    UpdateWebhook, UserMessage, Workstation, WorkstationStorage,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use utoipa::PartialSchema;

/// The contract's prose and the server take null for no overrides (sessions, section 3); its document does not say so.
const OVERRIDES_MAY_BE_NULL: &str = r#"SessionRequest: overrides: {"null":true}, contract {"null":false}"#;

#[test]
fn schemas_agree_with_the_contract() {
    let contract = contract();
    let mut differences = Vec::new();
    let mut compare = |name: &str, ours: Value| {
        let theirs = &contract["components"]["schemas"][name];
        differences.extend(compared(&ours, theirs).into_iter().map(|difference| format!("{name}: {difference}")));
    };
    compare("SessionRequest", schema::<SessionRequest>());
    compare("UserMessageEvent", schema::<UserMessage>());
    compare("FileContent", schema::<FileContent>());
    compare("Feedback", schema::<Feedback>());
    compare("Agent", schema::<Agent>());
    compare("PatchAgent", schema::<PatchAgent>());
    compare("ToolDefinition", schema::<ToolDefinition>());
    compare("ToolRequest", schema::<ToolRequest>());
    compare("ToolResultEvent", schema::<ToolResult>());
    compare("ErrorEvent", schema::<ToolError>());
    compare("Skill", schema::<Skill>());
    compare("PatchSkill", schema::<PatchSkill>());
    compare("Browser", schema::<Browser>());
    compare("BrowserNetwork", schema::<BrowserNetwork>());
    compare("ManagedProxySelection", schema::<ManagedProxy>());
    compare("Desktop", schema::<Desktop>());
    compare("Android", schema::<Android>());
    compare("CodeSandbox", schema::<CodeSandbox>());
    compare("MCP", schema::<McpEnvironment>());
    compare("MCPServer", schema::<McpServer>());
    compare("Memory", schema::<Memory>());
    compare("Workstation", schema::<Workstation>());
    compare("WorkstationStorage", schema::<WorkstationStorage>());
    compare("PatchEnvironment", schema::<PatchEnvironment>());
    compare("CreateWebhook", schema::<CreateWebhook>());
    compare("UpdateWebhook", schema::<UpdateWebhook>());
    compare("CronTiming", schema::<CronTiming>());
    compare("CreateSchedule", schema::<CreateSchedule>());
    compare("UpdateSchedule", schema::<UpdateSchedule>());
    compare("PauseSchedule", schema::<PauseSchedule>());
    differences.retain(|difference| difference != OVERRIDES_MAY_BE_NULL);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn contract() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/openapi.json");
    let text = std::fs::read_to_string(path).expect("the document is part of the repository");
    serde_json::from_str(&text).expect("the document is JSON")
}

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

fn compared(ours: &Value, theirs: &Value) -> Vec<String> {
    let (ours, theirs) = (merged(ours), merged(theirs));
    // The tags of unions: ours are written where the union is, theirs in every member.
    let fields = |schema: &Value| {
        let names = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned());
        names.filter(|name| !matches!(name.as_str(), "kind" | "type")).collect::<BTreeSet<_>>()
    };
    let required = |schema: &Value| {
        let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.filter(|name| !matches!(*name, "kind" | "type")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let mut differences = Vec::new();
    if fields(&ours) != fields(&theirs) {
        differences.push(format!("fields {:?}, contract {:?}", fields(&ours), fields(&theirs)));
    }
    if required(&ours) != required(&theirs) {
        differences.push(format!("required {:?}, contract {:?}", required(&ours), required(&theirs)));
    }
    for field in fields(&ours).intersection(&fields(&theirs)) {
        let (mine, contract) = (bounds(&ours["properties"][field]), bounds(&theirs["properties"][field]));
        if mine != contract {
            differences.push(format!("{field}: {mine}, contract {contract}"));
        }
    }
    differences
}

/// The schema with the parts of its `allOf` put together.
fn merged(schema: &Value) -> Value {
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    let all = |key: &str| {
        parts
            .iter()
            .filter_map(|part| part[key].as_object())
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
    };
    let required = parts.iter().filter_map(|part| part["required"].as_array()).flatten().cloned().collect::<Vec<_>>();
    json!({ "properties": all("properties"), "required": required })
}

/// The bounds of a field, whether it may be null, and its default.
fn bounds(field: &Value) -> Value {
    const KEYS: [&str; 8] =
        ["minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum", "minItems", "pattern", "default"];
    let members = ["anyOf", "oneOf"].into_iter().filter_map(|key| field[key].as_array()).flatten();
    let all = std::iter::once(field).chain(members).collect::<Vec<_>>();
    let bound = |key: &str| all.iter().find_map(|schema| schema.get(key)).filter(|bound| !bound.is_null()).cloned();
    let number = |bound: Value| bound.as_f64().map_or(bound, |number| json!(number));
    let null = all.iter().any(|schema| {
        schema["type"] == "null" || schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
    });
    let mut found: serde_json::Map<_, _> =
        KEYS.iter().filter_map(|key| Some(((*key).to_owned(), number(bound(key)?)))).collect();
    found.insert("null".into(), null.into());
    Value::Object(found)
}
