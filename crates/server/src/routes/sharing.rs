//! Links that show a session to whoever has them (`docs/decisions/0013-share-links.md`).

use super::sessions::{session_id, session_view, to_json};
use crate::{App, authentication::Authenticated, error::ApiError, input::Input, public_url::Base};
use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use quarterdeck_api::{ErrorBody, Problem, SessionId, ShareLink, SharedTrajectory};
use quarterdeck_engine::SharedSession;
use quarterdeck_store::Error;

/// Where links lead; [`show`] is served there.
const LINKS: &str = "/share/api/v1/trajectories";

/// What keeps a link's secret out of caches, search engines and other sites' logs.
const DISCREET: [(HeaderName, HeaderValue); 4] = [
    // Browsers are sent to the page that shows it.
    (header::VARY, HeaderValue::from_static("accept")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Makes a session readable to everybody who has its link, until it is unshared. Sharing it again changes nothing.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/share", tag = "sessions", operation_id = "share_session",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 200, description = "Shared.", body = ShareLink),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn share(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<Json<ShareLink>, ApiError> {
    let id = session_id(&input)?;
    let token = app.sessions.share(caller, id).await?;
    Ok(Json(ShareLink { share_url: format!("{LINKS}/{token}") }))
}

/// Ends that. The link is dead for good: sharing the session again makes another one.
#[utoipa::path(delete, path = "/api/v2/sessions/{id}/share", tag = "sessions", operation_id = "unshare_session",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 204, description = "Not shared any more."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn unshare(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<StatusCode, ApiError> {
    let id = session_id(&input)?;
    app.sessions.unshare(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A shared session, with its events, for whoever has the link.
#[utoipa::path(get, path = "/share/api/v1/trajectories/{token}", tag = "sessions", security(()),
    operation_id = "get_shared_session",
    params(("token" = String, Path, description = "The secret part of the link.")),
    responses(
        (status = 200, description = "The session's fields, and `events`: its whole log.", body = SharedTrajectory),
        (status = 303, description = "To who would rather have HTML: the page that shows it is at `Location`."),
        (status = 404, description = "The link leads nowhere, or does not any more.", body = ErrorBody)))]
pub(crate) async fn show(State(app): State<App>, input: Input) -> Response {
    #[cfg(feature = "agent-view")]
    if crate::agent_view::wants_a_page(input.headers()) {
        // As it was sent: decoded, it might not fit into a header.
        let token = input.path().rsplit('/').next().unwrap_or_default();
        let page = format!("{}/share/{token}", app.settings.public_url.path());
        return (HeaderMap::from_iter(DISCREET), axum::response::Redirect::to(&page)).into_response();
    }
    let answer = match app.sessions.shared(input.variable("token")).await {
        Ok(Some(shared)) => trajectory(shared, app.base(&input)),
        Ok(None) => ApiError::from(Problem::not_found("this link leads nowhere")).into_response(),
        Err(error) => ApiError::from(error).into_response(),
    };
    (HeaderMap::from_iter(DISCREET), answer).into_response()
}

/// Written while it is read: a log may be longer than memory should hold for an anonymous reader.
fn trajectory(shared: SharedSession, base: Base) -> Response {
    let body = Body::from_stream(pieces(shared, base));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn pieces(shared: SharedSession, base: Base) -> impl Stream<Item = Result<Bytes, Error>> {
    let id = shared.record.session.id;
    let mut head = base.in_text(to_json(&session_view(&shared.record, base.as_str())), id);
    head.pop(); // the brace that closes the session
    head.push_str(",\"events\":[");
    let log = stream::try_unfold(Some(0), move |from| {
        let (shared, base) = (shared.clone(), base.clone());
        async move {
            let Some(from) = from else { return Ok(None) };
            let events = base.in_events(shared.events(from).await?, id);
            if events.is_empty() {
                return Ok(Some((Bytes::from_static(b"]}"), None)));
            }
            let text: Vec<&str> = events.iter().map(|event| event.get()).collect();
            let comma = if from == 0 { "" } else { "," };
            let piece = Bytes::from(format!("{comma}{}", text.join(",")));
            Ok(Some((piece, Some(from + events.len() as u64))))
        }
    });
    stream::StreamExt::chain(stream::once(async move { Ok(Bytes::from(head)) }), log)
}
