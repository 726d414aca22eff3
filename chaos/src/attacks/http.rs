//! Requests of attackers and bystanders: each on a connection of its own.

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Asks, and reads the whole answer: its status and its JSON, if it is any.
pub(super) async fn ask(
    address: &str,
    key: &str,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Result<(u16, Value)> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(body.into()))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Asks, and leaves the answer unread; the connection holds it.
pub(super) async fn ask_unread(address: &str, key: &str, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}
