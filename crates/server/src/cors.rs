//! Calls from pages of other origins. Keys travel in a header, never in a cookie, so a page can do no more than whoever
//! gave it the key; that is why all origins may call unless the operator names some.

use axum::extract::Request;
use http::{HeaderName, HeaderValue, Method, header};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, Any, Cors, CorsLayer};

/// Pages of which origins may call.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CorsOrigins {
    /// All.
    #[default]
    Any,
    /// These, each as browsers send it, such as `https://app.example.com`; none at all when empty.
    Only(Vec<HeaderValue>),
}

const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];

/// What clients send beside what browsers let every page send.
const REQUEST_HEADERS: [&str; 16] = [
    "authorization",
    "content-type",
    "accept",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "user-agent",
    "x-hcompany-client-name",
    "x-hcompany-client-version",
    "x-hcompany-client-type",
    "x-hcompany-language",
    "x-hcompany-runtime",
    "x-hcompany-runtime-version",
    "x-hcompany-platform",
    "x-hai-runtime-challenge",
    "x-request-id",
];

/// What pages may read of an answer beside what browsers show them anyway.
const EXPOSED: [&str; 6] =
    ["etag", "retry-after", "x-request-id", "location", "x-quarterdeck-ignored", "x-quarterdeck-left-out"];

/// How long a browser need not ask again.
const PREFLIGHT_TTL: Duration = Duration::from_hours(2);

/// Lets pages of other origins call all routes but those for operators and tests.
#[derive(Clone, Debug)]
pub(crate) struct CrossOrigin(CorsLayer);

impl CrossOrigin {
    pub(crate) fn new(origins: &CorsOrigins) -> Self {
        let origins = match origins {
            CorsOrigins::Any => AllowOrigin::from(Any),
            CorsOrigins::Only(origins) => AllowOrigin::list(origins.clone()),
        };
        Self(
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods(METHODS)
                .allow_headers(REQUEST_HEADERS.map(HeaderName::from_static))
                .expose_headers(EXPOSED.map(HeaderName::from_static))
                .allow_private_network(true)
                .max_age(PREFLIGHT_TTL),
        )
    }
}

impl<S: Clone> Layer<S> for CrossOrigin {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { open: self.0.layer(inner.clone()), closed: inner }
    }
}

/// Takes each request the way that it may go.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    open: Cors<S>,
    closed: S,
}

impl<S> Service<Request> for Gate<S>
where
    S: Service<Request>,
    Cors<S>: Service<Request, Response = S::Response, Error = S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures_util::future::Either<<Cors<S> as Service<Request>>::Future, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match (self.open.poll_ready(context), self.closed.poll_ready(context)) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if is_cross_origin(&request) {
            futures_util::future::Either::Left(self.open.call(request))
        } else {
            futures_util::future::Either::Right(self.closed.call(request))
        }
    }
}

/// An `OPTIONS` that is no preflight is a request like any other, and there is no such route.
fn is_cross_origin(request: &Request) -> bool {
    let path = request.uri().path();
    let is_ours =
        path == "/metrics" || path.starts_with("/metrics/") || path == "/_test" || path.starts_with("/_test/");
    let headers = request.headers();
    let is_preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    !is_ours && headers.contains_key(header::ORIGIN) && (request.method() != Method::OPTIONS || is_preflight)
}
