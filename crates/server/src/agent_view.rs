//! Agent View: the page that shows sessions, served from the binary. It is a client of the API like any other; what is
//! here is the shell that starts it, its files, and signing in.
//!
//! Invariant: no page holds data. A page is the same for everybody, and what it shows it asks the API for; so a page
//! may be opened from a link on another site, although the cookie does not come along with that.

mod assets;
mod cookie;
mod sign_in;
mod tries;

pub(crate) use cookie::caller;
pub(crate) use tries::Tries;

use crate::{App, error::ApiError, input::Input, router::not_allowed};
use axum::{
    Router,
    extract::State,
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quarterdeck_api::Problem;

/// Where the pages are.
pub(crate) const ROOT: &str = "/agent-view";

const SHELL: &str = include_str!("../assets/index.html");

/// What a page may do: run what this server serves, and ask this server. Templates are made into HTML by one library,
/// whose policy is named here; nothing else may.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types lit-html";

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// The pages, their files and signing in.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(start))
        .route(ROOT, get(page))
        .route("/agent-view/{*rest}", get(page))
        .route("/agent-view/assets/{version}/{*file}", get(assets::file))
        .route("/agent-view/me", get(sign_in::me))
        .route("/agent-view/sign-in", post(sign_in::sign_in))
        .route("/agent-view/sign-out", post(sign_in::sign_out))
        .route("/agent-view/link", post(sign_in::link))
        .route("/share/{token}", get(page))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(headers))
}

async fn headers(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(HEADERS);
    response
}

/// Who opens the server's address in a browser wants to see something; clients get what they got before.
async fn start(State(app): State<App>, input: Input) -> Response {
    if wants_a_page(input.headers()) {
        return Redirect::to(&format!("{}{ROOT}", app.settings.public_url.path())).into_response();
    }
    ApiError::from(Problem::not_found("there is no such route; see /docs")).into_response()
}

/// The shell, whatever the path: which page it is the script reads from the address.
async fn page(State(app): State<App>, _: Input) -> Response {
    let base = app.settings.public_url.path();
    let html =
        SHELL.replace("{{assets}}", &format!("{base}{ROOT}/assets/{}", assets::version())).replace("{{base}}", base);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, html).into_response()
}

/// Whether HTML is what a client would rather have: browsers name it first, and programs do not name it.
pub(crate) fn wants_a_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').next().is_some_and(|first| first.trim().starts_with("text/html"))
}
