//! The page of metrics. In a process of its own, because metrics are collected for the whole process.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "http/app.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod app;

use app::{Server, TestApp, request};
use quarterdeck_server::Metrics;
use quarterdeck_store::Limits;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_can_be_read_off_the_page_and_no_text_of_its_own() {
    let mut app = TestApp::new();
    app.metrics = Some(Metrics::install("1.2.3").unwrap());
    app.engine.limits = Limits { concurrent: 1, queued: 1 };
    let server = app.start().await;
    let before = read(&server).await;
    assert_eq!(before.get("quarterdeck_build_info{version=\"1.2.3\"}"), Some(&1.0));
    assert!(before["process_start_time_seconds"] > 1.7e9);
    for gauge in ["quarterdeck_workers_busy", "quarterdeck_waiters"] {
        assert_eq!(before.get(gauge), Some(&0.0), "{gauge} is there from the start");
    }

    let script = "CANARY\n@fail 429 after 1ms\n@usage in=100 cached=20 out=30 reasoning=5\n@answer CANARY";
    let done = server.create(json!({"messages": script, "group_id": "CANARY"})).await;
    server.until(&done, "completed").await;
    let busy = server.create(json!({"messages": "@wait 10m\n@answer late"})).await;
    server.until(&busy, "running").await;
    let queued = server.create(json!({"messages": "@answer done"})).await;
    assert_eq!(server.post("/api/v2/sessions", request(json!({}))).await.status, 429);
    let poll = format!("/api/v2/sessions/{queued}/changes?from_index=1&wait_for_seconds=20");
    let waiter = server.get(&poll);
    let looker = async {
        let mut page = read(&server).await;
        while page["quarterdeck_waiters"] < 1.0 {
            page = read(&server).await;
        }
        server.delete(&format!("/api/v2/sessions/{queued}")).await;
        page
    };
    let (woken, page) = tokio::join!(waiter, looker);
    assert_eq!(woken.status, 200);
    for (name, wanted) in [
        ("quarterdeck_store_up", 1.0),
        ("quarterdeck_sessions{status=\"running\"}", 1.0),
        ("quarterdeck_sessions{status=\"queued\"}", 1.0),
        ("quarterdeck_sessions{status=\"idle\"}", 0.0),
        ("quarterdeck_sessions_created_total{beginning=\"started\"}", 2.0),
        ("quarterdeck_sessions_created_total{beginning=\"queued\"}", 1.0),
        ("quarterdeck_sessions_ended_total{ending=\"completed\",error=\"none\"}", 1.0),
        ("quarterdeck_step_seconds_count{outcome=\"done\"}", 1.0),
        ("quarterdeck_model_call_seconds_count{outcome=\"retryable\"}", 1.0),
        ("quarterdeck_model_call_seconds_count{outcome=\"replied\"}", 1.0),
        ("quarterdeck_model_tokens_total{model=\"scripted\",kind=\"input\"}", 100.0),
        ("quarterdeck_model_tokens_total{model=\"scripted\",kind=\"reasoning\"}", 5.0),
        ("quarterdeck_workers_busy", 1.0),
        ("quarterdeck_workers_limit", 1024.0),
        ("quarterdeck_store_writes_total{outcome=\"queued\"}", 1.0),
        ("quarterdeck_store_writes_total{outcome=\"refused\"}", 1.0),
        ("quarterdeck_http_requests_total{route=\"/api/v2/sessions\",method=\"POST\",status=\"201\"}", 3.0),
        ("quarterdeck_http_requests_total{route=\"/api/v2/sessions\",method=\"POST\",status=\"429\"}", 1.0),
    ] {
        assert_eq!(page.get(name), Some(&wanted), "{name}");
    }
    let writes: f64 =
        page.iter().filter(|(name, _)| name.starts_with("quarterdeck_store_writes_total")).map(|(_, n)| n).sum();
    assert_eq!(page.get("quarterdeck_store_batch_writes_sum"), Some(&writes));
    assert!(page["quarterdeck_store_batch_seconds_count"] >= 1.0);

    let text = server.send(server.anonymous(reqwest::Method::GET, "/metrics")).await.text;
    for secret in ["CANARY", &done, "acme", "tester"] {
        assert!(!text.contains(secret), "{secret}");
    }
    every_metric_is_documented(&text);
    server.stop().await;
}

/// `docs/operations.md` has a table of all of them.
fn every_metric_is_documented(page: &str) {
    let documentation = include_str!("../../../docs/operations.md");
    let names: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(documentation.contains(&format!("| `{name}` |")), "{name} is not in docs/operations.md");
    }
}

async fn read(server: &Server) -> BTreeMap<String, f64> {
    let page = server.send(server.anonymous(reqwest::Method::GET, "/metrics")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let samples = page.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, n)| (name.to_owned(), n.parse().unwrap())).collect()
}
