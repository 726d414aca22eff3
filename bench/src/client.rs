//! A client that costs little: one keep-alive connection, no redirects, no retries.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use quarterdeck_test_support::server::API_KEY;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request; the answer's status and body.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Option<&str>) -> Result<(u16, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {API_KEY}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default().to_owned()));
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(body)?).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, Bytes)> {
        self.send(Method::GET, path, None).await
    }

    /// Creates a session; its id.
    pub(crate) async fn create(&mut self, body: &str) -> Result<String> {
        let (status, answer) = self.send(Method::POST, "/api/v2/sessions", Some(body)).await?;
        ensure!(status == 201, "creation answered {status}: {}", String::from_utf8_lossy(&answer));
        let session: Value = serde_json::from_slice(&answer)?;
        Ok(session["id"].as_str().context("no id")?.to_owned())
    }

    /// Follows a session from an index until its status is one of these; the next index.
    pub(crate) async fn follow(&mut self, id: &str, from: usize, until: &[&str]) -> Result<usize> {
        let mut next = from;
        loop {
            let path = format!("/api/v2/sessions/{id}/changes?from_index={next}&wait_for_seconds=20");
            let (status, answer) = self.get(&path).await?;
            if status == 204 {
                continue;
            }
            ensure!(status == 200, "changes answered {status}");
            let changes: Value = serde_json::from_slice(&answer)?;
            next += changes["new_events"].as_array().map_or(0, Vec::len);
            if changes["status"].as_str().is_some_and(|status| until.contains(&status)) {
                return Ok(next);
            }
        }
    }
}
