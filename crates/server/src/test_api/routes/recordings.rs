//! Sessions of a world as files, and files as what sessions play.

use super::{Tester, json};
use crate::{App, error::ApiError, recordings};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use quarterdeck_api::{Problem, SessionId};
use quarterdeck_scenario::{Played, Recording, Scenario, Timing};
use regex::Regex;
use serde_json::json as object;

/// Characters of the first message in the name of a recording.
const NAME_MAX: usize = 40;

/// A session as a file.
pub(super) async fn export(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let text = tester.input.variable("session");
    let unknown = || Problem::not_found(format!("there is no session {text:?} in this world"));
    let id: SessionId = text.parse().map_err(|_| unknown())?;
    // Whether it is this world's.
    app.sessions.record(Some(tester.caller), id).await?;
    let patterns: Result<Vec<Regex>, ApiError> = tester.parameters("mask").iter().map(|mask| pattern(mask)).collect();
    let exported = recordings::export(&*app.store, app.sessions.blobs(), id, patterns?).await;
    let recording = exported.map_err(|error| match error {
        recordings::ExportError::Store(error) => ApiError::from(error),
        unreadable @ recordings::ExportError::Unreadable(_) => Problem::conflict(unreadable.to_string()).into(),
    })?;
    let recording = recording.ok_or_else(unknown)?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], recording.text()).into_response())
}

fn pattern(text: &str) -> Result<Regex, ApiError> {
    Regex::new(text)
        .map_err(|_| Problem::bad_request(format!("`mask` is a regular expression, and {text:?} is none")).into())
}

/// Puts a recording among the scenarios: sessions with its agent and its first message play it.
pub(super) async fn load(tester: Tester) -> Result<Response, ApiError> {
    let (recording, timing) = (read(&tester)?, timing(&tester)?);
    let name = tester.parameter("name").unwrap_or_else(|| name_of(&recording));
    let played = Played { recording, timing, strict: false };
    let scenario = Scenario::of_recording(name.clone(), name.clone(), played);
    let first = tester.parameter("first").is_some_and(|first| first == "true");
    tester.bed.world(tester.caller.organization, |world| world.load(vec![scenario], first));
    Ok(json(StatusCode::CREATED, &object!({"loaded": [name]})))
}

/// Plays a recording by itself, with all that was done to it, and says whether the same came out.
pub(super) async fn verify(tester: Tester) -> Result<Response, ApiError> {
    let recording = read(&tester)?;
    // A server of its own, which works beside this one.
    let play = move || tokio::runtime::Handle::current().block_on(recordings::verify(&recording));
    let verdict = tokio::task::spawn_blocking(play).await.map_err(|_| Problem::internal())?;
    let verdict = verdict.map_err(|error| Problem::conflict(error.to_string()))?;
    let events = verdict.played.events.len();
    Ok(match verdict.difference {
        None => json(StatusCode::OK, &object!({"same": true, "events": events})),
        Some(difference) => json(
            StatusCode::CONFLICT,
            &object!({"same": false, "events": events, "message": difference, "failures": [difference]}),
        ),
    })
}

fn read(tester: &Tester) -> Result<Recording, ApiError> {
    Recording::read(tester.text()?).map_err(|fault| Problem::invalid_body(fault.to_string()).into())
}

fn timing(tester: &Tester) -> Result<Timing, ApiError> {
    let Some(text) = tester.parameter("timing") else { return Ok(Timing::None) };
    Timing::read(&text).map_err(|fault| Problem::bad_request(fault).into())
}

/// What people call a recording that has no name.
pub(in crate::test_api) fn name_of(recording: &Recording) -> String {
    let message = recording.first_message().unwrap_or(&recording.id);
    let begin: String = message.lines().next().unwrap_or_default().chars().take(NAME_MAX).collect();
    format!("recording: {begin}")
}
