//! Server-sent events: a stream of bytes, cut into events line by line.

use std::time::Duration;

/// The longest wait before a new try that a server can ask for.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: Vec<u8>,
}

/// An event, or a line of one, is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts a stream into events. Lines may end in LF, CR or both; comments are skipped, however long.
#[derive(Debug)]
pub(super) struct Cutter {
    max_bytes: usize,
    line: Vec<u8>,
    after_cr: bool,
    is_comment: bool,
    is_first_line: bool,
    name: Option<String>,
    data: Option<Vec<u8>>,
    /// The id of the last event.
    last_id: Option<String>,
    next_id: Option<String>,
    retry: Option<Duration>,
}

impl Cutter {
    /// No event may have more bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            line: Vec::new(),
            after_cr: false,
            is_comment: false,
            is_first_line: true,
            name: None,
            data: None,
            last_id: None,
            next_id: None,
            retry: None,
        }
    }

    /// The same at the beginning of the stream that follows.
    pub(super) fn restarted(self) -> Self {
        Self { last_id: self.last_id, retry: self.retry, ..Self::new(self.max_bytes) }
    }

    /// The id of the last event that had one.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long to wait before a new try, if the server said.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes bytes off `bytes` until an event is complete. None when they are used up.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, TooLong> {
        while let Some(found) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (part, rest) = bytes.split_at(found);
            let is_second_half = self.after_cr && found == 0 && rest[0] == b'\n';
            self.after_cr = rest[0] == b'\r';
            *bytes = &rest[1..];
            if is_second_half {
                continue;
            }
            self.lengthen(part)?;
            if let Some(event) = self.end_line()? {
                return Ok(Some(event));
            }
        }
        if !bytes.is_empty() {
            self.after_cr = false;
        }
        self.lengthen(bytes)?;
        *bytes = &[];
        Ok(None)
    }

    /// What is complete but for its empty line, at the end of the stream.
    pub(super) fn finish(&mut self) -> Option<Event> {
        self.end_line().ok().flatten().or_else(|| self.end_event())
    }

    fn lengthen(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if self.line.is_empty() && !self.is_comment {
            self.is_comment = part.first() == Some(&b':');
        }
        if self.is_comment {
            return Ok(());
        }
        if self.line.len() + part.len() + self.data.as_ref().map_or(0, Vec::len) > self.max_bytes {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, TooLong> {
        let is_comment = std::mem::take(&mut self.is_comment);
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_first_line) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if is_comment {
            return Ok(None);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => self.add_data(value)?,
            b"event" => self.name = Some(text(value)),
            b"id" if !value.contains(&0) && value.len() <= 1_024 => self.next_id = Some(text(value)),
            b"retry" => {
                let wait = text(value).trim().parse().ok().map(Duration::from_millis);
                self.retry = wait.map(|wait| wait.min(RETRY_INTERVAL_MAX)).or(self.retry);
            }
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            data @ None => *data = Some(value.to_vec()),
        }
        let len = self.data.as_ref().map_or(0, Vec::len);
        if len > self.max_bytes { Err(TooLong) } else { Ok(()) }
    }

    fn end_event(&mut self) -> Option<Event> {
        if let Some(id) = self.next_id.take() {
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        let name = self.name.take().filter(|name| !name.is_empty());
        let data = self.data.take()?;
        Some(Event { name: name.unwrap_or_else(|| "message".into()), data })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_bytes_come() {
        let text = "\u{feff}: hello\n\nevent: endpoint\r\ndata: /post?id=1\r\n\r\nid: 7\nretry: 1500\n\ndata: {\"a\":\r\
                    data:1}\r\rdata\n\nevent: end\ndata: last";
        for size in [1, 2, 7, text.len()] {
            let mut cutter = Cutter::new(100);
            let mut events = Vec::new();
            for mut chunk in text.as_bytes().chunks(size) {
                while let Some(event) = cutter.next(&mut chunk).unwrap() {
                    events.push(event);
                }
            }
            events.extend(cutter.finish());
            let expected = [
                event("endpoint", "/post?id=1"),
                event("message", "{\"a\":\n1}"),
                event("message", ""),
                event("end", "last"),
            ];
            assert_eq!(events, expected, "{size}");
            assert_eq!((cutter.last_id(), cutter.retry()), (Some("7"), Some(Duration::from_millis(1_500))));
        }
    }

    #[test]
    fn an_event_without_end_is_cut_off_and_a_comment_is_not() {
        let long = format!("data: {}", "x".repeat(100));
        assert_eq!(Cutter::new(100).next(&mut long.as_bytes()), Err(TooLong));
        assert_eq!(Cutter::new(100).next(&mut "data: x\n".repeat(60).as_bytes()), Err(TooLong));
        let comment = format!(":{}\ndata: x\n\n", "x".repeat(1_000));
        assert_eq!(Cutter::new(100).next(&mut comment.as_bytes()), Ok(Some(event("message", "x"))));
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.as_bytes().to_vec() }
    }
}
