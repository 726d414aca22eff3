//! A request as it came: the path's variables, the raw query, the headers, the body's bytes.

use crate::{app::App, error::ApiError};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use quarterdeck_api::{Body, Problem};

/// A request, read but not decoded.
pub(crate) struct Input {
    parts: Parts,
    variables: Vec<(String, String)>,
    body: Bytes,
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

    pub(crate) fn authorization(&self) -> Option<&[u8]> {
        self.headers().get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes)
    }

    /// The parsed body. Broken JSON is told before anything else is looked at.
    pub(crate) fn body(&self) -> Result<Body<'_>, ApiError> {
        let content_type = self.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Body::parse(content_type, &self.body)?)
    }

    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }
}

impl FromRequest<App> for Input {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let variables = variables(&mut parts).await?;
        let body = Limited::new(body, app.settings.body_max).collect();
        let body = match tokio::time::timeout(app.settings.body_timeout, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let limit = app.settings.body_max;
                return Err(Problem::too_large(format!("the body is larger than {limit} bytes")).into());
            }
            Ok(Err(_)) => return Err(Problem::bad_request("the body ended early").into()),
            Err(_) => return Err(Problem::new(408, "the body did not arrive in time").into()),
        };
        Ok(Self { parts, variables, body })
    }
}

async fn variables(parts: &mut Parts) -> Result<Vec<(String, String)>, ApiError> {
    let Ok(variables) = RawPathParams::from_request_parts(parts, &()).await else {
        return Err(Problem::bad_request("the path is not UTF-8").into());
    };
    Ok(variables.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
