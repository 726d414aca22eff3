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
use http::{HeaderValue, StatusCode, header};
use quarterdeck_api::Problem;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};
use tower::util::MapResponseLayer;
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

/// Ids of operations, by method and template of the path.
pub(crate) fn operations() -> HashMap<(String, String), String> {
    let mut found = HashMap::new();
    for (path, item) in document().paths.paths {
        let methods =
            [("GET", item.get), ("POST", item.post), ("PUT", item.put), ("PATCH", item.patch), ("DELETE", item.delete)];
        for (method, operation) in methods {
            if let Some(id) = operation.and_then(|operation| operation.operation_id) {
                found.insert((method.to_owned(), path.clone()), id);
            }
        }
    }
    found
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

/// What the pages may do: run their own script, and ask this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `/docs`, served from the binary: no other host is asked for anything. Every address on the page is relative, so that it
/// works below a path of a proxy.
pub(crate) fn pages() -> Router<App> {
    let pages = Router::new()
        .route("/docs", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")]) }))
        .route("/docs/", get(|| async { Html(include_str!("openapi/page.html")) }))
        .route("/docs/{file}", get(page_file));
    pages.layer(MapResponseLayer::new(|mut response: Response| {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }))
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
