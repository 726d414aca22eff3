//! Sessions with environments, over HTTP and driven by scripts.

use crate::app::{Server, TestApp};
use serde_json::{Value, json};

#[tokio::test]
async fn what_one_session_remembers_the_next_one_knows() {
    let server = TestApp::new().start().await;
    let set = remember("n", "@call memory_set {\"key\": \"price\", \"value\": {\"eur\": 19}}\n@answer Kept.");
    let first = server.create(set).await;
    server.until(&first, "completed").await;
    assert_eq!(results(&server, &first).await, [json!({"stored": true})]);
    let get = "@call memory_get {\"key\": \"price\"}\n@and memory_list\n@answer Known.";
    for (namespace, found) in [("n", true), ("m", false)] {
        let id = server.create(remember(namespace, get)).await;
        server.until(&id, "completed").await;
        let told = results(&server, &id).await;
        assert!(told.iter().any(|result| result["found"] == found), "{namespace}: {told:?}");
        let keys = if found { json!(["price"]) } else { json!([]) };
        assert!(told.iter().any(|result| result["keys"] == keys), "{namespace}: {told:?}");
    }
}

#[tokio::test]
async fn another_organization_has_a_memory_of_its_own() {
    let server = TestApp::new().start().await;
    let id = server.create(remember("n", "@call memory_set {\"key\": \"a\", \"value\": 1}\n@answer Kept.")).await;
    server.until(&id, "completed").await;
    let key = server.other_organizations_key().await;
    let other = |method, path: &str| server.anonymous(method, path).bearer_auth(&key);
    let request = remember("n", "@call memory_get {\"key\": \"a\"}\n@answer Known.");
    let created = server.send(other(reqwest::Method::POST, "/api/v2/sessions").json(&request)).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let poll = format!("/api/v2/sessions/{id}/changes?from_index=0");
    for _ in 0..200 {
        let changes = server.send(other(reqwest::Method::GET, &poll)).await.json();
        if changes["status"] == "completed" {
            assert!(changes.to_string().contains("{\"found\":false}"), "{changes}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the other organization's session does not end");
}

#[tokio::test]
async fn what_a_session_may_not_have_is_told_with_the_contracts_word() {
    let server = TestApp::new().start().await;
    let mcp = |fields: Value| {
        let mut server = json!({"name": "s"});
        server.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"agent": agent(json!({"kind": "mcp", "id": "e", "servers": [server]}))})
    };
    let program = mcp(json!({"transport": "stdio", "command": "rm"}));
    let refused = server.post("/api/v2/sessions", program).await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["type"]), (403, &json!("environment_not_public")));
    let inside = mcp(json!({"transport": "sse", "url": "http://169.254.169.254/"}));
    let refused = server.post("/api/v2/sessions", inside).await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["loc"]), (422, &json!(["body"])));
}

#[tokio::test]
async fn a_kind_that_is_not_hosted_is_told_and_the_session_goes_on() {
    let server = TestApp::new().start().await;
    let desktop = agent(json!({"kind": "desktop", "id": "d"}));
    let id = server.create(json!({"agent": desktop, "messages": "@answer Without it."})).await;
    server.until(&id, "completed").await;
    assert_eq!(server.count(&id, "observation_event").await, 1);
    server.stop().await;
}

#[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
fn agent(environment: Value) -> Value {
    json!({"name": "tester", "description": "Tests things.", "environments": [environment]})
}

fn remember(namespace: &str, script: &str) -> Value {
    json!({"agent": agent(json!({"kind": "memory", "id": "m", "namespace": namespace})), "messages": script})
}

async fn results(server: &Server, id: &str) -> Vec<Value> {
    let events = server.events(id).await;
    let returned = events.iter().filter(|event| event["data"]["kind"] == "tool_result");
    returned.map(|event| event["data"]["result"].clone()).collect()
}
