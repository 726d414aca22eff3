//! Commands on a running session. A 202 means stored.

use super::sessions::session_id;
use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody},
    error::ApiError,
};
use axum::extract::State;
use http::StatusCode;
use quarterdeck_api::{Decoder, ErrorBody, MessagesBody, SessionId, ToolResultsBody};
use quarterdeck_core::Command;

/// Says something to the agent. An idle session begins its next turn, a paused one goes on, an ended one
/// starts again, unless it was cancelled.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/messages", tag = "sessions", operation_id = "send_session_messages",
    params(("id" = SessionId, Path, description = "The session.")),
    request_body = MessagesBody,
    responses(
        (status = 202, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 409, description = "The session was cancelled.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody),
        (status = 429, description = "Too many messages wait, or the session has ended and no slot is free for it.",
            body = ErrorBody)))]
pub(crate) async fn messages(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<StatusCode, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let messages = input.body::<MessagesBody>(&decoder)?;
    let (id, messages) = decoder.finish((id, messages))?;
    app.sessions.submit(caller, id, Command::Message(messages.into_vec())).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Results of custom tool calls that the session waits for.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/tool_results", tag = "sessions", operation_id = "send_session_tool_results",
    params(("id" = SessionId, Path, description = "The session.")),
    request_body = ToolResultsBody,
    responses(
        (status = 202, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 409, description = "No pending call matches.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn tool_results(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<StatusCode, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let results = input.body::<ToolResultsBody>(&decoder)?;
    let (id, results) = decoder.finish((id, results))?;
    app.sessions.submit(caller, id, Command::ToolResults(results.into_vec())).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Stops a session between steps.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/pause", tag = "sessions", operation_id = "pause_session",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 202, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 409, description = "The session is queued or has ended.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn pause(State(app): State<App>, request: Authenticated) -> Result<StatusCode, ApiError> {
    submit(&app, request, Command::Pause).await
}

/// Goes on after a pause.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/resume", tag = "sessions", operation_id = "resume_session",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 202, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 409, description = "The session has ended.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn resume(State(app): State<App>, request: Authenticated) -> Result<StatusCode, ApiError> {
    submit(&app, request, Command::Resume).await
}

/// Makes the agent answer at its next step with what it has.
#[utoipa::path(post, path = "/api/v2/sessions/{id}/force_answer", tag = "sessions", operation_id = "force_session_answer",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 202, description = "Stored."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 409, description = "The session is queued or has ended.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn force_answer(State(app): State<App>, request: Authenticated) -> Result<StatusCode, ApiError> {
    submit(&app, request, Command::ForceAnswer).await
}

/// Commands without a body.
async fn submit(app: &App, request: Authenticated, command: Command) -> Result<StatusCode, ApiError> {
    let Authenticated(caller, input) = request;
    let id = session_id(&input)?;
    app.sessions.submit(caller, id, command).await?;
    Ok(StatusCode::ACCEPTED)
}
