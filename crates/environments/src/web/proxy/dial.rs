//! Connecting to the outside: straight to an address that the guard lets through, or by a proxy of the session.

use super::HOST_MAX;
use crate::{Guard, HostRefused, ResolveError};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use url::{Host, Url};

/// Time to connect, for all addresses of a host together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of what an upstream proxy answers to CONNECT.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// Ports on which this server itself listens. No page reaches them, whatever the operator lets through.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnPorts(Arc<BTreeSet<u16>>);

impl OwnPorts {
    /// These ports.
    pub(crate) fn of(ports: impl IntoIterator<Item = u16>) -> Self {
        Self(Arc::new(ports.into_iter().collect()))
    }

    /// These and one more.
    pub(super) fn with(&self, port: u16) -> Self {
        Self::of(self.0.iter().copied().chain([port]))
    }

    /// Whether a connection to this address would end at this server.
    fn hold(&self, address: SocketAddr) -> bool {
        self.0.contains(&address.port()) && is_of_this_machine(address.ip())
    }
}

/// Only addresses of this machine can be bound to.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

/// Why there is no connection to a host.
#[derive(Debug, Error)]
pub(super) enum DialError {
    /// The guard refuses it.
    #[error(transparent)]
    Refused(#[from] HostRefused),
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
}

/// A proxy that a session wants its browser to use: `http://[user:password@]host:port`.
#[derive(Clone)]
pub(crate) struct Upstream {
    host: String,
    port: u16,
    authorization: Option<String>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Reads the address of a proxy. The fault names no secret.
    ///
    /// # Errors
    /// A sentence for the session's owner.
    pub(crate) fn parse(address: &str) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|_| "it is no address".to_owned())?;
        if url.scheme() != "http" {
            return Err("this server speaks to proxies by http:// only".into());
        }
        let host = url.host_str().ok_or("it names no host")?.to_owned();
        let port = url.port_or_known_default().ok_or("it names no port")?;
        let authorization = (!url.username().is_empty()).then(|| {
            let password = url.password().unwrap_or_default();
            let pair = format!("{}:{}", unescaped(url.username()), unescaped(password));
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self { host, port, authorization })
    }
}

fn unescaped(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Opens connections for a proxy.
#[derive(Debug)]
pub(super) struct Dialer {
    guard: Guard,
    own_ports: OwnPorts,
    upstream: Option<Upstream>,
}

impl Dialer {
    pub(super) fn new(guard: Guard, own_ports: OwnPorts, upstream: Option<Upstream>) -> Self {
        Self { guard, own_ports, upstream }
    }

    /// Connects to a host, as it stands in an address.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let late = |_| DialError::Unreachable(format!("no connection to {:?} within 10 s", short(host)));
        match &self.upstream {
            None => timeout(CONNECT_TIMEOUT, self.straight(host, port)).await.map_err(late)?,
            Some(upstream) => timeout(CONNECT_TIMEOUT, self.by(upstream, host, port)).await.map_err(late)?,
        }
    }

    async fn straight(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let addresses = match self.guard.resolve(host, port).await {
            Ok(addresses) => addresses,
            Err(ResolveError::Refused(refused)) => return Err(refused.into()),
            Err(error @ ResolveError::NotFound(_)) => return Err(DialError::Unreachable(error.to_string())),
        };
        let mut cause = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            if self.own_ports.hold(address) {
                return Err(HostRefused::Private(host.to_owned()).into());
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => cause = error,
            }
        }
        Err(DialError::Unreachable(format!("no connection to {:?}: {}", short(host), cause.kind())))
    }

    /// Asks the upstream proxy for a tunnel. It resolves names itself; what is no name is decided on here.
    async fn by(&self, upstream: &Upstream, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let target = Host::parse(host).map_err(|_| HostRefused::NotHttp)?;
        let url = Url::parse(&format!("http://{target}:{port}/")).map_err(|_| HostRefused::NotHttp)?;
        self.guard.check(&url)?;
        let mut stream = self.straight(&upstream.host, upstream.port).await?;
        let failed = |cause: &str| DialError::Unreachable(format!("the session's proxy {cause}"));
        let authorization = upstream.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {target}:{port} HTTP/1.1\r\nHost: {target}:{port}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|_| failed("hung up"))?;
        let answer = head(&mut stream).await.map_err(|_| failed("hung up"))?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" => Ok(stream),
            "407" => Err(failed("wants other credentials")),
            _ => Err(failed(&format!("refused to connect to {:?}", short(host)))),
        }
    }
}

fn short(host: &str) -> &str {
    &host[..host.floor_char_boundary(HOST_MAX)]
}

/// Reads to the end of a head, byte by byte: what follows belongs to the tunnel.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= ANSWER_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
