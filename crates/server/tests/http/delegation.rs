//! A session, its child and its child's child, as clients see them.

use crate::app::{Server, TestApp, request, result_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn three_levels_work_for_each_other() {
    answer_from_below(TestApp::new().start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_levels_work_for_each_other_on_postgres() {
    answer_from_below(TestApp::new().on_postgres().await.start().await).await;
}

async fn answer_from_below(server: Server) {
    let [top, middle, leaf] = three_levels(&server, "@call ask\n@outcome partial\n@answer 19 €").await;
    for (parent, child) in [(&top, &middle), (&middle, &leaf)] {
        assert_eq!(server.status(parent).await["subagent_session_ids"], json!([child]));
        let shown = server.get(&format!("/api/v2/sessions/{child}")).await.json();
        assert_eq!(shown["request"]["parent_session_id"], json!(parent));
        assert_eq!(shown["request"]["messages"]["caller_id"], "agent");
    }
    command(&server, &top, "pause").await;
    for below in [&middle, &leaf] {
        server.until(below, "paused").await;
    }
    command(&server, &top, "resume").await;
    let pending = server.until(&leaf, "awaiting_tool_results").await;
    let result = result_of(&pending["pending_tool_calls"][0]);
    assert_eq!(server.post(&format!("/api/v2/sessions/{leaf}/tool_results"), result).await.status, 202);

    let status = server.until(&top, "completed").await;
    assert_eq!((&status["steps"], &status["outcome"]), (&json!(2), &json!("success")), "children count for themselves");
    let expected = json!({"session_id": leaf, "status": "completed", "answer": "19 €", "outcome": "partial"});
    assert_eq!(results(&server, &middle).await, [expected]);
    assert_eq!(results(&server, &top).await[0]["answer"], "middle is done");
    let words = server.words(&top).await;
    let since = words.iter().position(|word| word == "policy_event").unwrap();
    let paused = ["AgentRunStatusChange paused", "AgentRunStatusChange running"];
    let expected = ["policy_event", "MetricsUpdate", paused[0], paused[1], "tool_result"];
    assert_eq!(words[since..since + 5], expected, "a delegation writes nothing else");
    server.stop().await;
}

#[tokio::test]
async fn subagents_are_nested_sixteen_deep_and_no_deeper() {
    let server = TestApp::new().start().await;
    let agent = |levels: usize| {
        let leaf = json!({"name": "a0", "description": "d", "environments": ["h/browser"]});
        (1..=levels).fold(leaf, |below, level| {
            json!({"name": format!("a{level}"), "description": "d", "environments": [], "subagents": [below]})
        })
    };
    let create = async |levels: usize, parent: Option<&str>| {
        let body = json!({"agent": agent(levels), "messages": "@answer 1", "parent_session_id": parent});
        server.post("/api/v2/sessions", body).await
    };
    let deepest = create(16, None).await;
    assert_eq!(deepest.status, 201, "{deepest:?}");
    let too_deep = create(17, None).await;
    assert_eq!(too_deep.status, 422, "{too_deep:?}");
    assert!(too_deep.json()["message"].as_str().unwrap().contains("more than 16 deep"));
    let parent = deepest.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(create(16, Some(&parent)).await.status, 422, "it stands below its parent");
    assert_eq!(create(15, Some(&parent)).await.status, 201);

    for (name, below) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let agent = json!({"name": name, "description": "d", "environments": [], "subagents": [below]});
        assert_eq!(server.post("/api/v2/agents", agent).await.status, 201);
    }
    for agent in
        [json!("a"), json!("b:1"), json!({"name": "d", "description": "d", "environments": [], "subagents": ["a"]})]
    {
        let cycle = server.post("/api/v2/sessions", json!({"agent": agent, "messages": "Go"})).await;
        assert_eq!(cycle.status, 422, "{cycle:?}");
        assert!(cycle.json()["message"].as_str().unwrap().contains("its own subagent"), "{cycle:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_reaches_the_lowest() {
    cancel_from_above(TestApp::new().start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_the_lowest_on_postgres() {
    cancel_from_above(TestApp::new().on_postgres().await.start().await).await;
}

async fn cancel_from_above(server: Server) {
    let [top, middle, leaf] = three_levels(&server, "@call ask\n@answer never").await;
    let begun = Instant::now();
    assert_eq!(server.delete(&format!("/api/v2/sessions/{top}")).await.status, 204);
    for below in [&leaf, &middle] {
        server.until(below, "interrupted").await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let error = server.events(&middle).await.into_iter().find(|event| event["data"]["kind"] == "error_event").unwrap();
    assert_eq!(error["data"]["tool_req"]["tool_name"], "delegate", "the call is settled in the log");
    server.stop().await;
}

#[tokio::test]
async fn a_child_is_steered_and_listed_like_any_session() {
    let server = TestApp::new().start().await;
    let [top, middle, leaf] = three_levels(&server, "@call ask\n@answer enough").await;
    command(&server, &leaf, "force_answer").await;
    server.until(&top, "completed").await;
    assert_eq!(results(&server, &middle).await[0]["answer"], "enough");
    let all = server.get("/api/v2/sessions").await.json();
    assert_eq!((&all["total"], &all["items"][0]["agent"]), (&json!(3), &json!("leaf")));
}

/// Their ids, top, middle and leaf. The leaf plays `script` and waits for the client when this returns.
async fn three_levels(server: &Server, script: &str) -> [String; 3] {
    let task = format!("{}@answer middle is done", delegate("leaf", script));
    let task = format!("{}@answer all done", delegate("middle", &task));
    let ask = json!([{"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}}]);
    let agent = |name: &str, below: Value| json!({"name": name, "description": "Plays.", "environments": [], "tools": ask, "subagents": below});
    let agent = agent("top", json!([agent("middle", json!([agent("leaf", Value::Null)]))]));
    let top = server.create(request(json!({"agent": agent, "messages": task}))).await;
    let middle = child(server, &top).await;
    let leaf = child(server, &middle).await;
    server.until(&leaf, "awaiting_tool_results").await;
    [top, middle, leaf]
}

fn delegate(agent: &str, task: &str) -> String {
    format!("@call delegate {}\n", json!({"agent": agent, "task": task}))
}

/// The one child of a session, once it is there.
async fn child(server: &Server, id: &str) -> String {
    let found = async {
        loop {
            let listed = server.get(&format!("/api/v2/sessions?parent_session_id={id}")).await.json();
            if let Some(child) = listed["items"][0]["id"].as_str() {
                return child.to_owned();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("it delegates")
}

async fn command(server: &Server, id: &str, command: &str) {
    assert_eq!(server.post(&format!("/api/v2/sessions/{id}/{command}"), json!(null)).await.status, 202);
}

async fn results(server: &Server, id: &str) -> Vec<Value> {
    let events = server.events(id).await;
    let results = events.iter().filter(|event| event["data"]["kind"] == "tool_result");
    results.map(|event| event["data"]["result"].clone()).collect()
}
