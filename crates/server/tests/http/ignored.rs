//! Names that are not in the contract.

use crate::app::{TestApp, request};
use serde_json::json;

const HEADER: &str = "x-quarterdeck-ignored";

#[tokio::test]
async fn names_that_change_nothing_are_told() {
    let server = TestApp::new().start().await;
    let created = server.post("/api/v2/sessions", request(json!({"mesages": "x", "max_step": 3}))).await;
    assert_eq!((created.status, created.header(HEADER)), (201, Some("mesages, max_step")));
    let listed = server.get("/api/v2/sessions?statuss=x&size=3").await;
    assert_eq!((listed.status, listed.header(HEADER)), (200, Some("statuss")));
    let refused = server.post("/api/v2/sessions?x", json!({"agnet": "a\nb: c"})).await;
    assert_eq!((refused.status, refused.header(HEADER)), (422, Some("agnet")));
    for path in ["/api/v2/sessions?size=3", "/api/v2/agents", "/api/v2/nowhere?x=1"] {
        assert_eq!(server.get(path).await.header(HEADER), None, "{path}");
    }
    assert_eq!(server.post("/api/v2/sessions", request(json!({}))).await.header(HEADER), None);
    server.stop().await;
}

#[tokio::test]
async fn a_strict_server_refuses_them() {
    let mut app = TestApp::new();
    app.server.strict = true;
    let server = app.start().await;
    let refused = server.post("/api/v2/sessions", request(json!({"mesages": "x"}))).await;
    assert_eq!((refused.status, &refused.json()["detail"][0]["type"]), (422, &json!("extra_forbidden")));
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "mesages"]));
    assert_eq!(server.get("/api/v2/sessions?statuss=x").await.status, 422);
    assert_eq!(server.post("/api/v2/sessions", request(json!({}))).await.status, 201);
    assert_eq!(server.get("/api/v2/sessions?size=3").await.status, 200);
    server.stop().await;
}
