//! A request as it came: the path's variables, the raw query, the headers, the body's bytes.

use crate::{
    app::App,
    bodies::{Bodies, Held},
    error::ApiError,
    ignored::Ignored,
};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::{HeaderMap, header, request::Parts};
use quarterdeck_api::{Body, Decode, DecodeQuery, Decoder, Problem};
use quarterdeck_engine::heavy;
use std::sync::{Mutex, PoisonError};
use tokio::sync::OwnedSemaphorePermit;

/// Bodies above this size, in bytes, are read off the threads that serve everybody.
const LARGE: usize = 64 * 1024;

/// A request, read but not decoded.
pub(crate) struct Input {
    parts: Parts,
    variables: Vec<(String, String)>,
    body: Held,
    ignored: Ignored,
    is_strict: bool,
    /// Held by who is about to read a large body.
    turn: Mutex<Option<OwnedSemaphorePermit>>,
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

    /// Reads the parameters of the query.
    pub(crate) fn parameters<T: DecodeQuery>(&self, decoder: &Decoder) -> Option<T> {
        self.decoded(decoder, || decoder.query(self.parts.uri.query()))
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Refuses a body that says it is JSON and is not.
    pub(crate) async fn check_body(&self, bodies: &Bodies) -> Result<(), ApiError> {
        bodies.check(self.content_type(), self.body_bytes()).await
    }

    /// The address at the other end of the connection.
    #[cfg(feature = "agent-view")]
    pub(crate) fn peer(&self) -> Option<std::net::IpAddr> {
        self.parts.extensions.get::<crate::connection::Connection>().and_then(crate::connection::Connection::peer)
    }

    /// The query as it was sent, for routes that are no part of the contract.
    pub(crate) fn raw_query(&self) -> Option<&str> {
        self.parts.uri.query()
    }

    /// Reads the body. What it was parsed into is many times as large as its text, and is gone when this returns.
    pub(crate) fn body<T: Decode>(&self, decoder: &Decoder) -> Result<Option<T>, ApiError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        let read = || {
            let body = Body::parse(self.content_type(), self.body_bytes())?;
            Ok(self.decoded(decoder, || decoder.body(&body)))
        };
        if self.is_large() { heavy(read) } else { read() }
    }

    /// What `decode` reads, and keeps what it does not read for whoever answers.
    fn decoded<T>(&self, decoder: &Decoder, decode: impl FnOnce() -> T) -> T {
        if self.is_strict {
            decoder.be_strict();
        }
        let value = decode();
        self.ignored.set(decoder.ignored());
        value
    }

    /// Waits until this body may be read. Large ones take turns: what they are parsed into takes much memory, and all
    /// the time of a thread.
    pub(crate) async fn wait_for_turn(&self, bodies: &Bodies) {
        if self.is_large() {
            let turn = bodies.turn().await;
            *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        }
    }

    fn is_large(&self) -> bool {
        self.body_bytes().len() > LARGE
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
        let ignored = parts.extensions.remove::<Ignored>().unwrap_or_default();
        let body = app.bodies.read(body, app.settings.body_max);
        match tokio::time::timeout(app.settings.body_timeout, body).await {
            Ok(body) => {
                let is_strict = app.settings.strict;
                Ok(Self { parts, variables, body: body?, ignored, is_strict, turn: Mutex::default() })
            }
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
