//! Counting what goes through a proxy, and ending connections that carry too much or nothing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A connection on which nothing is read for so long is ended.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// The bytes that a proxy has carried, and how many it may.
#[derive(Debug)]
pub(crate) struct Traffic {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Traffic {
    pub(crate) fn up_to(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max }
    }

    /// Whether nothing more may be carried.
    pub(crate) fn is_used_up(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.bytes_max
    }

    fn add(&self, bytes: usize) -> io::Result<()> {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.is_used_up() { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
    }
}

/// A connection to the outside whose bytes are counted.
pub(crate) struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
    idle: Pin<Box<Sleep>>,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S, traffic: Arc<Traffic>) -> Self {
        Self { stream, traffic, idle: Box::pin(sleep(IDLE_TIMEOUT)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            ready!(self.idle.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
        let count = buffer.filled().len() - before;
        Poll::Ready(read.and_then(|()| self.traffic.add(count)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
        Poll::Ready(self.traffic.add(written).map(|()| written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
