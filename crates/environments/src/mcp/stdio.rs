//! The transport over standard streams: a message a line.

use super::{MESSAGE_MAX_BYTES, error::McpError, inbox::Inbox, json, message::Outgoing};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

/// Messages that wait to be written, and what they may weigh together.
const UNWRITTEN_MAX: usize = 16;
const UNWRITTEN_MAX_BYTES: usize = 8 << 20;
/// What is kept of a message that is too long.
const HEAD_MAX_BYTES: usize = 4_096;
const READ_BYTES: usize = 64 * 1024;

/// A message, and the room that it takes.
type Line = (String, OwnedSemaphorePermit);

/// The writing side of a connection. What is given to it is written whole, even if nobody waits any more.
#[derive(Debug)]
pub(super) struct Stdio {
    lines: Mutex<Option<mpsc::Sender<Line>>>,
    room: Arc<Semaphore>,
}

impl Stdio {
    /// The writing side, and what is to be written by [`write`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Line>) {
        let (lines, to_write) = mpsc::channel(UNWRITTEN_MAX);
        (Self { lines: Mutex::new(Some(lines)), room: Arc::new(Semaphore::new(UNWRITTEN_MAX_BYTES)) }, to_write)
    }

    /// Waits for room, so that a program which does not read is not written to without end.
    pub(super) async fn send(&self, message: &Outgoing) -> Result<(), McpError> {
        let over = || McpError::NotSent("its input is closed".into());
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(over)?;
        let bytes = u32::try_from(message.text.len().min(UNWRITTEN_MAX_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| over())?;
        lines.send((message.text.clone(), room)).await.map_err(|_| over())
    }

    /// Ends the input, which is how a program is told to go.
    pub(super) fn close(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Writes until there is nothing more to come or nobody who reads.
pub(super) async fn write(mut lines: mpsc::Receiver<Line>, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some((text, _room)) = lines.recv().await {
        to.write_all(text.as_bytes()).await?;
        to.write_all(b"\n").await?;
        to.flush().await?;
    }
    to.shutdown().await
}

/// Reads to the end, which is the end of the link.
pub(super) async fn read(from: impl AsyncRead + Unpin, inbox: Arc<Inbox>) {
    let mut from = BufReader::with_capacity(READ_BYTES, from);
    let mut line = Vec::new();
    while inbox.why_ended().is_none() {
        // A long message does not keep its room for ever.
        line.clear();
        line.shrink_to(READ_BYTES);
        match next_line(&mut from, &mut line, MESSAGE_MAX_BYTES).await {
            Ok(Next::End) => break,
            Ok(Next::Whole) => inbox.take(&line, None),
            Ok(Next::TooLong) if json::looks_like_message(&line) => {
                inbox.lose_reply(&line, None, &format!("it sent a message of more than {MESSAGE_MAX_BYTES} bytes"));
            }
            Ok(Next::TooLong) => {}
            Err(error) => return inbox.end(&format!("its output cannot be read: {error}")),
        }
    }
    inbox.end("its output ended");
}

enum Next {
    Whole,
    /// What is kept is its beginning.
    TooLong,
    End,
}

async fn next_line(from: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>, max: usize) -> io::Result<Next> {
    let mut is_too_long = false;
    loop {
        let waiting = from.fill_buf().await?;
        if waiting.is_empty() {
            return Ok(if line.is_empty() { Next::End } else { ended(is_too_long) });
        }
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let part = &waiting[..end.unwrap_or(waiting.len())];
        is_too_long |= line.len() + part.len() > max;
        if is_too_long {
            line.truncate(HEAD_MAX_BYTES);
        } else {
            line.extend_from_slice(part);
        }
        let taken = end.map_or(waiting.len(), |end| end + 1);
        from.consume(taken);
        if end.is_some() {
            return Ok(ended(is_too_long));
        }
    }
}

fn ended(is_too_long: bool) -> Next {
    if is_too_long { Next::TooLong } else { Next::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_or_dropped_whole() {
        let long = "x".repeat(20_000);
        let text = format!("one\n\n{long}\ntwo\nlast");
        let mut from = BufReader::with_capacity(7, text.as_bytes());
        let mut read = Vec::new();
        loop {
            let mut line = Vec::new();
            match next_line(&mut from, &mut line, 10_000).await.unwrap() {
                Next::End => break,
                Next::Whole => read.push(String::from_utf8(line).unwrap()),
                Next::TooLong => read.push(format!("too long, {}", line.len() <= HEAD_MAX_BYTES)),
            }
        }
        assert_eq!(read, ["one", "", "too long, true", "two", "last"]);
    }

    #[tokio::test]
    async fn what_waits_to_be_written_is_bounded() {
        let (stdio, _unread) = Stdio::new();
        let large = Outgoing::notification("notifications/x", &"x".repeat(UNWRITTEN_MAX_BYTES / 2).into());
        let send = async |message: &Outgoing| {
            tokio::time::timeout(std::time::Duration::from_millis(50), stdio.send(message)).await.is_ok()
        };
        assert!(send(&large).await);
        assert!(!send(&large).await, "there is no room for a second one");
        let small = Outgoing::notification("notifications/x", &"".into());
        for _ in 1..UNWRITTEN_MAX {
            assert!(send(&small).await);
        }
        assert!(!send(&small).await);
    }
}
