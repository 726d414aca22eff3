//! Sessions of agents that are kept in the catalog.

use crate::app::{Server, TestApp};
use quarterdeck_test_support::fake_model::FakeModel;
use serde_json::{Value, json};

on_both_engines![
    an_override_changes_the_entry_that_it_selects_in_a_named_agent,
    an_override_that_selects_nothing_or_too_much_is_refused_once_the_name_is_resolved,
    secrets_of_a_named_agent_read_back_masked,
    a_skill_of_a_named_agent_is_loaded,
];

async fn an_override_changes_the_entry_that_it_selects_in_a_named_agent(app: TestApp) {
    let model = FakeModel::start().await.unwrap();
    let server = app.model(&model).start().await;
    keep(&server, json!({"tools": [tool("ask", "Asks."), tool("look", "Looks.")]})).await;
    let overrides = json!({"agent.tools[name=look].description": "Looks closely."});
    let body = json!({"agent": "kept", "overrides": overrides, "messages": "Go"});
    let created = server.post("/api/v2/sessions", body).await;
    assert_eq!((created.status, &created.json()["agent_revision"]), (201, &json!(1)), "{created:?}");
    server.until(created.json()["id"].as_str().unwrap(), "completed").await;
    let offered = model.requests()[0].body["tools"].to_string();
    assert!(offered.contains("Asks.") && offered.contains("Looks closely."), "{offered}");
    let kept = server.get("/api/v2/agents/kept").await.json();
    assert_eq!(kept["tools"][1]["description"], "Looks.", "the catalog's own is as it was");
    server.stop().await;
}

async fn an_override_that_selects_nothing_or_too_much_is_refused_once_the_name_is_resolved(app: TestApp) {
    let server = app.start().await;
    keep(&server, json!({"tools": [tool("ask", "Same"), tool("look", "Same")]})).await;
    for (selector, words) in [("name=gone", "no entry is selected"), ("description=Same", "several entries")] {
        let overrides = json!({format!("agent.tools[{selector}].name"): "other"});
        let refused = server.post("/api/v2/sessions", json!({"agent": "kept", "overrides": overrides})).await;
        assert_eq!((refused.status, &refused.json()["detail"][0]["loc"]), (422, &json!(["body"])), "{refused:?}");
        assert!(refused.text.contains(words), "{refused:?}");
        let unknown = server.post("/api/v2/sessions", json!({"agent": "nobody", "overrides": overrides})).await;
        assert_eq!(unknown.status, 404, "the name comes first: {unknown:?}");
    }
    assert_eq!(server.get("/api/v2/sessions").await.json()["total"], 0);
    server.stop().await;
}

async fn secrets_of_a_named_agent_read_back_masked(mut app: TestApp) {
    // So that nothing is connected to.
    app.engine.limits.concurrent = 0;
    let server = app.start().await;
    let mcp = json!({"name": "s", "transport": "sse", "url": "https://mcp.example.com/sse",
        "headers": {"Authorization": "CANARY"}});
    let environment = json!({"kind": "mcp", "id": "e", "servers": [mcp]});
    assert_eq!(server.post("/api/v2/environments", environment.clone()).await.status, 201);
    for (name, environments) in [("inline", json!([environment])), ("by-name", json!(["e"]))] {
        keep(&server, json!({"name": name, "environments": environments})).await;
        let created = server.post("/api/v2/sessions", json!({"agent": name, "messages": "Go"})).await;
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let read = server.get(&format!("/api/v2/sessions/{id}")).await;
        let resolved = server.get(&format!("/api/v2/agents/{name}?resolve=true")).await;
        for shown in [&created, &read, &resolved, &server.get(&format!("/api/v2/agents/{name}")).await] {
            assert!(!shown.text.contains("CANARY"), "{shown:?}");
        }
        assert!(resolved.text.contains("\"Authorization\":\"***\""), "{resolved:?}");
        for session in [&created, &read] {
            let agent = &session.json()["request"]["agent"];
            assert_eq!(agent["environments"][0]["servers"][0]["headers"], json!({"Authorization": "***"}), "{agent}");
        }
    }
    server.stop().await;
}

async fn a_skill_of_a_named_agent_is_loaded(app: TestApp) {
    let server = app.start().await;
    let skill = json!({"name": "price-check", "description": "Checks prices.", "body": "Look at the shelf.",
        "files": {"shelf.txt": "QSBzaGVsZi4="}});
    assert_eq!(server.post("/api/v2/skills", skill).await.status, 201);
    keep(&server, json!({"skills": ["price-check"], "tools": [tool("spare", "A tool.")]})).await;
    let script = "@call load_skill {\"name\": \"price-check\"}
@call load_skill {\"name\": \"price-check\", \"file\": \"shelf.txt\"}
@call load_skill {\"name\": \"gone\"}
@answer done";
    let created = server.post("/api/v2/sessions", json!({"agent": "kept", "messages": script})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let status = server.until(&id, "completed").await;
    assert_eq!(status["steps"], 4);
    let events = server.events(&id).await;
    let told = |kind: &str| events.iter().filter(|event| event["data"]["kind"] == kind).collect::<Vec<_>>();
    let results = told("tool_result");
    let instructions = &results[0]["data"]["result"];
    assert_eq!(
        (&instructions["instructions"], &instructions["files"]),
        (&json!("Look at the shelf."), &json!(["shelf.txt"]))
    );
    assert!(results[1]["data"]["result"].to_string().contains("A shelf."), "{}", results[1]);
    assert!(told("error_event")[0]["data"]["error"].as_str().unwrap().contains("price-check"), "it says what there is");
    server.stop().await;
}

/// Puts the agent `kept` into the catalog, with these fields.
async fn keep(server: &Server, fields: Value) {
    let mut agent = json!({"name": "kept", "description": "Is kept.", "environments": []});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    agent.as_object_mut().unwrap().extend(fields);
    let created = server.post("/api/v2/agents", agent).await;
    assert_eq!(created.status, 201, "{created:?}");
}

fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "input_schema": {"type": "object"}})
}
