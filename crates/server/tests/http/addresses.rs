//! Addresses of files, which clients take as they are.

use crate::app::{Server, TestApp, request};
use quarterdeck_server::PublicUrl;
use reqwest::Method;
use serde_json::{Value, json};

/// Creates a session with a file and returns its id and everything that shows the file.
async fn with_a_file(server: &Server, headers: &[(&str, &str)]) -> (String, Vec<(&'static str, Value)>) {
    let file = json!({"type": "base64", "source": "aGk=", "name": "hi.txt"});
    let message = json!({"type": "user_message", "message": "@answer done", "files": [file]});
    let get = async |method: Method, path: &str, body: Option<Value>| {
        let call = server.request(method, path);
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let call = if let Some(body) = body { call.json(&body) } else { call };
        server.send(call).await.json()
    };
    let created = get(Method::POST, "/api/v2/sessions", Some(request(json!({"messages": [message]})))).await;
    let id = created["id"].as_str().unwrap().to_owned();
    server.until(&id, "completed").await;
    let session = get(Method::GET, &format!("/api/v2/sessions/{id}"), None).await;
    let changes = get(Method::GET, &format!("/api/v2/sessions/{id}/changes"), None).await;
    let events = get(Method::GET, &format!("/api/v2/sessions/{id}/events?type=AttachmentEvent"), None).await;
    let list = get(Method::GET, "/api/v2/sessions", None).await;
    let is_attachment = |event: &&Value| event["type"] == "AttachmentEvent";
    let new = changes["new_events"].as_array().unwrap().iter().find(is_attachment).unwrap().clone();
    let shown = vec![
        ("creation", created["request"]["messages"][0]["files"][0]["source"].clone()),
        ("session", session["request"]["messages"][0]["files"][0]["source"].clone()),
        ("changes", new["data"]["url"].clone()),
        ("events", events["items"][0]["data"]["url"].clone()),
        ("list", list["items"][0]["first_message"]["files"][0]["source"].clone()),
    ];
    (id, shown)
}

#[tokio::test]
async fn a_file_is_downloaded_by_the_address_that_the_log_gives() {
    let server = TestApp::new().start().await;
    let (id, shown) = with_a_file(&server, &[]).await;
    let begin = format!("http://{}/api/v2/sessions/{id}/resources/attachments/", server.address);
    for (place, address) in shown {
        let address = address.as_str().unwrap();
        assert!(address.starts_with(&begin), "{place}: {address}");
        let path = address.strip_prefix(&format!("http://{}", server.address)).unwrap();
        assert_eq!(server.get(path).await.text, "hi", "{place}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_operator_says_where_the_server_is() {
    let mut app = TestApp::new();
    app.server.public_url = PublicUrl::fixed("https://agents.example.com/deck/").unwrap();
    let server = app.start().await;
    for (place, address) in with_a_file(&server, &[("X-Forwarded-Host", "evil.example.com")]).await.1 {
        let address = address.as_str().unwrap();
        assert!(address.starts_with("https://agents.example.com/deck/api/v2/sessions/"), "{place}: {address}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_is_believed_only_where_the_operator_says_so() {
    let forwarded = [("X-Forwarded-Host", "out.example.com"), ("X-Forwarded-Proto", "https")];
    for (trusts, begin) in [(false, "http://127.0.0.1:"), (true, "https://out.example.com/api/v2/")] {
        let mut app = TestApp::new();
        app.server.public_url = PublicUrl::of_request(trusts);
        let server = app.start().await;
        for (place, address) in with_a_file(&server, &forwarded).await.1 {
            let address = address.as_str().unwrap();
            assert!(address.starts_with(begin), "{place}: {address}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_creation_that_is_repeated_after_a_move_tells_the_new_address() {
    let server = TestApp::new().start().await;
    let file = json!({"type": "base64", "source": "aGk=", "name": "hi.txt"});
    let body = request(json!({"messages": [{"type": "user_message", "message": "@answer 1", "files": [file]}]}));
    let mut sources = Vec::new();
    for host in ["before.example.com", "after.example.com"] {
        let create = server.request(Method::POST, "/api/v2/sessions").header("Idempotency-Key", "k");
        let answer = server.send(create.header("Host", host).json(&body)).await.json();
        sources.push(answer["request"]["messages"][0]["files"][0]["source"].as_str().unwrap().to_owned());
    }
    assert!(sources[0].starts_with("http://before.example.com/"), "{sources:?}");
    assert_eq!(sources[1], sources[0].replace("before", "after"));
    server.stop().await;
}
