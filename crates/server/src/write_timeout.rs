//! A connection whose client does not read: what is written to it may wait for so long, and no longer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream that fails when nothing could be written for a while, although something had to be.
pub(crate) struct WriteTimeoutStream<S> {
    stream: S,
    timeout: Duration,
    /// Runs while writes wait, until enough was written.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Written since it began to run.
    written: usize,
}

/// Bytes that a client must take for the timeout with it to begin anew: one byte now and then is no reading.
const PROGRESS: usize = 4 * 1024;

impl<S> WriteTimeoutStream<S> {
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, stalled: None, written: 0 }
    }

    fn progress(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.written = self.written.saturating_add(*bytes);
            if self.written < PROGRESS {
                return written;
            }
        }
        self.in_time(written, context)
    }

    fn in_time<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            (self.stalled, self.written) = (None, 0);
            return written;
        }
        let timeout = self.timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.progress(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_given_up() {
        let (server, mut client) = tokio::io::duplex(16);
        let mut server = WriteTimeoutStream::new(server, WRITE_TIMEOUT);
        let error = server.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 16, "what fitted was sent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_served_to_the_end() {
        let (server, mut client) = tokio::io::duplex(PROGRESS);
        let mut server = WriteTimeoutStream::new(server, WRITE_TIMEOUT);
        let reading = async {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(59)).await;
                client.read_exact(&mut [0; PROGRESS]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(server.write_all(&[0; 4 * PROGRESS]), reading);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
        let (server, mut client) = tokio::io::duplex(PROGRESS);
        let mut server = WriteTimeoutStream::new(server, WRITE_TIMEOUT);
        let reading = async {
            loop {
                tokio::time::sleep(Duration::from_secs(20)).await;
                client.read_exact(&mut [0; 1]).await.unwrap();
            }
        };
        let text = [0; 2 * PROGRESS];
        let given_up = tokio::select! {
            written = server.write_all(&text) => written,
            () = reading => Ok(()),
        };
        assert_eq!(given_up.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
