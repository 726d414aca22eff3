//! Decoding of requests: bytes, query strings, path segments and headers become the types of this crate.
//!
//! Serde stops at the first error and does not know where in a union it is, so requests are read by the
//! small decoder in here instead. Two things hold everywhere:
//!
//! * a decoder returns `None` only after it has refused something at a [`Place`], so whoever asks for
//!   [`Decoder::finish`](decoder::Decoder::finish) gets either the value or every fault of the request;
//! * a decoder looks at nothing but its input: no store, no clock.
//!
//! A handler reads a request from end to end like this (the order is the contract's: broken JSON, then who
//! calls, then `If-Match`, then all values together):
//!
//! ```
//! use quarterdeck_api::{Body, Decoder, Problem, SessionRequest, apply_overrides, mask};
//!
//! fn create_session(content_type: Option<&str>, key: Option<&[u8]>, bytes: &[u8]) -> Result<String, Problem> {
//!     let body = Body::parse(content_type, bytes)?;
//!     // authentication goes here
//!     let decoder = Decoder::default();
//!     let key = decoder.idempotency_key(key);
//!     let request = decoder.body::<SessionRequest>(&body);
//!     let (_key, request) = decoder.finish((key, request))?;
//!     // the agent's name is resolved here, then
//!     let request = apply_overrides(&request)?;
//!     Ok(serde_json::to_string(&mask::session_request(&request)).unwrap_or_default())
//! }
//!
//! let body = br#"{"agent": {"name": "a", "description": "d", "environments": [{"kind": "web", "id": "w"}]}}"#;
//! assert!(create_session(Some("application/json"), None, body).is_ok());
//!
//! let problem = create_session(Some("application/json"), None, b"{}").unwrap_err();
//! assert_eq!(problem.status, 422);
//! assert_eq!(problem.body.message, "agent: a value is required");
//! ```
//!
//! [`Decoder`](decoder::Decoder) is for one thread: a handler reads the whole request before it first awaits. The 422 lists path,
//! query, header and body in this order, whichever was read first. Bodies of PATCH decode into the fields that
//! were sent; their `apply` merges and checks the whole again.
//!
//! A type says what it accepts in its `impl Decode`: one line a field, the rules of the field as small
//! functions that are combined ([`fields`], [`scalars`]).

pub mod agents;
pub mod body;
pub mod datetimes;
pub mod decoder;
pub mod echo;
pub mod environments;
pub mod fields;
pub mod headers;
mod ignored;
pub mod json;
pub mod messages;
pub mod place;
pub mod queries;
pub mod query;
pub mod rules;
pub mod scalars;
pub mod schemas;
pub mod sessions;
pub mod skills;
pub mod sorting;
pub mod tools;

use json::Value;
use place::Place;

/// A type that can be read from a request.
pub trait Decode: Sized {
    /// Reads `value`, which sits at `at`; `None` after refusing something there or below.
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self>;

    /// Refuses a body that is not declared as JSON and so stays unread; `note` stands in for it.
    fn refuse_unread(note: &Value<'_>, at: &Place<'_>) {
        place::refuse_unread(note, at);
    }
}
