//! An MCP server that answers a call with requests of its own, without end, and takes none of the answers.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Starts it; gives its address. It lasts as long as the program.
pub(super) async fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/mcp", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let asked = read(&mut stream).await?;
        let result = match asked["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": asked["params"]["protocolVersion"],
                "capabilities": {"tools": {}}, "serverInfo": {"name": "pinger", "version": "1"},
            }),
            Some("tools/list") => {
                json!({"tools": [{"name": "ping", "description": "Pings.", "inputSchema": {"type": "object"}}]})
            }
            Some("tools/call") => return ping(&mut stream).await,
            Some(method) if method.starts_with("notifications/") => {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
                continue;
            }
            // An answer to a ping: it is held for ever.
            _ => std::future::pending().await,
        };
        let body = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

/// Reads a request: its JSON, or nothing if it has none.
async fn read(stream: &mut BufReader<TcpStream>) -> Result<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            anyhow::bail!("the client has gone");
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().context("a length that is no number")?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

async fn ping(stream: &mut BufReader<TcpStream>) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await?;
    for id in 0_u64.. {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        stream.write_all(format!("event: message\ndata: {request}\n\n").as_bytes()).await?;
    }
    Ok(())
}
