//! Files that lie in a bucket are fetched from there.

use crate::app::{TestApp, install_tls, request};
use axum::{extract::Request, response::IntoResponse};
use http::{Method, StatusCode, header};
use quarterdeck_store::Blobs;
use serde_json::json;

#[tokio::test]
async fn a_file_in_a_bucket_is_reached_by_a_link_that_is_signed_for_it() {
    let mut app = TestApp::new();
    app.blobs = bucket(true).await;
    let server = app.start().await;
    let file = json!({"source": "aGVsbG8=", "name": "page.html"});
    let body = request(json!({"messages": {"message": "@answer done", "files": [file]}}));
    let created = server.post("/api/v2/sessions", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let address = created.json()["request"]["messages"]["files"][0]["source"].as_str().unwrap().to_owned();

    let address = address.strip_prefix(&format!("http://{}", server.address)).expect("it is on this server").to_owned();
    // The client follows the link.
    let found = server.get(&address).await;
    assert_eq!(found.status, 200);
    let seen = found.json();
    assert_eq!(seen["authorization"], false, "the key stays here");
    let asked = seen["asked"].as_str().unwrap();
    let key = address.rsplit('/').next().unwrap();
    assert!(asked.contains("/acme/below/") && asked.contains(&format!("/attachments/{key}?")), "{asked}");
    for part in ["X-Amz-Signature=", "X-Amz-Expires=300", "response-content-disposition=attachment"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let anonymous = server.send(server.anonymous(Method::GET, &address)).await;
    assert_eq!(anonymous.status, 404, "no link without the right to read");
}

#[tokio::test]
async fn a_file_that_is_not_in_the_bucket_is_not_found() {
    let mut app = TestApp::new();
    app.blobs = bucket(false).await;
    let server = app.start().await;
    let id = server.create(json!({"messages": "@answer done"})).await;
    let answer = server.get(&format!("/api/v2/sessions/{id}/resources/attachments/none.png")).await;
    assert_eq!(answer.status, 404);
}

/// A bucket that takes everything, and has it or not.
async fn bucket(has_it: bool) -> Blobs {
    install_tls();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = async move |request: Request| match request.method().as_str() {
        "PUT" => [(header::ETAG, "\"1\"")].into_response(),
        "HEAD" if has_it => {
            let headers = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Sat, 21 Nov 2026 10:00:00 GMT")];
            (headers, "hello").into_response()
        }
        "GET" if has_it => {
            let authorization = request.headers().contains_key(header::AUTHORIZATION);
            axum::Json(json!({"asked": request.uri().to_string(), "authorization": authorization})).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let options = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-west-3"),
        ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Blobs::open("s3://acme/below", options).unwrap()
}
