//! Whoever can make the server hold bytes or work has a budget for it (docs/operations.md, "Budgets"). Each is used up
//! here once, and the server goes on.

use crate::app::{Server, TestApp, request, result_of, with_tools};
use quarterdeck_test_support::fake_model::{Behaviour, FakeModel};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SESSIONS: &str = "/api/v2/sessions";

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_one_that_is_not_is_read() {
    let server = TestApp::new().start().await;
    for (size, expected) in [(32 * 1024, "HTTP/1.1 200"), (80 * 1024, "HTTP/1.1 431"), (390 * 1024, "HTTP/1.1 431")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(size));
        // The server may close while this is being sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{size}");
    }
}

#[tokio::test]
async fn a_request_id_comes_back_unless_it_is_too_long() {
    let server = TestApp::new().start().await;
    for (sent, kept) in [("abc".to_owned(), true), ("i".repeat(128), true), ("i".repeat(129), false)] {
        let answer = server.send(server.anonymous(Method::GET, "/healthz").header("x-request-id", &sent)).await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() <= 128 && (id == sent) == kept, "{sent}: {id}");
    }
}

#[tokio::test]
async fn a_revoked_key_ends_the_polls_that_are_open_with_it() {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": null, "idle_timeout_s": 600})).await;
    let length = server.events(&id).await.len();
    let poll = format!("{SESSIONS}/{id}/changes?from_index={length}&wait_for_seconds=50");
    let revoke = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let key = server.store.keys().await.unwrap().remove(0);
        assert!(server.store.revoke_key(key.id, key.created_at).await.unwrap());
        Instant::now()
    };
    let (answer, revoked) = tokio::join!(server.get(&poll), revoke);
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(revoked.elapsed() < Duration::from_secs(3), "{:?}", revoked.elapsed());
}

