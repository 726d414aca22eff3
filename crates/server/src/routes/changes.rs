//! The long poll.

use crate::{App, authentication::MaybeAuthenticated, error::ApiError};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use quarterdeck_api::{ChangesQuery, Decoder, ErrorBody, Problem, SessionChanges, SessionId};
use quarterdeck_engine::Changes;
use std::time::Duration;

/// What is new in a session since an index of its log; waits for it when nothing is.
#[utoipa::path(get, path = "/api/v2/sessions/{id}/changes", tag = "sessions", operation_id = "get_session_changes", security((), ("key" = [])),
    params(
        ("id" = SessionId, Path, description = "The session."),
        ("from_index" = Option<i64>, Query, description = "The first event wanted; negative counts as 0."),
        ("limit" = Option<u64>, Query, minimum = 0, description = "At most so many events."),
        ("include_events" = Option<bool>, Query, description = "Whether events are wanted at all."),
        ("wait_for_seconds" = Option<u64>, Query, minimum = 0, maximum = 60,
            description = "How long to wait for something new; answered after 55 s at the latest.")),
    responses(
        (status = 200, description = "Something is new.", body = SessionChanges),
        (status = 204, description = "Nothing is.", headers(("ETag" = String, description = "The index asked for."))),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such session.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn changes(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Response, ApiError> {
    let decoder = Decoder::default();
    let id = decoder.session_id(input.variable("id"));
    let query = input.parameters::<ChangesQuery>(&decoder);
    let (id, query) = decoder.finish((id, query))?;
    let revoked = app.revoked(&input);
    // A waiter is kept small: what it was read from goes before it sleeps.
    let base = app.base(&input);
    drop(input);
    let wait = Duration::from_secs(query.wait_for_seconds).min(app.settings.wait_max);
    let asked = quarterdeck_engine::ChangesQuery {
        from: query.from_index,
        limit: query.limit,
        include_events: query.include_events,
        wait,
    };
    let changes = tokio::select! {
        biased;
        () = revoked, if !wait.is_zero() => return Err(Problem::unauthorized().into()),
        changes = app.sessions.changes(caller, id, asked) => changes?,
    };
    match changes {
        Some(mut changes) => {
            changes.events = base.in_events(changes.events, id);
            Ok(Json(view(changes, query.from_index)).into_response())
        }
        None => Ok((StatusCode::NO_CONTENT, [(header::ETAG, query.from_index.to_string())]).into_response()),
    }
}

fn view(changes: Changes, from_index: u64) -> SessionChanges {
    let session = changes.session;
    SessionChanges {
        status: session.state.status(),
        started_at: session.started_at,
        finished_at: session.finished_at,
        error: session.error(),
        error_code: session.error_code(),
        new_events: changes.events,
        first_index: i64::try_from(from_index).unwrap_or(i64::MAX),
        answer: session.answer.clone(),
        outcome: session.outcome,
        metrics: session.metrics(),
        pending_tool_calls: session.state.pending_tool_calls().to_vec(),
    }
}
