//! The routes below `/_test/v1`.

mod clock;
pub(super) mod look;
pub(super) mod recordings;
pub(super) mod scenarios;
mod worlds;

use crate::{App, authentication::bearer, error::ApiError, input::Input, keys::key_hash, router::not_allowed};
use axum::{
    Router,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::{StatusCode, header};
use quarterdeck_api::Problem;
use quarterdeck_scenario::SCHEMA;
use quarterdeck_store::Caller;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

use super::TestBed;

/// What the routes are, for makers of clients.
const DOCUMENT: &str = include_str!("openapi.yaml");

/// What ends the process on purpose exits with this.
const CRASHED: i32 = 86;

/// The routes, for a server in test mode.
pub(crate) fn router() -> Router<App> {
    let routes = Router::new()
        .route("/worlds", post(worlds::create))
        .route("/worlds/{id}", delete(worlds::remove))
        .route("/scenarios", get(scenarios::list).post(scenarios::load).delete(scenarios::clear))
        .route("/scenarios/check", post(scenarios::check))
        .route("/scenarios/{name}", get(scenarios::get).put(scenarios::put).delete(scenarios::remove))
        .route("/reset", post(worlds::reset))
        .route("/journal", get(look::journal))
        .route("/journal/unmatched", get(look::unmatched))
        .route("/journal/wait", get(look::wait))
        .route("/counts", get(look::counts))
        .route("/verify", post(look::verify))
        .route("/faults", get(worlds::faults).post(worlds::add_fault).delete(worlds::clear_faults))
        .route("/faults/{id}", delete(worlds::remove_fault))
        .route("/clock", get(clock::show).post(clock::set))
        .route("/recordings", post(recordings::load))
        .route("/recordings/verify", post(recordings::verify))
        .route("/recordings/{session}", get(recordings::export))
        .route("/crash", post(crash))
        .route("/schema.json", get(schema))
        .route("/openapi.yaml", get(document))
        .method_not_allowed_fallback(not_allowed);
    Router::new().nest("/_test/v1", routes)
}

/// A request by somebody with a key that works. A cookie is none: no page of a browser reaches this.
struct Tester {
    bed: Arc<TestBed>,
    caller: Caller,
    input: Input,
}

impl FromRequest<App> for Tester {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let input = Input::from_request(request, app).await?;
        let bed = app.test.clone().ok_or_else(|| Problem::not_found("there is no such route; see /docs"))?;
        let credentials = input.headers().get(header::AUTHORIZATION);
        let key = credentials.and_then(|credentials| bearer(credentials.as_bytes()));
        let caller = match key {
            Some(key) => app.keys.caller(key_hash(key)).await?,
            None => None,
        };
        Ok(Self { bed, caller: caller.ok_or_else(Problem::unauthorized)?, input })
    }
}

impl Tester {
    /// The body; none is an empty object.
    fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body = self.input.body_bytes();
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        serde_json::from_slice(body).map_err(|error| Problem::invalid_body(error.to_string()).into())
    }

    fn text(&self) -> Result<&str, ApiError> {
        let text = std::str::from_utf8(self.input.body_bytes());
        text.map_err(|_| Problem::bad_request("the body is not UTF-8").into())
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.input.raw_query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// All values of a parameter.
    fn parameters(&self, name: &str) -> Vec<String> {
        let query = self.input.raw_query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, ApiError> {
        let Some(text) = self.parameter(name) else { return Ok(default) };
        let fault = || Problem::bad_request(format!("`{name}` is a number, not {text:?}"));
        Ok(text.parse().map_err(|_| fault())?)
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => ApiError::from(Problem::internal()).into_response(),
    }
}

/// Ends the process at once, as a power cut would: nothing is flushed, nobody is told.
async fn crash(_: Tester) -> Response {
    #[expect(clippy::disallowed_methods, reason = "a test asks how it is when the process dies")]
    std::process::exit(CRASHED)
}

async fn schema(_: Tester) -> Response {
    ([(header::CONTENT_TYPE, "application/schema+json")], SCHEMA).into_response()
}

async fn document(_: Tester) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use super::DOCUMENT;

    #[test]
    fn the_document_names_every_route() {
        let source = include_str!("routes.rs");
        let routes = source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next());
        let missing: Vec<&str> = routes.filter(|route| !DOCUMENT.contains(&format!("\n  {route}:\n"))).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
