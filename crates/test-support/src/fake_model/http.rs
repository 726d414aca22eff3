//! As much of HTTP/1.1 as a client of a model needs.

use std::{fmt::Write as _, io};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

const HEAD_MAX_BYTES: u64 = 64 << 10;
const BODY_MAX_BYTES: usize = 64 << 20;

/// What stands before a request's body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    fn number(&self, name: &str) -> Option<usize> {
        self.value(name)?.parse().ok()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The next request on the connection; none when the client closed it between requests.
pub(super) async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(Head, Vec<u8>)>> {
    let Some(head) = read_head(stream).await? else { return Ok(None) };
    if head.value("transfer-encoding").is_some() {
        return Err(io::Error::other("chunked requests are not understood"));
    }
    let length = head.number("content-length").unwrap_or(0);
    if length > BODY_MAX_BYTES {
        return Err(io::Error::other("the request is too large"));
    }
    if head.value("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    let mut limited = stream.take(HEAD_MAX_BYTES);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if limited.read_until(b'\n', &mut line).await? == 0 {
            return if lines.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            return Ok(Some(parse_head(&lines)));
        }
        lines.push(line);
    }
}

fn parse_head(lines: &[String]) -> Head {
    let mut words = lines.first().map(|line| line.split(' ')).into_iter().flatten();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Head {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: lines.iter().skip(1).filter_map(header).collect(),
    }
}

/// A whole answer.
pub(super) fn response(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Fake\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
