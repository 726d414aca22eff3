//! A request as it came: the path's variables, the raw query, the headers, the body's bytes.

use crate::{
    app::App,
    bodies::{Bodies, Held},
    error::ApiError,
};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::{HeaderMap, header, request::Parts};
use quarterdeck_api::{Body, Decode, Errors, Problem};

/// A request, read but not decoded.
pub(crate) struct Input {
    parts: Parts,
    variables: Vec<(String, String)>,
    body: Held,
}

impl Input {
    /// A variable of the path, percent-decoded; empty when the route has none of this name.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn method(&self) -> &http::Method {
        &self.parts.method
    }

    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.parts.uri.query()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Refuses a body that says it is JSON and is not.
    pub(crate) async fn check_body(&self, bodies: &Bodies) -> Result<(), ApiError> {
        bodies.check(self.content_type(), self.body_bytes()).await
    }

    /// Reads the body. What it was parsed into is many times as large as its text, and is gone when this returns.
    pub(crate) fn body<T: Decode>(&self, errors: &Errors) -> Result<Option<T>, ApiError> {
        Ok(errors.body(&Body::parse(self.content_type(), self.body_bytes())?))
    }

    fn content_type(&self) -> Option<&str> {
        self.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn body_bytes(&self) -> &[u8] {
        self.body.bytes()
    }
}

impl FromRequest<App> for Input {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let variables = variables(&mut parts).await?;
        let body = app.bodies.read(body, app.settings.body_max);
        match tokio::time::timeout(app.settings.body_timeout, body).await {
            Ok(body) => Ok(Self { parts, variables, body: body? }),
            Err(_) => Err(Problem::new(408, "the body did not arrive in time").into()),
        }
    }
}

async fn variables(parts: &mut Parts) -> Result<Vec<(String, String)>, ApiError> {
    let Ok(variables) = RawPathParams::from_request_parts(parts, &()).await else {
        return Err(Problem::bad_request("the path is not UTF-8").into());
    };
    Ok(variables.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
