//! What stands around every route, from outside to inside: the request's id, what is logged and counted of it, what is
//! refused before anybody looks at it, and what is done to its answer.
//!
//! One layer in place of one for each: a layer costs each request a copy of all that is below it.

use crate::{
    App,
    answers::{Answers, compressed},
    error::ApiError,
    heads, hosts,
    ignored::Ignored,
    metrics, test_api,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quarterdeck_api::Problem;
use std::{any::Any, panic::AssertUnwindSafe};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a request's id; one that is longer is no id.
const REQUEST_ID_MAX: usize = 128;
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What the layer has at hand.
#[derive(Clone)]
pub(crate) struct Around {
    app: App,
    answers: Answers,
}

impl Around {
    pub(crate) fn new(app: App) -> Self {
        Self { app, answers: Answers::default() }
    }
}

/// What is left of the way to a route, and of the way back.
pub(crate) struct Rest {
    next: Next,
    answers: Answers,
}

/// The layer.
pub(crate) async fn around(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers_mut());
    let text = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = text, method = %request.method(), path = request.uri().path());
    let mut response = logged_and_counted(around, request, next).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// An id that a client chose goes back to it and into the log; without one it gets one. The client's is copied: what
/// came with the head of the request would keep the whole head in memory for as long as the id lives.
fn request_id(headers: &mut HeaderMap) -> HeaderValue {
    let sent = headers.remove(&REQUEST_ID);
    let short = sent.filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.to_str().is_ok());
    let copied = short.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    copied.unwrap_or_else(|| {
        let mut text = Uuid::encode_buffer();
        #[expect(clippy::disallowed_methods, reason = "a request's id decides nothing, and no test needs to know it")]
        let text = Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
        // The characters of an id are those of a header.
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// One line a request, at debug level.
async fn logged_and_counted(around: Around, request: Request, next: Next) -> Response {
    let counted = metrics::Counted::new(&request);
    let begun = Instant::now();
    let response = checked(around, request, next).await;
    let (status, taken) = (response.status(), begun.elapsed());
    let duration_ms = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(status = status.as_u16(), duration_ms, "answered");
    counted.answered(status, taken);
    response
}

async fn checked(Around { app, answers }: Around, request: Request, next: Next) -> Response {
    if let Err(problem) = heads::check(&request).and_then(|()| hosts::check(&request, app.settings.hosts.as_deref())) {
        return ApiError::from(problem).into_response();
    }
    let rest = Rest { next, answers };
    match app.test.clone() {
        Some(bed) => test_api::around(&app, bed, request, rest).await,
        None => rest.run(request).await,
    }
}

impl Rest {
    /// To the route and back.
    pub(crate) async fn run(self, mut request: Request) -> Response {
        let headers = request.headers();
        let key = self.answers.key(headers);
        let accepted = headers.get(header::ACCEPT_ENCODING).cloned();
        let is_by_cookie = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
        let ignored = Ignored::default();
        request.extensions_mut().insert(ignored.clone());
        let routed = AssertUnwindSafe(self.next.run(request)).catch_unwind().await;
        let mut response = routed.unwrap_or_else(|panic| panicked(&*panic));
        ignored.tell(response.headers_mut());
        if is_by_cookie {
            // What a cookie paid for is for pages of this server: no other page may load it, not even as a picture.
            response.headers_mut().insert(CORP, HeaderValue::from_static("same-origin"));
        }
        compressed(self.answers.within_room(key, response), accepted).await
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "a request handler panicked");
    ApiError::from(Problem::internal()).into_response()
}
