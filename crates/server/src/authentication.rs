//! Who calls: the one place where a request is turned into a caller. A handler names the extractor that fits, and has
//! no way to forget it: without one it has no [`Caller`] to ask the engine with.
//!
//! All of them read the request whole before they look at the key: a connection with an unread body is closed, and
//! who would use it again would not know.

use crate::{App, error::ApiError, input::Input, keys::key_hash};
use axum::extract::{FromRequest, Request};
use http::header;
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
        Ok(Self(caller(app, &input).await?, input))
    }
}

impl FromRequest<App> for AuthenticatedBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let input = Input::from_request(request, app).await?;
        input.check_body(&app.bodies).await?;
        let caller = caller(app, &input).await?.ok_or_else(Problem::unauthorized)?;
        input.wait_for_turn(&app.bodies).await;
        Ok(Self(caller, input))
    }
}

/// Who calls, if the request says so.
async fn caller(app: &App, input: &Input) -> Result<Option<Caller>, ApiError> {
    let Some(credentials) = input.headers().get(header::AUTHORIZATION) else {
        return caller_by_cookie(app, input).await;
    };
    let key = bearer(credentials.as_bytes()).ok_or_else(Problem::unauthorized)?;
    let caller = app.keys.caller(key_hash(key)).await?;
    Ok(Some(caller.ok_or_else(Problem::unauthorized)?))
}

/// A page of this server has a cookie in place of a key.
#[cfg(feature = "agent-view")]
async fn caller_by_cookie(app: &App, input: &Input) -> Result<Option<Caller>, ApiError> {
    crate::agent_view::caller(app, input.method(), input.headers()).await
}

#[cfg(not(feature = "agent-view"))]
#[expect(clippy::unused_async, reason = "the other one awaits")]
async fn caller_by_cookie(_: &App, _: &Input) -> Result<Option<Caller>, ApiError> {
    Ok(None)
}

/// The key of an `Authorization: Bearer` header.
pub(crate) fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = credentials.split_at_checked("Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}
