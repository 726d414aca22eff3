//! What connections hold of what clients send before it is understood: the heads of requests.
//!
//! Invariant: all connections together hold at most [`HEADS_MAX`] beyond the first [`FREE`] bytes of each. The buffer of
//! a connection never shrinks, so what it once needed counts until it ends; a connection that would need more than is
//! left is closed.

use http::Request;
use quarterdeck_api::Problem;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest head of a request, in bytes.
pub(crate) const HEAD_MAX: usize = 64 * 1024;
/// What a connection reads before it is known whether the head is too large.
const BUFFER_MAX: usize = 2 * HEAD_MAX;
/// What of each connection counts for nothing; the limit of connections bounds it.
const FREE: usize = 8 * 1024;
/// The room that all connections share, in bytes.
pub(crate) const HEADS_MAX: usize = 256 * 1024 * 1024;

/// Refuses a head that is too large with 431. The library underneath lets some through that are up to twice as large.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let uri = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    if fields + uri <= HEAD_MAX {
        return Ok(());
    }
    let message = format!("the head of the request is larger than {HEAD_MAX} bytes");
    Err(Problem::typed(431, "request_header_fields_too_large", message))
}

/// The room that is left. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Heads(Arc<AtomicUsize>);

impl Heads {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(max)))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// A stream whose unanswered input is counted.
pub(crate) struct Counted<S> {
    stream: S,
    heads: Heads,
    /// Read since something was written last.
    unanswered: usize,
    /// Taken of the room.
    held: usize,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S, heads: Heads) -> Self {
        Self { stream, heads, unanswered: 0, held: 0 }
    }

    fn count(&mut self, read: usize) -> io::Result<()> {
        self.unanswered = self.unanswered.saturating_add(read);
        let wanted = self.unanswered.min(BUFFER_MAX).saturating_sub(FREE);
        let more = wanted.saturating_sub(self.held);
        if !self.heads.take(more) {
            tracing::warn!("closed a connection: the heads of requests take up all the room they may have");
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many large requests at once"));
        }
        self.held += more;
        Ok(())
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.heads.0.fetch_add(self.held, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        Poll::Ready(self.count(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unanswered = 0;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unanswered = 0;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_not_answered_is_counted_until_the_connection_ends() {
        let heads = Heads::new(BUFFER_MAX);
        let left = || heads.0.load(Ordering::Relaxed);
        let (client, server) = tokio::io::duplex(1 << 20);
        let (mut client, mut server) = (client, Counted::new(server, heads.clone()));
        client.write_all(&[0; FREE]).await.unwrap();
        server.read_exact(&mut [0; FREE]).await.unwrap();
        assert_eq!(left(), BUFFER_MAX, "small heads cost nothing");
        client.write_all(&vec![0; 2 * BUFFER_MAX]).await.unwrap();
        server.read_exact(&mut vec![0; 2 * BUFFER_MAX]).await.unwrap();
        assert_eq!(left(), FREE, "a body counts no more than the largest head");
        server.write_all(b"answer").await.unwrap();
        assert_eq!(left(), FREE, "the buffer stays as large as it was");

        let (mut client, other) = tokio::io::duplex(1 << 20);
        let mut other = Counted::new(other, heads.clone());
        client.write_all(&vec![0; HEAD_MAX]).await.unwrap();
        assert!(other.read_exact(&mut vec![0; HEAD_MAX]).await.is_err(), "there is no room left");
        drop(server);
        assert_eq!(left(), BUFFER_MAX - other.held);
    }
}
