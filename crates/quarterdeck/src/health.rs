//! `quarterdeck health`: for health checks in images that hold nothing but the binary.

use anyhow::{Context, bail};
use http_body_util::Empty;
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the server that listens on `listen` whether it is alive.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(listen: &str) -> anyhow::Result<()> {
    ask(listen).await
}

/// As [`run`], from inside a runtime.
pub(crate) async fn ask(listen: &str) -> anyhow::Result<()> {
    // A server on all addresses is reached on this machine's own.
    let address = listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, get(&address)).await;
    asked.with_context(|| format!("{address} did not answer in time"))?
}

async fn get(address: &str) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/healthz").header("host", address).body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    connection.abort();
    if !status.is_success() {
        bail!("{address} answered {status}");
    }
    Ok(())
}
