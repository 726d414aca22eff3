//! Signing a browser in and out, and who is signed in.

use super::cookie;
use crate::{
    App,
    error::ApiError,
    input::Input,
    keys::{key_hash, new_token, sha256},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use quarterdeck_api::Problem;
use quarterdeck_store::{Proof, SignedIn, TokenHash};
use serde::{Deserialize, Serialize};

/// What somebody shows to sign in.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shown {
    Key(String),
    Link(String),
}

/// Who is signed in, and where.
#[derive(Serialize)]
pub(super) struct Me {
    organization: String,
    user: String,
    key_prefix: String,
    version: &'static str,
    store: String,
    model: Option<String>,
    public_url: String,
}

/// Where a link leads that signs a browser in once.
#[derive(Serialize)]
pub(super) struct Link {
    url: String,
}

pub(super) async fn sign_in(State(app): State<App>, input: Input) -> Result<Response, ApiError> {
    same_origin(&input)?;
    let shown: Shown =
        serde_json::from_slice(input.body_bytes()).map_err(|_| Problem::bad_request("a key or a link is needed"))?;
    let (address, now) = (app.client_address(&input), app.sessions.clock().now());
    app.tries.take(address, now).map_err(ApiError::too_many_tries)?;
    let proof = match &shown {
        Shown::Key(key) => Proof::Key(key_hash(key.trim().as_bytes())),
        Shown::Link(link) => Proof::Link(TokenHash(sha256(link.as_bytes()))),
    };
    let token = new_token(app.sessions.clock().random());
    let hash = TokenHash(sha256(token.as_bytes()));
    if !app.store.sign_in(proof, hash, now).await? {
        return Err(
            Problem::new(401, "this does not sign you in: the key or link is unknown, used or out of date").into()
        );
    }
    app.tries.give_back(address);
    let cookie = cookie::set(&app.settings, input.headers(), Some(&token));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

pub(super) async fn sign_out(State(app): State<App>, input: Input) -> Result<Response, ApiError> {
    same_origin(&input)?;
    if let Some(token) = cookie::token(&app, input.headers()) {
        let everywhere = input.raw_query() == Some("everywhere=true");
        match app.store.signed_in(token, app.sessions.clock().now()).await? {
            Some(signed_in) if everywhere => app.store.sign_out_everywhere(signed_in.key_id).await?,
            Some(_) | None => app.store.sign_out(token).await?,
        }
    }
    let cookie = cookie::set(&app.settings, input.headers(), None);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

pub(super) async fn me(State(app): State<App>, input: Input) -> Result<Json<Me>, ApiError> {
    let SignedIn { organization, user, key_prefix, .. } = signed_in(&app, &input).await?;
    Ok(Json(Me {
        organization,
        user,
        key_prefix,
        version: env!("CARGO_PKG_VERSION"),
        store: app.store.describe(),
        model: app.settings.model.clone(),
        public_url: app.base(&input).as_str().to_owned(),
    }))
}

/// A link for another browser.
pub(super) async fn link(State(app): State<App>, input: Input) -> Result<Json<Link>, ApiError> {
    let signed_in = signed_in(&app, &input).await?;
    let token = new_token(app.sessions.clock().random());
    let hash = TokenHash(sha256(token.as_bytes()));
    app.store.link_to_sign_in(signed_in.key_id, hash, app.sessions.clock().now()).await?;
    let base = app.base(&input).as_str().to_owned();
    Ok(Json(Link { url: format!("{base}{}#once={token}", super::ROOT) }))
}

async fn signed_in(app: &App, input: &Input) -> Result<SignedIn, ApiError> {
    same_origin(input)?;
    let ended = || ApiError::signed_out(cookie::set(&app.settings, input.headers(), None));
    let token = cookie::token(app, input.headers()).ok_or_else(ended)?;
    app.store.signed_in(token, app.sessions.clock().now()).await?.ok_or_else(ended)
}

fn same_origin(input: &Input) -> Result<(), ApiError> {
    if cookie::is_same_origin(input.method(), input.headers()) {
        return Ok(());
    }
    Err(Problem::forbidden("only this server's own pages may ask for this").into())
}
