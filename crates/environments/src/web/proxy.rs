//! The only way of a browser to the network: a forward proxy of its own, on a loopback port, that connects to what the
//! [`Guard`](crate::Guard) lets through and to nothing else.
//!
//! A page can make a browser speak to anything in many ways: redirects, frames, workers, speculative connections. All
//! of them end here, where the address is decided on that is then connected to. The browser itself resolves no names.

mod dial;
mod forward;
mod traffic;
mod upstream;

pub(crate) use dial::OwnPorts;
pub(crate) use upstream::Upstream;

use crate::Guard;
use dial::Dialer;
use hyper::{Method, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use traffic::Traffic;

/// Connections of one browser at once.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of the head of a request.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Hosts of a step that the agent is told were refused.
const REFUSALS_MAX: usize = 5;
/// Characters of such a host.
const HOST_MAX: usize = 200;

/// A running proxy. Dropping it ends it and all of its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _end: DropGuard,
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    traffic: Arc<Traffic>,
    refusals: Mutex<Vec<String>>,
    ended: CancellationToken,
}

impl Proxy {
    /// Starts a proxy that carries at most `bytes_max` bytes in its life.
    ///
    /// # Errors
    /// When no port of the loopback interface is free.
    pub(crate) async fn start(
        guard: Guard,
        own_ports: OwnPorts,
        upstream: Option<Upstream>,
        bytes_max: u64,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let ended = CancellationToken::new();
        let dialer = Dialer::new(guard, own_ports.with(address.port()), upstream);
        let traffic = Arc::new(Traffic::up_to(bytes_max));
        let shared = Arc::new(Shared { dialer, traffic, refusals: Mutex::default(), ended: ended.clone() });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _end: ended.drop_guard() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hosts that were refused since this was last asked, each once, at most 5.
    pub(crate) fn take_refusals(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn refused(&self, host: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let host = &host[..host.floor_char_boundary(HOST_MAX)];
        if refusals.len() < REFUSALS_MAX && !refusals.iter().any(|known| known == host) {
            refusals.push(host.to_owned());
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = shared.ended.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: others may be given back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let ended = shared.ended.clone();
            tokio::select! {
                () = ended.cancelled() => (),
                () = serve(stream, shared) => (),
            }
            drop(place);
        });
    }
}

/// Serves one connection of the browser, to the end of a tunnel that it may become.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let tunnel = Arc::new(Mutex::new(None));
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (shared, tunnel) = (Arc::clone(&shared), Arc::clone(&tunnel));
        async move {
            if request.method() != Method::CONNECT {
                return Ok::<_, std::convert::Infallible>(forward::forward(request, &shared).await);
            }
            let (response, opened) = forward::connect(request, &shared).await;
            *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = opened;
            Ok(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A browser that hangs up in the middle is no fault.
    let _ = connection.await;
    let opened = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(tunnel) = opened {
        tunnel.carry().await;
    }
}

#[cfg(test)]
mod tests;
