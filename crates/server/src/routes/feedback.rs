//! What people say of a session and of its events.

use crate::{App, authentication::AuthenticatedBody, error::ApiError};
use axum::extract::State;
use http::StatusCode;
use quarterdeck_api::{Decoder, ErrorBody, Feedback, SessionId};

/// Says whether a session went well. The last word counts.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/feedback", tag = "sessions", operation_id = "submit_session_feedback",
    params(("id" = SessionId, Path, description = "The session.")),
    request_body = Feedback,
    responses(
        (status = 204, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn session(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<StatusCode, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let feedback = input.body::<Feedback>(&decoder)?;
    let (id, feedback) = decoder.finish((id, feedback))?;
    app.sessions.rate(caller, id, feedback).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether one event of a session was good. The last word counts.
#[utoipa::path(put, path = "/api/v2/sessions/{id}/events/{event_index}/feedback", tag = "sessions",
    operation_id = "submit_event_feedback",
    params(
        ("id" = SessionId, Path, description = "The session."),
        ("event_index" = i64, Path, description = "The event's place in the log, from 0.")),
    request_body = Feedback,
    responses(
        (status = 204, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session, or no such event in it.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn event(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<StatusCode, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let index = decoder.event_index(input.variable("event_index"));
    let feedback = input.body::<Feedback>(&decoder)?;
    let (id, index, feedback) = decoder.finish((id, index, feedback))?;
    app.sessions.rate_event(caller, id, index, feedback).await?;
    Ok(StatusCode::NO_CONTENT)
}
