//! The whole server, put together: the API, what operators read, and what stands around all of it. Each group of
//! routes brings its own answer to a method that it does not know, and its own headers; what no group has is answered
//! here.

use crate::{App, around, cors::CrossOrigin, error::ApiError, input::Input, metrics, names, openapi, routes, test_api};
use axum::{Router, extract::Request, middleware, response::Response, routing::get};
use quarterdeck_api::Problem;
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// The whole server as a service.
pub fn router(
    app: App,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + Sync + 'static
{
    let cross_origin = CrossOrigin::new(&app.settings.cors);
    let settings = Arc::clone(&app.settings);
    let tests = if app.test.is_some() { test_api::router() } else { Router::new() };
    let around = middleware::from_fn_with_state(around::Around::new(app.clone()), around::around);
    let router = Router::new()
        .merge(tests)
        .merge(routes::api())
        .merge(operator())
        .merge(pages())
        .fallback(unserved)
        .with_state(app)
        .layer(around);
    cross_origin.layer(Routed { router, settings })
}

/// Finds the route by the path that the server goes by itself. A router's own layers run only once it has found the
/// route, so this stands around it.
#[derive(Clone)]
struct Routed {
    router: Router,
    settings: Arc<crate::ServerSettings>,
}

impl Service<Request> for Routed {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.router.call(names::in_one_segment(self.settings.public_url.without_prefix(request)))
    }
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
