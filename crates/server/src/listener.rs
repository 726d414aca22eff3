//! The accept loop. Ours, because `axum::serve` installs no timer: a request that is never finished would hold
//! its connection for ever.
//!
//! Invariant: every connection is bounded, in the time its head may take, in the time its answer may wait to be read,
//! in what its head may hold and all heads together, and in how many there are; and every task this starts is awaited before [`serve`] returns.

use crate::{
    connection::Connection,
    heads::{Counted, HEAD_MAX, HEADS_MAX, Heads},
    write_timeout::WriteTimeoutStream,
};
use axum::{body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::{Service, util::MapRequest};

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub struct ListenerSettings {
    /// How long a request's head may take to arrive.
    pub head_timeout: Duration,
    /// How long a client may leave what it asked for unread.
    pub write_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long open requests may take to finish once the server stops.
    pub drain_grace: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_mins(1),
            connections_max: 16_384,
            drain_grace: Duration::from_secs(10),
        }
    }
}

/// Pause after a failed accept: out of file descriptors is over when connections close.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Time to read requests that arrived before the server was told to stop.
const ARRIVED_TIMEOUT: Duration = Duration::from_millis(100);

/// Answers connections until `shutdown`, then lets open requests finish.
pub async fn serve<S>(listener: TcpListener, router: S, settings: ListenerSettings, shutdown: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(settings.head_timeout).max_buf_size(HEAD_MAX);
    let heads = Heads::new(HEADS_MAX);
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = shutdown.cancelled() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection = Connection::new(stream.peer_addr().ok().map(|address| address.ip()));
        let carried = connection.clone();
        let carrying = move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(carried.clone());
            request.map(Body::new)
        };
        let service = TowerToHyperService::new(MapRequest::new(router.clone(), carrying));
        let stream = Counted::new(WriteTimeoutStream::new(stream, settings.write_timeout), heads.clone());
        let served = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
                () = connection.is_cut() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    // A request that has arrived and was not read yet would find its connection closed.
    sleep(ARRIVED_TIMEOUT).await;
    if timeout(settings.drain_grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Without it the second of two small writes waits for the peer.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "could not accept a connection");
            sleep(ACCEPT_RETRY_INTERVAL).await;
            None
        }
    }
}
