//! Collects the faults of one request, from all of its parts.

use super::Decode;
use super::body::Body;
use super::headers::{self, IdempotencyKey};
use super::ignored;
use super::json::Value;
use super::place::{Fault, Faults, Place};
use super::query::{DecodeQuery, Query};
use super::scalars;
use crate::{Detail, LocationPart, Problem, SessionId};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use uuid::Uuid;

/// What is wrong with a request: everything is read first, then [`Decoder::finish`] tells.
///
/// Read the parts in the order path, query, header, body: that is the order in which faults are listed.
#[derive(Debug, Default)]
pub struct Decoder {
    faults: Faults,
    blank_key: Cell<bool>,
    is_strict: Cell<bool>,
    ignored: RefCell<Vec<String>>,
}

impl Decoder {
    /// A path segment, percent-decoded, read by `decode`.
    pub fn path<T>(
        &self,
        name: &str,
        segment: &str,
        decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
    ) -> Option<T> {
        decode(&Value::Str(Cow::Borrowed(segment)), &self.faults.root("path").field(name))
    }

    /// The path's `{id}` of a session.
    pub fn session_id(&self, segment: &str) -> Option<SessionId> {
        self.path("id", segment, scalars::uuid).map(SessionId)
    }

    /// The path's `{event_index}`.
    pub fn event_index(&self, segment: &str) -> Option<i64> {
        self.path("event_index", segment, scalars::integer)
    }

    /// The path's `{number}` of an agent's revision.
    pub fn revision_number(&self, segment: &str) -> Option<i64> {
        self.path("number", segment, scalars::at_least(1))
    }

    /// The path's `{webhook_id}`, `{schedule_id}` or another UUID.
    pub fn uuid(&self, name: &str, segment: &str) -> Option<Uuid> {
        self.path(name, segment, scalars::uuid)
    }

    /// From now on names that nothing reads are faults.
    pub fn be_strict(&self) {
        self.is_strict.set(true);
    }

    /// Names of body and query that nothing has read so far, each a place in words that fits into a header.
    pub fn ignored(&self) -> Vec<String> {
        self.ignored.borrow().clone()
    }

    /// What a part of the request holds that nothing reads.
    fn tell_unread(&self, part: &str, unread: Vec<Vec<LocationPart>>) {
        for path in unread {
            self.ignored.borrow_mut().push(ignored::in_words(&path));
            if self.is_strict.get() {
                self.faults.refuse_name([vec![LocationPart::Name(part.to_owned())], path].concat());
            }
        }
    }

    /// The query string, without the `?`.
    pub fn query<T: DecodeQuery>(&self, raw: Option<&str>) -> Option<T> {
        let at = self.faults.root("query");
        let query = Query::parse(raw.unwrap_or_default(), &at);
        let decoded = T::decode(&query);
        let unread = query.unread().into_iter().map(|name| vec![LocationPart::Name(name.to_owned())]).collect();
        self.tell_unread("query", unread);
        decoded
    }

    /// The header `Idempotency-Key`; `Some(None)` when it is absent.
    pub fn idempotency_key(&self, header: Option<&[u8]>) -> Option<Option<IdempotencyKey>> {
        let Some(header) = header else { return Some(None) };
        let key = headers::idempotency_key(header, &self.faults.root("header").field("Idempotency-Key"))?;
        if key.is_blank() {
            self.blank_key.set(true);
        }
        Some(Some(key))
    }

    /// The body.
    pub fn body<T: Decode>(&self, body: &Body<'_>) -> Option<T> {
        let at = self.faults.root("body");
        match body {
            Body::Json(value) => {
                let decoded = T::decode(value, &at);
                self.tell_unread("body", self.faults.reads.unread(value));
                decoded
            }
            Body::Absent => at.refuse(Fault::new("missing", "a value is required"), &Value::Null),
            Body::Opaque(size) => {
                let note = Value::Str(format!("({})", scalars::counted(*size, "byte")).into());
                T::refuse_unread(&note, &at);
                None
            }
        }
    }

    /// A body that may be absent or null.
    pub fn optional_body<T: Decode>(&self, body: &Body<'_>) -> Option<Option<T>> {
        match body {
            Body::Absent | Body::Json(Value::Null) => Some(None),
            Body::Json(_) | Body::Opaque(_) => self.body(body).map(Some),
        }
    }

    /// All of `parts`, or every fault found. `parts` is one result of the methods above or a tuple of them.
    pub fn finish<P: Parts>(self, parts: P) -> Result<P::Whole, Problem> {
        match parts.whole() {
            Some(_) if self.blank_key.get() => Err(headers::blank_key()),
            Some(whole) if self.faults.is_empty() => Ok(whole),
            None if self.faults.is_empty() => Err(Problem::internal()),
            Some(_) | None => Err(Problem::invalid(in_order(self.faults.into_details()))),
        }
    }
}

/// Reads a single JSON value that was stored, or changed after it was decoded. It may hold secrets of others, so its
/// faults do not show it.
pub fn decode_json<T: Decode>(json: &serde_json::Value) -> Result<T, Problem> {
    let decoder = Decoder { faults: Faults::showing_nothing(), ..Decoder::default() };
    let value = decoder.body(&Body::Json(super::json::from_json(json)));
    decoder.finish(value)
}

fn in_order(mut details: Vec<Detail>) -> Vec<Detail> {
    details.sort_by_key(|detail| rank(detail.loc.first()));
    details
}

fn rank(part: Option<&LocationPart>) -> usize {
    const ORDER: [&str; 3] = ["path", "query", "header"];
    let named = |name: &str| matches!(part, Some(LocationPart::Name(part)) if part == name);
    ORDER.iter().position(|name| named(name)).unwrap_or(ORDER.len())
}

/// Results that are only of use together.
pub trait Parts {
    /// What they make when none is missing.
    type Whole;
    /// All of them, or nothing.
    fn whole(self) -> Option<Self::Whole>;
}

impl<A> Parts for Option<A> {
    type Whole = A;
    fn whole(self) -> Option<A> {
        self
    }
}

impl<A, B> Parts for (Option<A>, Option<B>) {
    type Whole = (A, B);
    fn whole(self) -> Option<Self::Whole> {
        Some((self.0?, self.1?))
    }
}

impl<A, B, C> Parts for (Option<A>, Option<B>, Option<C>) {
    type Whole = (A, B, C);
    fn whole(self) -> Option<Self::Whole> {
        Some((self.0?, self.1?, self.2?))
    }
}

impl<A, B, C, D> Parts for (Option<A>, Option<B>, Option<C>, Option<D>) {
    type Whole = (A, B, C, D);
    fn whole(self) -> Option<Self::Whole> {
        Some((self.0?, self.1?, self.2?, self.3?))
    }
}
