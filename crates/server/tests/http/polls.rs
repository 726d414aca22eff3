//! The long poll and the pages of the log.

use crate::app::{Answer, Server, TestApp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_poll_tells_exactly_what_is_asked_for() {
    let (server, id) = ended().await;
    let all = changes(&server, &id, "").await.json();
    let length = all["new_events"].as_array().unwrap().len();
    assert_eq!((&all["status"], &all["answer"], &all["first_index"]), (&json!("completed"), &json!("done"), &json!(0)));
    for (query, first, count) in [
        ("from_index=3", 3, length - 3),
        ("from_index=3&limit=2", 3, 2),
        ("limit=1", 0, 1),
        ("limit=0", 0, 0),
        ("from_index=-5&limit=2", 0, 2),
        ("include_events=false", 0, 0),
        ("from_index=2&include_events=false&wait_for_seconds=0", 2, 0),
    ] {
        let answer = changes(&server, &id, query).await;
        assert_eq!(answer.status, 200, "{query}");
        let answer = answer.json();
        let events = answer["new_events"].as_array().unwrap();
        assert_eq!((&answer["first_index"], events.len()), (&json!(first), count), "{query}");
        let expected = &all["new_events"].as_array().unwrap()[first..first + count];
        assert_eq!(events, expected, "{query}");
    }
}

#[tokio::test]
async fn a_poll_without_news_is_empty_and_names_its_index() {
    let (server, id) = ended().await;
    let length = server.events(&id).await.len();
    for (query, index) in [
        (format!("from_index={length}"), length),
        (format!("from_index={length}&include_events=false"), length),
        ("from_index=100000".to_owned(), 100_000),
        (format!("from_index={length}&wait_for_seconds=20"), length),
    ] {
        let begun = Instant::now();
        let answer = changes(&server, &id, &query).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{query}");
        assert_eq!(answer.header("etag"), Some(index.to_string().as_str()), "{query}");
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits for what has ended");
    }
}

#[tokio::test]
async fn a_poll_waits_for_the_next_event_and_no_longer() {
    let server = TestApp::new().start().await;
    let id = running(&server).await;
    let length = server.events(&id).await.len();
    let query = format!("from_index={length}&wait_for_seconds=25");
    let poll = changes(&server, &id, &query);
    let pause = format!("/api/v2/sessions/{id}/pause");
    let begun = Instant::now();
    let (woken, paused) = tokio::join!(poll, server.post(&pause, json!({})));
    assert_eq!(paused.status, 202);
    let news = woken.json();
    assert_eq!(news["new_events"][0]["data"], json!({"status": "paused"}));
    assert_eq!(news["status"], "paused");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_poll_ends_at_its_time() {
    let server = TestApp::new().start().await;
    let id = running(&server).await;
    let length = server.events(&id).await.len();
    let begun = Instant::now();
    let answer = changes(&server, &id, &format!("from_index={length}&wait_for_seconds=1")).await;
    assert_eq!(answer.status, 204);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_poll_is_never_held_longer_than_the_server_allows() {
    let mut app = TestApp::new();
    app.server.wait_max = Duration::from_millis(300);
    let server = app.start().await;
    let id = running(&server).await;
    let length = server.events(&id).await.len();
    let begun = Instant::now();
    assert_eq!(changes(&server, &id, &format!("from_index={length}&wait_for_seconds=60")).await.status, 204);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let refused = changes(&server, &id, "wait_for_seconds=61").await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["loc"]), (422, &json!(["query", "wait_for_seconds"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_those_who_poll() {
    let server = TestApp::new().start().await;
    let id = running(&server).await;
    let length = server.events(&id).await.len();
    let path = format!("/api/v2/sessions/{id}/changes?from_index={length}&wait_for_seconds=30");
    let poll = tokio::spawn(server.request(reqwest::Method::GET, &path).send());
    // Another poll on the same server, answered in a second, comes after it.
    changes(&server, &id, &format!("from_index={length}&wait_for_seconds=1")).await;
    let begun = Instant::now();
    server.stop().await;
    assert_eq!(poll.await.unwrap().unwrap().status(), 204);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_unknown_session_is_told_before_any_wait() {
    let server = TestApp::new().start().await;
    let id = "018f0000-0000-7000-8000-000000000404";
    let begun = Instant::now();
    assert_eq!(changes(&server, id, "wait_for_seconds=30").await.status, 404);
    assert_eq!(changes(&server, "not-a-uuid", "").await.status, 422);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn pages_of_the_log_come_from_both_ends() {
    let (server, id) = ended().await;
    let all = server.events(&id).await;
    let page = async |query: &str| server.get(&format!("/api/v2/sessions/{id}/events?{query}")).await.json();
    assert_eq!(page("size=200").await["items"], Value::Array(all.clone()));
    assert_eq!(page("size=2&page=2").await["items"], json!([all[2], all[3]]));
    assert_eq!(page("size=1&sort=-timestamp").await["items"], json!([all.last().unwrap()]));
    let past = page("size=50&page=9").await;
    assert_eq!((&past["items"], &past["total"], &past["page"]), (&json!([]), &json!(all.len()), &json!(9)));
    let typed = page("type=AgentCompletionEvent").await;
    assert_eq!((&typed["total"], &typed["items"]), (&json!(1), &json!([all.last().unwrap()])));
    assert_eq!(page("type=Nothing").await["total"], 0);
}

async fn ended() -> (Server, String) {
    let server = TestApp::new().start().await;
    let id = server.create(json!({"messages": "@answer done"})).await;
    server.until(&id, "completed").await;
    (server, id)
}

/// A session whose step takes longer than any test.
async fn running(server: &Server) -> String {
    let id = server.create(json!({"messages": "@wait 10m\n@answer late"})).await;
    server.until(&id, "running").await;
    id
}

async fn changes(server: &Server, id: &str, query: &str) -> Answer {
    server.get(&format!("/api/v2/sessions/{id}/changes?{query}")).await
}
