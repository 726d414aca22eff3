//! Calls as browsers make them from pages of other origins.

use crate::app::{Answer, Server, TestApp, request};
use quarterdeck_server::{CorsOrigins, Metrics};
use quarterdeck_store::Limits;
use reqwest::Method;
use serde_json::json;

const PAGE: &str = "https://app.example.com";
const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn a_preflight_names_what_clients_need() {
    let server = TestApp::new().start().await;
    for path in ["/api/v2/sessions", "/api/v2/agents/h/web-surfer-pro", "/api/v2/nowhere", "/openapi.yaml"] {
        let answer = preflight(&server, path).await;
        assert_eq!((answer.status, answer.header(ALLOWED), answer.text.as_str()), (200, Some("*"), ""), "{path}");
        let methods = answer.header("access-control-allow-methods").unwrap();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
            assert!(methods.split(',').any(|known| known == method), "{method}: {methods}");
        }
        let headers = answer.header("access-control-allow-headers").unwrap();
        for header in
            ["authorization", "idempotency-key", "if-match", "x-hcompany-client-name", "x-hai-runtime-challenge"]
        {
            assert!(headers.split(',').any(|known| known == header), "{header}: {headers}");
        }
        assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    server.stop().await;
}

#[tokio::test]
async fn every_answer_can_be_read() {
    let mut app = TestApp::new();
    app.engine.limits = Limits { concurrent: 1, queued: 0 };
    let server = app.start().await;
    let id = server.create(json!({"messages": "@wait 10m\n@answer late"})).await;
    let session = format!("/api/v2/sessions/{id}");
    let poll = format!("{session}/changes?from_index=100");
    for (method, path, body, status) in [
        (Method::GET, session.as_str(), None, 200),
        (Method::GET, &poll, None, 204),
        (Method::POST, "/api/v2/sessions", Some(request(json!({"queue": false}))), 429),
        (Method::POST, "/api/v2/sessions", Some(json!({})), 422),
        (Method::GET, "/api/v2/agents/nowhere", None, 404),
        (Method::GET, "/api/v2/nowhere", None, 404),
        (Method::PUT, "/api/v2/sessions", None, 405),
        (Method::DELETE, &session, None, 204),
    ] {
        let call = server.request(method.clone(), path).header("Origin", PAGE);
        let call = if let Some(body) = body { call.json(&body) } else { call };
        let answer = server.send(call).await;
        assert_eq!((answer.status, answer.header(ALLOWED)), (status, Some("*")), "{method} {path}: {answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for header in ["etag", "retry-after", "x-request-id", "location"] {
            assert!(exposed.split(',').any(|known| known == header), "{header}: {exposed}");
        }
    }
    let anonymous = server.send(server.anonymous(Method::GET, "/api/v2/sessions").header("Origin", PAGE)).await;
    assert_eq!((anonymous.status, anonymous.header(ALLOWED)), (401, Some("*")));
    server.stop().await;
}

#[tokio::test]
async fn pages_for_operators_and_calls_of_ones_own_origin_are_as_they_were() {
    let mut app = TestApp::new();
    app.metrics = Metrics::install("test").ok();
    let server = app.start().await;
    for path in ["/metrics", "/_test", "/_test/model"] {
        assert_ne!(preflight(&server, path).await.status, 200, "{path}");
        let answer = server.send(server.anonymous(Method::GET, path).header("Origin", PAGE)).await;
        assert_eq!(answer.header(ALLOWED), None, "{path}");
    }
    assert_eq!(server.get("/api/v2/sessions").await.header(ALLOWED), None);
    assert_eq!(server.send(server.request(Method::OPTIONS, "/api/v2/sessions")).await.status, 405);
    server.stop().await;
}

#[tokio::test]
async fn an_operator_may_name_the_origins() {
    let mut app = TestApp::new();
    app.server.cors = CorsOrigins::Only(vec![PAGE.parse().unwrap()]);
    let server = app.start().await;
    assert_eq!(preflight(&server, "/api/v2/sessions").await.header(ALLOWED), Some(PAGE));
    let other = server.request(Method::GET, "/api/v2/sessions").header("Origin", "https://evil.example.com");
    assert_eq!(server.send(other).await.header(ALLOWED), None);
    server.stop().await;
}

async fn preflight(server: &Server, path: &str) -> Answer {
    let ask = server.anonymous(Method::OPTIONS, path).header("Origin", PAGE);
    let ask = ask.header("Access-Control-Request-Method", "POST");
    let ask = ask.header("Access-Control-Request-Headers", "authorization,content-type");
    server.send(ask.header("Access-Control-Request-Private-Network", "true")).await
}
