//! The one error body: `{message, detail: [...]}` (contract: validation, "Error body").

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use utoipa::ToSchema;

/// Error bodies are kept below this size, in bytes.
const SIZE_MAX: usize = 64 * 1024;

/// What every status of 400 and above answers with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, in words, for a person.
    pub message: String,
    /// Each fault by itself, for a program; never empty.
    pub detail: Vec<Detail>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    /// The kind of fault: a validation type such as `missing`, or a status name such as `not_found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the faulty value sits: `["body", "agent", "inline", "name"]`. Empty when no field is at fault.
    pub loc: Vec<LocationPart>,
    /// What is wrong, in words.
    pub msg: String,
    /// The same in words, for clients that read this key.
    pub message: String,
    /// Whose limit was hit: `user`, `org` or `platform`. On 429 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The faulty value, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub input: Option<Value>,
    /// The bound that was broken and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub ctx: Option<Value>,
}

impl Detail {
    /// A fault that no field is to blame for.
    pub fn plain(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::at(Vec::new(), kind, message)
    }

    /// A fault at a place. Some clients read its words as `msg`, others as `message`, and an item without a `loc` is no
    /// fault to the SDK.
    pub fn at(loc: Vec<LocationPart>, kind: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind: kind.into(), loc, msg: message.clone(), message, scope: None, input: None, ctx: None }
    }

    /// The line of [`ErrorBody::message`] for this fault: `agent.tools[0].name: must be a string`.
    fn line(&self) -> String {
        let path = path(&self.loc);
        if path.is_empty() { self.message.clone() } else { format!("{path}: {}", self.message) }
    }
}

/// A location in words, without the leading `body`.
fn path(loc: &[LocationPart]) -> String {
    let below_body = loc.strip_prefix(&[LocationPart::Name("body".into())]).unwrap_or(loc);
    let path: String = below_body.iter().map(LocationPart::step).collect();
    path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
}

/// A step on the way to a value: a field's name or a list index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LocationPart {
    /// An index into a list, or the offset of a fault in unparsable JSON.
    Index(u64),
    /// A field's name, a union's tag, or the place itself (`body`, `query`, `path`, `header`).
    Name(String),
}

impl LocationPart {
    fn step(&self) -> String {
        match self {
            Self::Index(index) => format!("[{index}]"),
            Self::Name(name) => format!(".{name}"),
        }
    }
}

/// A refused request: the status and the body to answer with.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: ErrorBody,
}

/// Statuses we answer with, and their names in the contract.
const STATUS_NAMES: [(u16, &str); 16] = [
    (400, "bad_request"),
    (401, "unauthorized"),
    (403, "forbidden"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (408, "request_timeout"),
    (409, "conflict"),
    (412, "precondition_failed"),
    (413, "content_too_large"),
    (415, "unsupported_media_type"),
    (422, "unprocessable_entity"),
    (429, "too_many_requests"),
    (501, "not_implemented"),
    (502, "bad_gateway"),
    (503, "service_unavailable"),
    (504, "gateway_timeout"),
];

impl Problem {
    /// A problem that no field is to blame for; its type is the name of the status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let name =
            STATUS_NAMES.iter().find(|(code, _)| *code == status).map_or("internal_server_error", |(_, name)| name);
        Self::typed(status, name, message)
    }

    /// A problem with a type of its own, such as `environment_not_public`.
    pub fn typed(status: u16, kind: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, body: ErrorBody { detail: vec![Detail::plain(kind, message.clone())], message } }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 401: the caller is not known.
    pub fn unauthorized() -> Self {
        Self::new(401, "authentication required")
    }

    /// 403: the caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, message)
    }

    /// 404: there is nothing of that name for this caller.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// 405: the route knows other methods.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "method not allowed")
    }

    /// 409: it does not fit the current state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, message)
    }

    /// 412: somebody changed it first.
    pub fn precondition_failed(message: impl Into<String>) -> Self {
        Self::new(412, message)
    }

    /// 413: the body is too large.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, message)
    }

    /// 429: a limit is hit. `kind` is `plan_limit`, `capacity` or `queue_full`; `scope` says whose limit it is.
    pub fn limited(kind: &str, scope: &str, message: impl Into<String>) -> Self {
        let mut problem = Self::typed(429, kind, message);
        for detail in &mut problem.body.detail {
            detail.scope = Some(scope.into());
        }
        problem
    }

    /// 500: our fault; the client learns no more.
    pub fn internal() -> Self {
        Self::new(500, "internal server error")
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, message)
    }

    /// 422: these values are wrong.
    pub fn invalid(details: Vec<Detail>) -> Self {
        Self { status: 422, body: ErrorBody::of(details) }
    }

    /// 422: the body as a whole breaks a rule.
    pub fn invalid_body(message: impl Into<String>) -> Self {
        Self::invalid_at(vec![LocationPart::Name("body".into())], message.into())
    }

    /// 422 about a header, found out only while doing what was asked.
    pub fn invalid_header(name: &str, message: impl Into<String>) -> Self {
        Self::invalid_at(vec![LocationPart::Name("header".into()), LocationPart::Name(name.into())], message.into())
    }

    /// A 422 always names a place: the SDK takes one without for no answer of ours at all.
    fn invalid_at(loc: Vec<LocationPart>, message: String) -> Self {
        Self::invalid(vec![Detail::at(loc, "value_error", message)])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.body.message)
    }
}

impl std::error::Error for Problem {}

impl ErrorBody {
    /// The body for some faults, kept below the size limit: first without the echoed values, then without
    /// the faults that do not fit.
    pub fn of(details: Vec<Detail>) -> Self {
        let body = Self::whole(details);
        if size(&body) <= SIZE_MAX {
            return body;
        }
        let mut details = body.detail;
        for detail in &mut details {
            detail.input = Some(crate::decode::echo::OMITTED.into());
        }
        Self::cut(details)
    }

    fn whole(detail: Vec<Detail>) -> Self {
        let message = detail.iter().map(Detail::line).collect::<Vec<_>>().join("; ");
        Self { message, detail }
    }

    fn cut(mut details: Vec<Detail>) -> Self {
        let total = details.len();
        let mut room = SIZE_MAX - 256;
        let fits =
            details.iter().take_while(|detail| spend(&mut room, size(detail) + detail.line().len() * 2 + 4)).count();
        details.truncate(fits.max(1));
        let left_out = total - details.len();
        let mut body = Self::whole(details);
        if left_out > 0 {
            body.message = format!("{}; and {left_out} more", body.message);
        }
        body
    }
}

fn spend(room: &mut usize, amount: usize) -> bool {
    *room = room.saturating_sub(amount);
    *room > 0
}

fn size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}
