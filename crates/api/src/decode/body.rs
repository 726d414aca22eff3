//! The body of a request.

use super::json::{self, ParseError, Value};
use crate::{Detail, LocationPart, Problem};

/// A body whose bytes are parsed, not yet understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// There is none.
    Absent,
    /// It is not declared as JSON, so it stays unread; this is its size in bytes.
    Opaque(usize),
    /// It is JSON.
    Json(Value<'a>),
}

impl<'a> Body<'a> {
    /// Parses `bytes` if `content_type` says that they are JSON. To be done before anything else is checked.
    pub fn parse(content_type: Option<&str>, bytes: &'a [u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Ok(Self::Absent);
        }
        if !content_type.is_some_and(is_json) {
            return Ok(Self::Opaque(bytes.len()));
        }
        json::parse(bytes).map(Self::Json).map_err(problem)
    }
}

/// `application/json` or `application/*+json`, whatever the case and parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.strip_prefix("application/").is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

fn problem(error: ParseError) -> Problem {
    let (offset, reason) = match error {
        ParseError::Undecodable(reason) => return Problem::bad_request(reason),
        ParseError::Syntax { offset, reason } => (offset, reason),
    };
    let msg = format!("not valid JSON: {reason}");
    let loc = vec![LocationPart::Name("body".into()), LocationPart::Index(offset as u64)];
    Problem::invalid(vec![Detail {
        input: Some(serde_json::json!({})),
        ctx: Some(serde_json::json!({ "error": reason })),
        ..Detail::at(loc, "json_invalid", msg)
    }])
}
