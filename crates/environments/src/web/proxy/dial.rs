//! Connecting to the outside: straight to an address that the guard lets through, or by a proxy of the session.

use super::{
    HOST_MAX,
    upstream::{Connection, Upstream},
};
use crate::{Guard, HostRefused, ResolveError};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};
use url::{Host, Url};

/// Time to connect, for all addresses of a host together, and for what an upstream proxy has to say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<Box<dyn Connection>, DialError> {
        let late = |_| DialError::Unreachable(format!("no connection to {:?} within 10 s", short(host)));
        match &self.upstream {
            None => Ok(Box::new(timeout(CONNECT_TIMEOUT, self.straight(host, port)).await.map_err(late)??)),
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
    async fn by(&self, upstream: &Upstream, host: &str, port: u16) -> Result<Box<dyn Connection>, DialError> {
        let target = Host::parse(host).map_err(|_| HostRefused::NotHttp)?;
        let url = Url::parse(&format!("http://{target}:{port}/")).map_err(|_| HostRefused::NotHttp)?;
        self.guard.check(&url)?;
        let stream = self.straight(upstream.host(), upstream.port()).await?;
        let refused =
            |cause: String| DialError::Unreachable(format!("the session's proxy {cause} ({:?})", short(host)));
        upstream.tunnel(stream, &target, port).await.map_err(refused)
    }
}

fn short(host: &str) -> &str {
    &host[..host.floor_char_boundary(HOST_MAX)]
}
