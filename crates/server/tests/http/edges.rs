//! Requests that are wrong, slow, large or nobody's.

use crate::app::{Server, TestApp, request};
use quarterdeck_server::ListenerSettings;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

const SESSIONS: &str = "/api/v2/sessions";

#[tokio::test]
async fn who_has_no_key_that_works_is_refused() {
    let server = TestApp::new().start().await;
    let ask = || server.anonymous(Method::GET, SESSIONS);
    let wrong = format!("Bearer hk-{}", "0".repeat(64));
    for header in [None, Some("Bearer"), Some("Bearer "), Some("Basic YTpi"), Some("hk-1"), Some(wrong.as_str())] {
        let answer = server.send(header.map_or_else(ask, |value| ask().header("authorization", value))).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{header:?}");
        let body = answer.json();
        assert_eq!(body["message"], "authentication required");
        assert_eq!(body["detail"][0]["type"], "unauthorized");
    }
    let any_case = server.request(Method::GET, SESSIONS).build().unwrap();
    let key = any_case.headers()["authorization"].to_str().unwrap().replace("Bearer", "bearer");
    assert_eq!(server.send(ask().header("authorization", key)).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_stops_working() {
    let mut app = TestApp::new();
    app.server.key_cache = Duration::from_millis(1);
    let server = app.start().await;
    assert_eq!(server.get(SESSIONS).await.status, 200);
    let key = server.store.keys().await.unwrap().remove(0);
    assert!(server.store.revoke_key(key.id, key.created_at).await.unwrap());
    let refused = async { while server.get(SESSIONS).await.status != 401 {} };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("a revoked key is refused soon");
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let server = TestApp::new().start().await;
    for path in ["/", "/api/v2", "/api/v2/nothing", "/api/v2/sessions/a/b/c/d", "/api/v1/sessions"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, &answer.json()["detail"][0]["type"]), (404, &json!("not_found")), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = TestApp::new().start().await;
    let id = "018f0000-0000-7000-8000-000000000001";
    for (method, path, allowed) in [
        (Method::PUT, SESSIONS.to_owned(), ["GET", "POST"]),
        (Method::PATCH, format!("{SESSIONS}/{id}"), ["GET", "DELETE"]),
        (Method::GET, format!("{SESSIONS}/{id}/pause"), ["POST", "POST"]),
        (Method::POST, format!("{SESSIONS}/{id}/changes"), ["GET", "HEAD"]),
    ] {
        let answer = server.send(server.request(method.clone(), &path)).await;
        assert_eq!((answer.status, &answer.json()["detail"][0]["type"]), (405, &json!("method_not_allowed")), "{path}");
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_bad_request() {
    let server = TestApp::new().start().await;
    for path in ["%ff", "%C3%28", "%ff/status", "%ff/changes"] {
        let answer = server.get(&format!("{SESSIONS}/{path}")).await;
        assert_eq!((answer.status, &answer.json()["detail"][0]["type"]), (400, &json!("bad_request")), "{path}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_however_it_is_sent() {
    let mut app = TestApp::new();
    app.server.body_max = 2_000;
    let server = app.start().await;
    let post = || server.request(Method::POST, SESSIONS).header("content-type", "application/json");
    let fits = serde_json::to_vec(&request(json!({"group_id": "g".repeat(1_500)}))).unwrap();
    assert_eq!(server.send(post().body(fits)).await.status, 201);
    let large = "x".repeat(2_001);
    let announced = server.send(post().body(large.clone())).await;
    assert_eq!((announced.status, &announced.json()["detail"][0]["type"]), (413, &json!("content_too_large")));
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(large)]);
    assert_eq!(server.send(post().body(reqwest::Body::wrap_stream(pieces))).await.status, 413);
    assert_eq!(server.get(SESSIONS).await.status, 200, "the server goes on");
}

#[tokio::test]
async fn large_bodies_beyond_the_room_for_them_are_asked_to_come_again_and_small_ones_are_not() {
    let mut app = TestApp::new();
    app.server.bodies_max = 100_000;
    let server = app.start().await;
    let mut slow = connect(&server).await;
    let head = "POST /api/v2/sessions HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n";
    slow.write_all(format!("{head}{}", "x".repeat(90_000)).as_bytes()).await.unwrap();
    let large = || server.request(Method::POST, SESSIONS).json(&request(json!({"group_id": "g".repeat(80_000)})));
    let crowded = async { while server.send(large()).await.status != 503 {} };
    tokio::time::timeout(Duration::from_secs(10), crowded).await.expect("what was sent is counted");
    let refused = server.send(large()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert_eq!(server.post(SESSIONS, request(json!({"group_id": "g".repeat(15_000)}))).await.status, 201);
    slow.write_all("x".repeat(10_000).as_bytes()).await.unwrap();
    let free = async { while server.send(large()).await.status != 201 {} };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("its room is free once it is answered");
}

#[tokio::test]
async fn broken_json_is_told_before_the_key_is_looked_at() {
    let server = TestApp::new().start().await;
    let wrong_key = |body| {
        let post = server.anonymous(Method::POST, SESSIONS).bearer_auth("hk-wrong").body(body);
        server.send(post.header("content-type", "application/json"))
    };
    for (body, status) in [("[0,0", 422), ("\"\\ud800\"", 422), ("{}", 401), ("[0,0]", 401)] {
        assert_eq!(wrong_key(body).await.status, status, "{body}");
    }
    assert_eq!(wrong_key(format!("{}{}", "[".repeat(500), "]".repeat(500)).leak()).await.status, 400);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_its_place() {
    let server = TestApp::new().start().await;
    for body in ["", "{", "{\"agent\": }", "\u{0}", "[1, 2", "nul"] {
        let post = server.request(Method::POST, SESSIONS).header("content-type", "application/json");
        let answer = server.send(post.body(body)).await;
        assert_eq!(answer.status, 422, "{body:?}: {answer:?}");
        let detail = &answer.json()["detail"][0];
        assert!(detail["loc"].is_array() && detail["msg"].is_string() && detail["type"].is_string(), "{detail}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let mut app = TestApp::new();
    app.listener.head_timeout = Duration::from_millis(300);
    let server = app.start().await;
    for half in ["", "GET /api/v2/sess", "GET /healthz HTTP/1.1\r\nhost: h\r\nx-half: "] {
        let mut stream = connect(&server).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let told = read_to_end(&mut stream).await;
        assert!(!told.starts_with("HTTP/1.1 200"), "{half:?}: {told}");
    }
}

#[tokio::test]
async fn a_connection_that_falls_idle_is_closed() {
    let mut app = TestApp::new();
    app.listener.head_timeout = Duration::from_millis(300);
    let server = app.start().await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let settings = ListenerSettings { write_timeout: Duration::from_millis(300), ..ListenerSettings::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    // More than any buffer between the two holds.
    let router = axum::Router::new().fallback(async || vec![0_u8; 16 << 20]);
    let serving = tokio::spawn(quarterdeck_server::serve(listener, router, settings, CancellationToken::new()));
    let asked = "GET / HTTP/1.1\r\nhost: h\r\n\r\n".repeat(20);
    // The server does not read on either, until it gives up: then there is nobody left to ask.
    let given_up = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), given_up).await.expect("the connection ends");
    serving.abort();
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_timeout() {
    let mut app = TestApp::new();
    app.server.body_timeout = Duration::from_millis(300);
    let server = app.start().await;
    let mut stream = connect(&server).await;
    let head =
        "POST /api/v2/sessions HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"agent\":";
    stream.write_all(head.as_bytes()).await.unwrap();
    let told = read_to_end(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("request_timeout"), "{told}");
}

#[tokio::test]
async fn what_is_no_http_is_a_bad_request() {
    let server = TestApp::new().start().await;
    for noise in [
        "\u{16}\u{3}\u{1} TLS?\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "NONSENSE / HTTP/1.1\r\n\u{1}: x\r\n\r\n",
    ] {
        let mut stream = connect(&server).await;
        stream.write_all(noise.as_bytes()).await.unwrap();
        let told = read_to_end(&mut stream).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{noise:?}: {told}");
    }
    assert_eq!(server.get(SESSIONS).await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let mut app = TestApp::new();
    app.listener.connections_max = 1;
    app.listener.head_timeout = Duration::from_millis(500);
    let server = app.start().await;
    let mut first = connect(&server).await;
    first.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    // Answered once the first one's time is over.
    assert_eq!(server.get("/healthz").await.status, 200);
    assert!(!read_to_end(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_requests_id_is_echoed_or_made() {
    let server = TestApp::new().start().await;
    let named = server.send(server.request(Method::GET, SESSIONS).header("x-request-id", "my-id-1")).await;
    assert_eq!(named.header("x-request-id"), Some("my-id-1"));
    let (one, two) = (server.get(SESSIONS).await, server.get("/nothing").await);
    let ids = [one.header("x-request-id").unwrap(), two.header("x-request-id").unwrap()];
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

#[tokio::test]
async fn a_server_is_alive_ready_and_documented_without_a_key() {
    let server = TestApp::new().start().await;
    for path in ["/healthz", "/readyz", "/openapi.yaml"] {
        assert_eq!(server.send(server.anonymous(Method::GET, path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn of_many_terms_to_sort_by_the_first_of_each_field_counts() {
    let server = TestApp::new().start().await;
    for name in ["b", "a", "c"] {
        let skill = json!({"name": name, "description": "d", "body": "b"});
        assert_eq!(server.post("/api/v2/skills", skill).await.status, 201);
    }
    let names = async |sort: &str| {
        let listed = server.get(&format!("/api/v2/skills?{sort}")).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let names =
            listed.json()["items"].as_array().unwrap().iter().map(|skill| skill["name"].clone()).collect::<Vec<_>>();
        names.into_iter().filter(|name| !name.as_str().unwrap().starts_with("h/")).collect::<Vec<_>>()
    };
    assert_eq!(names(&vec!["sort=name"; 2_500].join("&")).await, ["a", "b", "c"]);
    assert_eq!(names("sort=-name&sort=name&sort=created_at").await, ["c", "b", "a"]);
}

#[tokio::test]
async fn a_closed_store_is_unavailable_and_says_when_to_come_again() {
    let server = TestApp::new().start().await;
    server.store.close().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.header("retry-after")), (503, Some("1")));
    let refused = server.post(SESSIONS, request(json!({}))).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
}

#[tokio::test]
async fn an_idempotency_key_has_a_length() {
    let server = TestApp::new().start().await;
    let keyed =
        |key: String| server.request(Method::POST, SESSIONS).header("idempotency-key", key).json(&request(json!({})));
    for (key, status) in [("k".repeat(255), 201), ("k".repeat(256), 422), ("  ".to_owned(), 422)] {
        let length = key.len();
        assert_eq!(server.send(keyed(key)).await.status, status, "{length}");
    }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// What the server says until it closes; a reset is a close.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut told = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut told));
    let _ = read.await.expect("the server closes in time");
    String::from_utf8_lossy(&told).into_owned()
}

#[tokio::test]
async fn a_key_that_comes_again_with_another_body_is_named() {
    let server = TestApp::new().start().await;
    let keyed = |body: serde_json::Value| {
        server.request(Method::POST, SESSIONS).header("idempotency-key", "again").json(&request(body))
    };
    assert_eq!(server.send(keyed(json!({}))).await.status, 201);
    let refused = server.send(keyed(json!({"max_steps": 3}))).await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["loc"]), (422, &json!(["header", "Idempotency-Key"])));
}
