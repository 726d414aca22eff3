//! All routes, as the contract lists them.

mod agents;
mod catalogs;
mod changes;
mod commands;
mod environments;
mod feedback;
mod health;
mod resources;
mod sessions;
mod sharing;
mod skills;
mod unbuilt;

use crate::{
    App,
    answers::{self, Answers},
    error::ApiError,
    heads, hosts,
    input::Input,
    metrics, names, openapi,
};
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use http::{HeaderName, HeaderValue};
use quarterdeck_api::Problem;
use tower::{Layer, util::MapRequestLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use tracing::Instrument;
use utoipa_axum::{router::OpenApiRouter, routes};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The documented routes.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::quota))
        .routes(routes!(sessions::get, sessions::cancel))
        .routes(routes!(sessions::status))
        .routes(routes!(changes::changes))
        .routes(routes!(sessions::events))
        .routes(routes!(commands::messages))
        .routes(routes!(commands::tool_results))
        .routes(routes!(commands::pause))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::force_answer))
        .routes(routes!(feedback::session))
        .routes(routes!(feedback::event))
        .routes(routes!(sharing::share, sharing::unshare))
        .routes(routes!(sharing::show))
        .routes(routes!(resources::get))
        .routes(routes!(agents::create, agents::list))
        .routes(routes!(agents::get, agents::put, agents::patch, agents::delete))
        .routes(routes!(agents::revisions))
        .routes(routes!(agents::restore))
        .routes(routes!(environments::create, environments::list))
        .routes(routes!(environments::get, environments::put, environments::patch, environments::delete))
        .routes(routes!(skills::create, skills::list))
        .routes(routes!(skills::get, skills::put, skills::patch, skills::delete))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}

/// The whole server as a service.
pub fn router(app: App) -> Router {
    let (router, _) = documented().split_for_parts();
    let hosts = app.settings.hosts.clone();
    let service = router
        .merge(unbuilt::router())
        .route("/api/v2/sessions/quota", delete(sessions::cancel_named_quota))
        .route("/metrics", get(metrics::page))
        .route("/openapi.yaml", get(openapi::yaml))
        .merge(openapi::pages())
        .fallback(unserved)
        .method_not_allowed_fallback(not_allowed)
        .with_state(app)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Answers::default(), answers::within_room))
        .layer(middleware::from_fn(metrics::count))
        .layer(middleware::from_fn(log))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(MapRequestLayer::new(with_a_short_id))
        .layer(middleware::from_fn_with_state(hosts, hosts::known_only))
        .layer(middleware::from_fn(heads::small_only));
    // A router's own layers run only once it has found the route, so this one stands around it.
    Router::new().fallback_service(MapRequestLayer::new(names::in_one_segment).layer(service))
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

/// The body is read, although nobody wants it: a connection with an unread one is closed, and who would use it again
/// would not know.
async fn unserved(_: Input) -> ApiError {
    Problem::not_found("there is no such route; see /docs").into()
}

async fn not_allowed(_: Input) -> ApiError {
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
        let response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}
