//! The `OpenAPI` document, generated from the routes, and the pages that show it.

mod responses;
mod schemas;
#[cfg(test)]
mod tests;

use crate::{App, error::ApiError, routes};
use axum::{
    Router,
    extract::Path,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use quarterdeck_api::Problem;
use std::sync::{Arc, LazyLock};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_swagger_ui::Config;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quarterdeck",
        description = "Self-hosted server for agent sessions: the Agents API. Routes of schedules and webhooks are not built and \
                       answer 501; what else differs from the hosted service is in docs/compatibility.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "sessions", description = "Sessions: create, follow, steer, read."),
        (name = "agents", description = "The catalog of agents."),
        (name = "environments", description = "The catalog of environments."),
        (name = "skills", description = "The catalog of skills."),
        (name = "health", description = "For operators."),
    ),
    modifiers(&BearerKey),
)]
struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key, `hk-…`.")).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    }
}

/// The document. A variable that takes the rest of a path is written like any other: the format knows no such thing.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, routes) = routes::documented().split_for_parts();
    let mut document = Document::openapi();
    document.merge(routes);
    schemas::tidy(&mut document.components.get_or_insert_default().schemas);
    responses::add_common(&mut document.paths);
    document.paths.paths =
        document.paths.paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document
}

static YAML: LazyLock<String> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a test renders the document; it does not depend on input")]
    document().to_yaml().expect("the document renders")
});

pub(crate) async fn yaml() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], YAML.as_str())
}

static JSON: LazyLock<String> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a test renders the document; it does not depend on input")]
    document().to_json().expect("the document renders")
});

pub(crate) async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str())
}

/// `/docs`, served from the binary: no other host is asked for anything. Every address on the page is relative, so that it
/// works below a path of a proxy.
pub(crate) fn pages() -> Router<App> {
    Router::new()
        .route("/docs", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")]) }))
        .route("/docs/", get(|| async { Html(include_str!("openapi/page.html")) }))
        .route("/docs/{file}", get(page_file))
}

/// What the page is made of: ours, and the viewer's.
async fn page_file(Path(name): Path<String>) -> Response {
    let ours = match name.as_str() {
        "page.js" => Some(("text/javascript", include_str!("openapi/page.js"))),
        "page.css" => Some(("text/css", include_str!("openapi/page.css"))),
        _ => None,
    };
    if let Some((content_type, text)) = ours {
        return ([(header::CONTENT_TYPE, content_type)], text).into_response();
    }
    match utoipa_swagger_ui::serve(&name, Arc::new(Config::from("../openapi.json"))) {
        Ok(Some(file)) if name != "index.html" => {
            ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response()
        }
        Ok(_) | Err(_) => ApiError::from(Problem::not_found("there is no such page; see /docs/")).into_response(),
    }
}
