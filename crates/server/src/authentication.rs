//! Who calls: the one place where a request is turned into a caller. A handler names the extractor that fits, and has
//! no way to forget it: without one it has no [`Caller`] to ask the engine with.
//!
//! All of them read the request whole before they look at the key: a connection with an unread body is closed, and
//! who would use it again would not know.

use crate::{App, error::ApiError, input::Input, keys::key_hash};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use quarterdeck_api::Problem;
use quarterdeck_store::Caller;

/// A request by somebody with a key that works; all others are answered 401.
pub(crate) struct Authenticated(pub(crate) Caller, pub(crate) Input);

/// A request that needs no key. A key that does not work is refused all the same.
pub(crate) struct MaybeAuthenticated(pub(crate) Option<Caller>, pub(crate) Input);

/// A request with a JSON body, by somebody with a key that works. Broken JSON is told before the key is looked at, and
/// a body is only parsed for somebody who has one.
pub(crate) struct AuthenticatedBody(pub(crate) Caller, pub(crate) Input);

impl FromRequest<App> for Authenticated {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let MaybeAuthenticated(caller, input) = MaybeAuthenticated::from_request(request, app).await?;
        Ok(Self(caller.ok_or_else(Problem::unauthorized)?, input))
    }
}

impl FromRequest<App> for MaybeAuthenticated {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let input = Input::from_request(request, app).await?;
        Ok(Self(caller(app, input.headers()).await?, input))
    }
}

impl FromRequest<App> for AuthenticatedBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let input = Input::from_request(request, app).await?;
        input.check_body(&app.bodies).await?;
        let caller = caller(app, input.headers()).await?;
        Ok(Self(caller.ok_or_else(Problem::unauthorized)?, input))
    }
}

/// Who calls, if the request says so.
async fn caller(app: &App, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    let Some(credentials) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let key = bearer(credentials.as_bytes()).ok_or_else(Problem::unauthorized)?;
    let caller = app.keys.caller(key_hash(key)).await?;
    Ok(Some(caller.ok_or_else(Problem::unauthorized)?))
}

/// The key of an `Authorization: Bearer` header.
pub(crate) fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = credentials.split_at_checked("Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}
