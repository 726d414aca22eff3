//! Headers that carry values.

use super::json::Value;
use super::place::Place;
use super::scalars;
use crate::{Detail, ErrorBody, Problem};

/// The longest `Idempotency-Key`, in characters.
const KEY_MAX: usize = 255;

/// A key under which a request may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

/// Reads the key. Header bytes are Latin-1; only plain blanks around it belong to HTTP.
pub(super) fn idempotency_key(header: &[u8], at: &Place<'_>) -> Option<IdempotencyKey> {
    let value = Value::Str(latin1(trimmed(header)).into());
    let key = scalars::sized(1..=KEY_MAX, &value, at)?;
    Some(IdempotencyKey(key.to_owned()))
}

/// The refusal of a key of nothing but blanks, which names no location.
pub(super) fn blank_key() -> Problem {
    let message = "the header Idempotency-Key is blank";
    let detail = Detail::plain("unprocessable_entity", message);
    Problem { status: 422, body: ErrorBody { message: message.into(), detail: vec![detail] } }
}

fn trimmed(header: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = header.iter().position(|byte| !blank(byte)).unwrap_or(header.len());
    let end = header.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &header[start..end]
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// What `If-Match` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Nothing: absent or `*`.
    Any,
    /// That this is the current revision.
    Revision(u64),
}

impl IfMatch {
    /// Reads the header; what is no revision is refused with 400.
    pub fn parse(header: Option<&[u8]>) -> Result<Self, Problem> {
        let Some(header) = header else { return Ok(Self::Any) };
        match trimmed(header) {
            b"*" => Ok(Self::Any),
            tag => revision(tag)
                .map(Self::Revision)
                .ok_or_else(|| Problem::bad_request("If-Match must name one revision, such as \"3\", or be *")),
        }
    }

    /// Whether it lets a change of revision `current` pass.
    pub fn admits(self, current: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Revision(wanted) => u64::try_from(current) == Ok(wanted),
        }
    }
}

/// `"3"`, `W/"3"` or `3`. A number too large for any revision is still one, and matches none.
fn revision(tag: &[u8]) -> Option<u64> {
    let unquoted = || tag.strip_prefix(b"W/").unwrap_or(tag).strip_prefix(b"\"")?.strip_suffix(b"\"");
    let digits = if tag.first().is_some_and(u8::is_ascii_digit) { tag } else { unquoted()? };
    let number = digits.iter().all(u8::is_ascii_digit) && matches!(digits.first(), Some(b'1'..=b'9'));
    number.then(|| std::str::from_utf8(digits).ok()?.parse().ok().or(Some(u64::MAX))).flatten()
}
