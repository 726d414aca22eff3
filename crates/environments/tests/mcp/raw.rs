//! An MCP server over HTTP whose answers a test writes by hand, down to the bytes; and a program like it.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// What was asked: how, with which headers, and the message.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Value,
}

impl Asked {
    /// What the message asks for.
    pub(crate) fn what(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }
}

type Answers = dyn Fn(&Asked, usize) -> Option<Response> + Send + Sync;

/// The server.
pub(crate) struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    asked: Mutex<Vec<Asked>>,
    answers: Box<Answers>,
}

impl RawServer {
    /// A server that answers by `answers`, which is told what is asked and how often that was asked before; where it
    /// has nothing to say, as a good server does.
    pub(crate) async fn start(answers: impl Fn(&Asked, usize) -> Option<Response> + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { asked: Mutex::default(), answers: Box::new(answers) });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    /// An environment that uses it.
    pub(crate) fn spec(&self, transport: &str) -> Value {
        let url = format!("http://{}/mcp", self.address);
        let server = json!({"name": "raw", "transport": transport, "url": url, "headers": {}, "args": [], "env": {}});
        json!({"kind": "mcp", "id": "e", "servers": [server]})
    }

    /// How often something was asked.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| asked.what() == what).count()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_else(|_| Bytes::new());
    let message = serde_json::from_slice(&body).unwrap_or_default();
    let asked = Asked { method: head.method, headers: head.headers, message };
    let before = {
        let mut all = shared.asked.lock().unwrap();
        let before = all.iter().filter(|other| other.what() == asked.what()).count();
        all.push(asked.clone());
        before
    };
    (shared.answers)(&asked, before).unwrap_or_else(|| good(&asked))
}

/// What a good server answers.
pub(crate) fn good(asked: &Asked) -> Response {
    let result = match asked.what() {
        "initialize" => {
            json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"}})
        }
        "tools/list" => json!({"tools": [{"name": "go", "inputSchema": {"type": "object"}}]}),
        "tools/call" => json!({"content": [{"type": "text", "text": "went"}]}),
        _ if asked.method == Method::POST => return with(202, "text/plain", ""),
        _ => return with(405, "text/plain", ""),
    };
    with(200, "application/json", reply(asked, &result))
}

/// A reply to what was asked.
pub(crate) fn reply(asked: &Asked, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result}).to_string()
}

/// An answer, by status, type and body.
pub(crate) fn with(status: u16, media_type: &str, body: impl Into<Body>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header("content-type", media_type).body(body.into()).unwrap()
}

/// A program that answers calls with `reply`, in which `@ID` is the id of the call.
pub(crate) fn raw_program(reply: &str) -> Value {
    let env = json!({"REPLY": reply});
    let server = json!({"name": "raw", "transport": "stdio", "command": "raw", "args": [], "env": env, "headers": {}});
    json!({"kind": "mcp", "id": "e", "servers": [server]})
}