#[tokio::test]
async fn a_page_of_events_is_bounded_in_bytes() {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": null, "idle_timeout_s": 600})).await;
    let large = json!({"type": "user_message", "message": "x".repeat(9_000_000)});
    for _ in 0..4 {
        // A machine that is busy asks to come again.
        let stored =
            async { while server.post(&format!("{SESSIONS}/{id}/messages"), large.clone()).await.status != 202 {} };
        tokio::time::timeout(Duration::from_mins(1), stored).await.expect("the message is stored");
    }
    let page = |query: &'static str| {
        let (server, path) = (&server, format!("{SESSIONS}/{id}/events?{query}"));
        async move { server.get(&path).await }
    };
    let received = async {
        loop {
            let whole = page("size=200").await;
            if whole.status != 200 {
                return whole;
            }
        }
    };
    let whole = tokio::time::timeout(Duration::from_mins(1), received).await.expect("the messages arrive");
    assert_eq!((whole.status, &whole.json()["detail"][0]["type"]), (413, &json!("content_too_large")));
    for query in ["size=1&page=1", "size=1&page=3", "size=2&page=2"] {
        assert_eq!(page(query).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn patterns_are_weighed_when_the_session_is_created() {
    let server = TestApp::new().start().await;
    let many: Vec<Value> = (0..800).map(|number| json!({"pattern": format!("[a-z]{{{}}}", 99_000 + number)})).collect();
    let refused = create_with_format(&server, json!({"anyOf": many})).await;
    assert_eq!(refused.0, 422);
    assert!(refused.1.contains("lighter regular expressions"), "{}", refused.1);
    for (pattern, construct) in [(r"\p{L}", r"`\p`"), ("(?<year>[0-9]+)", "`(?<`"), ("[^]", "class")] {
        let refused = create_with_format(&server, json!({"properties": {"a": {"pattern": pattern}}})).await;
        assert_eq!(refused.0, 422, "{pattern}");
        assert!(refused.1.contains(construct) && refused.1.contains("/properties/a/pattern"), "{}", refused.1);
    }
    for schema in [
        json!({"pattern": r"\Aa{,3}\Z"}),
        json!({
            "$schema": "http://json-schema.org/draft-03/schema#",
            "properties": {"a": {"type": "string", "required": true}},
        }),
    ] {
        assert_eq!(create_with_format(&server, schema.clone()).await.0, 201, "{schema}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_takes_too_much_work_ends_with_its_budget_and_with_its_session() {
    let answers = json!(vec!["a".repeat(60); 2_000]).to_string();
    let model = FakeModel::start().await.unwrap();
    model.otherwise(Behaviour::text(answers));
    let server = TestApp::new().model(&model).start().await;
    let format = json!({"items": {"pattern": r"^(?:(a|aa)+\1c|a+bc)$"}});
    let mut agent = with_tools(&["spare"]);
    agent["answer_format"] = format;
    let id = server.create(json!({"agent": agent})).await;
    let alive = Instant::now();
    assert_eq!(server.get("/healthz").await.status, 200);
    assert!(alive.elapsed() < Duration::from_secs(2));
    assert_eq!(server.delete(&format!("{SESSIONS}/{id}")).await.status, 204);
    server.until(&id, "interrupted").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overrides_are_bounded_in_number_and_in_what_they_look_at() {
    let server = TestApp::new().start().await;
    let tools: Vec<Value> =
        (0..10_000).map(|number| json!({"name": format!("t{number}"), "description": "d"})).collect();
    let agent = json!({"name": "a", "description": "d", "environments": [], "tools": tools});
    let overrides = |count: usize| -> serde_json::Map<String, Value> {
        (0..count).map(|number| (format!("agent.tools[name=t{number}].description"), json!("x"))).collect()
    };
    for (count, expected) in [(10, 201), (1_000, 422), (1_001, 422)] {
        let answer = server.post(SESSIONS, request(json!({"agent": agent, "overrides": overrides(count)}))).await;
        assert_eq!(answer.status, expected, "{count}: {}", answer.text.chars().take(300).collect::<String>());
    }
}

#[tokio::test]
async fn what_an_error_quotes_is_cut() {
    let server = TestApp::new().start().await;
    let long = "x".repeat(2_000_000);
    for fields in [
        json!({"agent": long}),
        json!({"parent_session_id": long}),
        json!({"agent": {"name": "a", "description": "d", "environments": [long], "skills": [long]}}),
        json!({"overrides": {"agent.tools[name=x].description": long}}),
    ] {
        let answer = server.post(SESSIONS, request(fields)).await;
        assert!((400..500).contains(&answer.status) && answer.text.len() <= 64 * 1024, "{}", answer.text.len());
    }
    let named = server.get(&format!("/api/v2/agents/{}", "x".repeat(30_000))).await;
    assert!(named.status == 404 && named.text.len() < 8 * 1024, "{}", named.text.len());
}

#[tokio::test]
async fn a_batch_is_as_large_as_an_inbox() {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": null, "idle_timeout_s": 600})).await;
    let message = json!({"type": "user_message", "message": "x"});
    let batch = json!({"type": "batch", "messages": vec![message; 1_001]});
    let refused = server.post(&format!("{SESSIONS}/{id}/messages"), batch).await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["type"]), (422, &json!("too_long")));
}

#[tokio::test]
async fn on_loopback_only_known_hosts_are_answered() {
    let mut app = TestApp::new();
    app.server.hosts = Some(["agents.example".to_owned()].into());
    let server = app.start().await;
    for (host, expected) in [("agents.example", 200), ("localhost:1", 200), ("evil.example", 421)] {
        for path in ["/healthz", "/openapi.yaml", SESSIONS] {
            let answer = server.send(server.request(Method::GET, path).header("host", host)).await;
            assert_eq!(answer.status, expected, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn the_pages_run_nothing_of_others() {
    let server = TestApp::new().start().await;
    let page = server.get("/docs/").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(page.status == 200 && policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    assert!(!page.text.contains("<script>"), "the policy would keep it from running: {}", page.text);
}

/// A value of two characters as text takes some hundred bytes of memory, and a session keeps its agent for as long as it works.
#[tokio::test]
async fn the_values_of_a_request_are_counted() {
    let server = TestApp::new().start().await;
    let many = |count: usize| (0..count).collect::<Value>();
    assert_eq!(create_with_format(&server, json!({"enum": many(20_014)})).await.0, 201);
    let refused = create_with_format(&server, json!({"enum": many(20_015)})).await;
    assert_eq!(refused.0, 422);
    assert!(refused.1.contains("answer_format") && refused.1.contains("20000 values together"), "{}", refused.1);
    let mut agent = with_tools(&["a", "b"]);
    for tool in [0, 1] {
        agent["tools"][tool]["input_schema"] = json!({"type": "object", "enum": many(10_020)});
    }
    assert_eq!(server.post(SESSIONS, request(json!({"agent": agent}))).await.status, 422, "they count together");
    let id = server.create(json!({"agent": with_tools(&["a"]), "messages": "@call a {}"})).await;
    let waiting = server.until(&id, "awaiting_tool_results").await;
    for (count, status) in [(101_000, 422), (99_000, 202)] {
        let mut result = result_of(&waiting["pending_tool_calls"][0]);
        result["result"] = many(count);
        let answer = server.post(&format!("{SESSIONS}/{id}/tool_results"), result).await;
        assert_eq!(answer.status, status, "{count}: {}", answer.text.chars().take(500).collect::<String>());
    }
}

async fn create_with_format(server: &Server, format: Value) -> (u16, String) {
    let mut agent = with_tools(&["spare"]);
    agent["answer_format"] = format;
    let answer = server.post(SESSIONS, request(json!({"agent": agent}))).await;
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    (answer.status, message)
}
