//! Lists stay small, whole and readable, whatever others have stored.

use crate::app::{Server, TestApp, request};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

on_both_engines! { first_messages_are_summed_up, agents_are_found_by_the_name_that_lists_show }

async fn first_messages_are_summed_up(app: TestApp) {
    let server = app.start().await;
    let picture = format!("data:image/png;base64,{}", "A".repeat(400_000));
    let text = format!("@answer done\n{}", "é".repeat(2_000));
    for _ in 0..10 {
        let message = json!({"type": "user_message", "message": text, "images": [picture]});
        server.create(json!({"messages": [message], "group_id": "large"})).await;
    }
    let list = server.get("/api/v2/sessions?group_id=large&size=100").await;
    assert!(list.text.len() < 30_000, "{} bytes", list.text.len());
    let list = list.json();
    assert_eq!(list["total"], 10);
    for item in list["items"].as_array().unwrap() {
        let shown = item["first_message"]["message"].as_str().unwrap();
        assert_eq!((shown.chars().count(), shown.ends_with('…')), (500, true));
        assert_eq!(item["first_message"]["images"], json!([]));
    }
    let found = server.get(&format!("/api/v2/sessions?search={}", "%C3%A9".repeat(600))).await.json();
    assert_eq!(found["total"], 10, "what is not shown is found");
    server.stop().await;
}

async fn agents_are_found_by_the_name_that_lists_show(app: TestApp) {
    let server = app.start().await;
    let inline = |name: &str| {
        let mut agent = request(json!({}))["agent"].clone();
        agent["name"] = name.into();
        agent
    };
    let x = server.create(json!({"agent": inline("x")})).await;
    let y = server.create(json!({"agent": inline("y")})).await;
    let named = server.create(json!({"agent": "h/web-surfer-pro"})).await;
    let check = async |query: &str, wanted: &[&String]| {
        let list = server.get(&format!("/api/v2/sessions?sort=created_at&{query}")).await.json();
        let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(
            (ids, list["total"].as_u64()),
            (wanted.iter().map(|id| id.as_str()).collect(), Some(wanted.len() as u64))
        );
    };
    check("agent=x", &[&x]).await;
    check("agent=x&agent=y", &[&x, &y]).await;
    check("agent=x&agent=h/web-surfer-pro", &[&x, &named]).await;
    check("agent=z", &[]).await;
    let entry = inline("x");
    assert_eq!(server.post("/api/v2/agents", entry).await.status, 201);
    let second = server.create(json!({"agent": "x"})).await;
    check("agent=x", &[&x, &second]).await;
    server.stop().await;
}

#[tokio::test]
async fn an_entry_that_an_old_client_cannot_read_breaks_no_list_of_its() {
    let server = TestApp::new().start().await;
    let memory = json!({"kind": "memory", "id": "m", "namespace": "n"});
    let web = json!({"kind": "web", "id": "w"});
    for environment in [&memory, &web] {
        assert_eq!(server.post("/api/v2/environments", environment.clone()).await.status, 201);
    }
    for (name, environment) in [("inline", memory), ("named", json!("m")), ("plain", web)] {
        let agent = json!({"name": name, "description": "d", "environments": [environment]});
        assert_eq!(server.post("/api/v2/agents", agent).await.status, 201);
    }
    for (client, all, agents, environments) in [
        ("hai_agents/1.3.0", "", "named plain", "w"),
        ("hai_agents/1.3.0", "all", "inline named plain", "m w"),
        ("hai_agents/1.4.0", "", "inline named plain", "m w"),
        ("Mozilla/5.0", "", "inline named plain", "m w"),
    ] {
        check_list(&server, "/api/v2/agents?reserved=false&sort=agent_name", "name", [client, all, agents, "3"]).await;
        let path = "/api/v2/environments?search=&sort=id&size=1000";
        let list = list(&server, path, client, all).await;
        let ours: Vec<_> = names(&list.0, "id").into_iter().filter(|id| id.len() == 1).collect();
        assert_eq!(ours.join(" "), environments, "{client}");
    }
    server.stop().await;
}

async fn check_list(server: &Server, path: &str, field: &str, [client, all, wanted, total]: [&str; 4]) {
    let (page, left_out) = list(server, path, client, all).await;
    let shown = names(&page, field);
    assert_eq!(shown.join(" "), wanted, "{client}");
    assert_eq!(page["total"].to_string(), total, "the total counts all");
    let mut missing = String::new();
    let count = page["total"].as_u64().unwrap() - shown.len() as u64;
    if count > 0 {
        write!(missing, "{count}").unwrap();
    }
    assert_eq!(left_out.unwrap_or_default(), missing, "{client}");
}

async fn list(server: &Server, path: &str, client: &str, all: &str) -> (Value, Option<String>) {
    let call = server.request(Method::GET, path).header("User-Agent", client);
    let call = if all.is_empty() { call } else { call.header("X-Quarterdeck-Kinds", all) };
    let answer = server.send(call).await;
    let left_out = answer.header("x-quarterdeck-left-out").map(str::to_owned);
    (answer.json(), left_out)
}

fn names(page: &Value, field: &str) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}
