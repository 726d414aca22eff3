//! The bodies of requests, from their first byte to the answer.
//!
//! Invariant: what a request takes up before its key is known is its text and nothing more, and the texts of all
//! requests together have a limit. JSON that is parsed is ten to thirty times as large, so nothing is parsed for
//! a caller without one but to tell what is broken, and that for one of them at a time.

use crate::error::ApiError;
use axum::body::Body as Incoming;
use bytes::BytesMut;
use http_body_util::BodyExt;
use jiter::Jiter;
use quarterdeck_api::{Body, Problem};
use quarterdeck_engine::heavy;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// What of each body counts for nothing: whoever fills the room keeps out large bodies, not commands and messages.
/// The listener's limit of connections bounds it.
const FREE: usize = 16 * 1024;

/// The room that bodies share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bodies {
    /// A permit a byte.
    room: Arc<Semaphore>,
    /// Held by who parses what is broken.
    broken: Arc<Mutex<()>>,
    /// A permit for each large body that is being read.
    turns: Arc<Semaphore>,
}

/// A body, and its room for as long.
pub(crate) struct Held {
    bytes: BytesMut,
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Bodies of so many bytes together.
    pub(crate) fn new(max: usize) -> Self {
        let room = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { room, broken: Arc::default(), turns: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))) }
    }

    /// Waits until a large body may be read; one core is left for all else.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Reads a body of at most `max` bytes. Room is taken for what has come, not for what is announced.
    pub(crate) async fn read(&self, mut body: Incoming, max: usize) -> Result<Held, ApiError> {
        let mut held = Held { bytes: BytesMut::new(), room: None };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > max - held.bytes.len() {
                return Err(Problem::too_large(format!("the body is larger than {max} bytes")).into());
            }
            held.make_room(&self.room, data.len())?;
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }

    /// Refuses what says it is JSON and is not.
    pub(crate) async fn check(&self, content_type: Option<&str>, bytes: &[u8]) -> Result<(), ApiError> {
        let is_sound = if bytes.len() > FREE { heavy(|| is_json(bytes)) } else { is_json(bytes) };
        if is_sound {
            return Ok(());
        }
        // What the fault is only the parser says, and it builds all that comes before.
        let _alone = self.broken.lock().await;
        heavy(|| Body::parse(content_type, bytes).map(drop))?;
        Ok(())
    }
}

impl Held {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn make_room(&mut self, room: &Arc<Semaphore>, more: usize) -> Result<(), ApiError> {
        let length = self.bytes.len();
        let wanted = (length + more).saturating_sub(FREE) - length.saturating_sub(FREE);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let taken = Arc::clone(room).try_acquire_many_owned(wanted).map_err(|_| crowded())?;
        match &mut self.room {
            Some(room) => room.merge(taken),
            None => self.room = Some(taken),
        }
        Ok(())
    }
}

fn crowded() -> ApiError {
    tracing::warn!("answered 503: the bodies of requests take up all the room they may have");
    Problem::unavailable("the server is reading too many large bodies right now").into()
}

/// Whether the parser would take it. Nothing is kept of what is read.
fn is_json(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut json = Jiter::new(text.as_bytes()).with_allow_inf_nan();
    json.next_skip().and_then(|()| json.finish()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_json;
    use proptest::prelude::*;
    use quarterdeck_api::Body;

    fn check(text: &[u8]) {
        let parsed = Body::parse(Some("application/json"), text);
        assert_eq!(is_json(text), parsed.is_ok(), "{}: {parsed:?}", String::from_utf8_lossy(text));
    }

    #[test]
    fn what_is_skipped_is_what_is_parsed() {
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let long = |digits| format!("[{}]", "7".repeat(digits));
        for text in [
            deep(199),
            deep(200),
            deep(201),
            deep(202),
            long(4_299),
            long(4_300),
            long(4_301),
            long(4_302),
            "\u{feff}{}".into(),
            "{\"a\":1}x".into(),
            "[1,]".into(),
            "nul".into(),
            "NaN".into(),
            "-Infinity".into(),
            "[1e999,-0,01]".into(),
            r#""\ud800""#.into(),
            r#""\ud83d\ude00""#.into(),
            r#""\x""#.into(),
            "\"\t\"".into(),
        ] {
            check(text.as_bytes());
        }
        check(b"\"\xff\"");
        check(b"\xff\xfe{\0}\0");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_skipped_is_what_is_parsed_whatever_it_is(pieces in proptest::collection::vec(piece(), 1..12)) {
            check(&pieces.concat());
        }
    }

    const PIECES: [&str; 23] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u00e4\\n\"",
        "\"",
        "\\",
        "1",
        "-1.5e3",
        "0",
        ".",
        "e",
        "true",
        "null",
        "NaN",
        "Infinity",
        " ",
        "\n",
        "{\"a\":[1,2]}",
        "ü",
    ];

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = proptest::sample::select(&PIECES[..]).prop_map(|text| text.as_bytes().to_vec());
        prop_oneof![9 => known, 1 => proptest::collection::vec(any::<u8>(), 1..3)]
    }
}
