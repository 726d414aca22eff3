//! Answers that wait to be read.
//!
//! Invariant: what is held of large answers for clients that read slowly, or not at all, has a limit for each key and one
//! for all. Small answers count for nothing; the limit of connections bounds them.

use crate::error::ApiError;
use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::body::{Frame, SizeHint};
use quarterdeck_api::Problem;
use std::{
    collections::HashMap,
    convert::Infallible,
    future::ready as settled,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;

/// Bytes up to which an answer is small.
const SMALL: usize = 64 * 1024;
/// Bytes of large answers that wait at once: of all, and of one key.
const ROOM: usize = 256 * 1024 * 1024;
const ROOM_OF_ONE: usize = ROOM / 4;

/// The room for large answers. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    /// Keys are told apart by a hash, so that none is kept here.
    hasher: RandomState,
}

#[derive(Default)]
struct Held {
    all: usize,
    by_key: HashMap<u64, usize>,
}

/// Room that is taken, for as long as this lives.
struct Room {
    answers: Answers,
    key: u64,
    bytes: usize,
}

impl Answers {
    fn take(&self, key: u64, bytes: usize) -> Option<Room> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.by_key.get(&key).copied().unwrap_or_default();
        // One answer is always let through, whatever its size.
        if held.all.saturating_add(bytes) > ROOM || (own > 0 && own.saturating_add(bytes) > ROOM_OF_ONE) {
            return None;
        }
        held.all += bytes;
        held.by_key.insert(key, own + bytes);
        Some(Room { answers: self.clone(), key, bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.answers.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(self.bytes);
        let left = held.by_key.get(&self.key).map_or(0, |own| own.saturating_sub(self.bytes));
        if left == 0 {
            held.by_key.remove(&self.key);
        } else {
            held.by_key.insert(self.key, left);
        }
    }
}

impl Answers {
    /// Whose room an answer to a request takes.
    pub(crate) fn key(&self, headers: &HeaderMap) -> u64 {
        self.0.hasher.hash_one(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))
    }

    /// Lets an answer through when there is room for it, else asks to come again.
    pub(crate) fn within_room(&self, key: u64, response: Response) -> Response {
        let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
        if size <= SMALL {
            return response;
        }
        let Some(room) = self.take(key, size) else {
            tracing::warn!("answered 503: large answers that nobody reads take up all the room they may have");
            return ApiError::from(Problem::unavailable("too many large answers wait to be read")).into_response();
        };
        response.map(|body| Body::new(InPieces { body, rest: Bytes::new(), _room: room }))
    }
}

/// Bytes of an answer up to which compressing gains nothing.
const COMPRESSED_MIN: u64 = 1_024;
/// What is text of ours: answers in JSON, and the files of pages.
const COMPRESSED: [&[u8]; 4] = [b"application/json", b"text/javascript", b"text/css", b"text/html"];

/// What has a strong tag has a name for its very bytes, and keeps them.
fn is_worth_compressing(response: &Response) -> bool {
    let headers = response.headers();
    let is_large = response.body().size_hint().exact().is_none_or(|size| size > COMPRESSED_MIN);
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let has_strong_tag = headers.get(header::ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
    is_large && !has_strong_tag && COMPRESSED.iter().any(|one| kind.starts_with(one))
}

/// In the encoding that the client likes best, where that is worth it. Most answers are small, so the layer is put around
/// only those that are not.
pub(crate) async fn compressed(response: Response, accepted: Option<HeaderValue>) -> Response {
    if !is_worth_compressing(&response) {
        return response;
    }
    let mut request = Request::new(());
    if let Some(accepted) = accepted {
        request.headers_mut().insert(header::ACCEPT_ENCODING, accepted);
    }
    let always = |_: http::StatusCode, _: http::Version, _: &HeaderMap, _: &http::Extensions| true;
    let mut answer = Some(response);
    let service = service_fn(move |_| settled(Ok::<_, Infallible>(answer.take().unwrap_or_default())));
    let service = CompressionLayer::new().compress_when(always).layer(service);
    match service.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// A body that is handed on piece by piece, so that its room is held until the last one is about to be sent.
struct InPieces {
    body: Body,
    rest: Bytes,
    _room: Room,
}

impl HttpBody for InPieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end @ (Some(Err(_)) | None) => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(SMALL);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let more = self.body.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(more + self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn one_key_has_its_share_and_all_have_theirs() {
        let answers = Answers::default();
        let first: Vec<Room> = (0..4).map(|_| answers.take(1, ROOM_OF_ONE / 4).unwrap()).collect();
        assert!(answers.take(1, 1).is_none());
        let others: Vec<Room> = (2..5).map(|key| answers.take(key, ROOM_OF_ONE).unwrap()).collect();
        assert!(answers.take(5, 1).is_none());
        drop(first);
        assert!(answers.take(1, ROOM_OF_ONE).is_some());
        drop(others);
        assert_eq!(answers.0.held.lock().unwrap().all, 0);
    }

    #[tokio::test]
    async fn a_large_answer_is_the_same_in_pieces() {
        let text: Vec<u8> = (0..200_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let answers = Answers::default();
        let room = answers.take(1, text.len()).unwrap();
        let body = InPieces { body: Body::from(text.clone()), rest: Bytes::new(), _room: room };
        assert_eq!(body.size_hint().exact(), Some(200_000));
        assert_eq!(body.collect().await.unwrap().to_bytes(), text);
        assert_eq!(answers.0.held.lock().unwrap().all, 0);
    }
}
