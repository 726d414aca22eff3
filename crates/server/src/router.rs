//! The whole server, put together: the API, what operators read, and what stands around all of it. Each group of
//! routes brings its own answer to a method that it does not know, and its own headers; what no group has is answered
//! here.

use crate::{
    App,
    answers::{self, Answers},
    cors::CrossOrigin,
    error::ApiError,
    heads, hosts, ignored,
    input::Input,
    metrics, names, openapi, routes, test_api,
};
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, header};
use quarterdeck_api::Problem;
use std::sync::Arc;
use tower::{Layer, util::MapRequestLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use tracing::Instrument;

/// Bytes of an answer below which compressing gains nothing.
const COMPRESSED_MIN: u64 = 1_024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The whole server as a service.
pub fn router(app: App) -> Router {
    let cross_origin = CrossOrigin::new(&app.settings.cors);
    let hosts = app.settings.hosts.clone();
    let tests = if app.test.is_some() { test_api::router() } else { Router::new() };
    let test_app = app.clone();
    let settings = Arc::clone(&app.settings);
    let service = Router::new()
        .merge(tests)
        .merge(routes::api())
        .merge(operator())
        .merge(pages())
        .fallback(unserved)
        .with_state(app)
        .layer(middleware::from_fn(ignored::tell))
        .layer(middleware::from_fn(kept_from_other_pages))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Answers::default(), answers::within_room))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESSED_MIN).and(is_worth_compressing)))
        .layer(middleware::from_fn_with_state(test_app, test_api::around))
        .layer(middleware::from_fn(metrics::count))
        .layer(middleware::from_fn(log))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(MapRequestLayer::new(with_a_short_id))
        .layer(middleware::from_fn_with_state(hosts, hosts::known_only))
        .layer(middleware::from_fn(heads::small_only));
    // A router's own layers run only once it has found the route, so this one stands around it.
    let routed = move |request| names::in_one_segment(settings.public_url.without_prefix(request));
    let service = MapRequestLayer::new(routed).layer(service);
    Router::new().fallback_service(cross_origin.layer(service))
}

/// Characters of a request's id; one that is longer is no id.
const REQUEST_ID_MAX: usize = 128;

/// An id that a client chose goes back to it and into the log. It is copied: what came with the head of the request
/// would keep the whole head in memory for as long as the id lives.
fn with_a_short_id(mut request: Request) -> Request {
    let sent = request.headers_mut().remove(&REQUEST_ID);
    let short = sent.filter(|id| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.to_str().is_ok());
    if let Some(copy) = short.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
        request.headers_mut().insert(REQUEST_ID, copy);
    }
    request
}

/// What operators and makers of clients read, without a key.
fn operator() -> Router<App> {
    Router::new()
        .route("/metrics", get(metrics::page))
        .route("/openapi.yaml", get(openapi::yaml))
        .route("/openapi.json", get(openapi::json))
        .merge(openapi::pages())
        .method_not_allowed_fallback(not_allowed)
}

/// What is text of ours: answers in JSON, and the files of pages.
const COMPRESSED: [&[u8]; 4] = [b"application/json", b"text/javascript", b"text/css", b"text/html"];

/// What has a strong tag has a name for its very bytes, and keeps them.
fn is_worth_compressing(
    _: http::StatusCode,
    _: http::Version,
    headers: &http::HeaderMap,
    _: &http::Extensions,
) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let has_strong_tag = headers.get(header::ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
    COMPRESSED.iter().any(|one| kind.starts_with(one)) && !has_strong_tag
}

/// What a cookie paid for is for pages of this server: no other page may load it, not even as a picture.
async fn kept_from_other_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let by_cookie = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
    let mut response = next.run(request).await;
    if by_cookie {
        response.headers_mut().insert(CORP, HeaderValue::from_static("same-origin"));
    }
    response
}

#[cfg(feature = "agent-view")]
fn pages() -> Router<App> {
    crate::agent_view::router()
}

#[cfg(not(feature = "agent-view"))]
fn pages() -> Router<App> {
    Router::new()
}

/// The body is read, although nobody wants it: a connection with an unread one is closed, and who would use it again
/// would not know.
async fn unserved(_: Input) -> ApiError {
    Problem::not_found("there is no such route; see /docs").into()
}

/// To a method that a path does not have.
pub(crate) async fn not_allowed(_: Input) -> ApiError {
    Problem::method_not_allowed().into()
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "a request handler panicked");
    ApiError::from(Problem::internal()).into_response()
}

/// One line a request, at debug level; the request's id on everything that is logged for it.
async fn log(request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).and_then(|id: &HeaderValue| id.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    async move {
        let begun = tokio::time::Instant::now();
        let response = next.run(request).await;
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status = response.status().as_u16(), duration_ms, "answered");
        response
    }
    .instrument(span)
    .await
}
