//! Scenarios of a world.

use super::{Tester, json};
use crate::{error::ApiError, test_api::TestBed};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use quarterdeck_api::Problem;
use quarterdeck_scenario::{Diagnostic, Played, Recording, Scenario, Timing};
use serde_json::json as object;

/// What people call the body of a request.
const BODY: &str = "the body";

/// The scenarios of a text, or the answer that says what is wrong with it.
pub(super) fn read(bed: &TestBed, text: &str) -> Result<Vec<Scenario>, Box<Response>> {
    checked(bed, text).map_err(|faults| Box::new(refusal(&faults)))
}

/// The scenarios of a text, or of a recording the one that plays it, or all that is wrong.
pub(in crate::test_api) fn checked(bed: &TestBed, text: &str) -> Result<Vec<Scenario>, Vec<Diagnostic>> {
    if Recording::is_one(text) {
        return match Recording::read(text) {
            Ok(recording) => {
                let name = super::recordings::name_of(&recording);
                let played = Played { recording, timing: Timing::None, strict: false };
                Ok(vec![Scenario::of_recording(name.clone(), name, played)])
            }
            Err(fault) => Err(vec![Diagnostic::of_file(BODY, fault.to_string())]),
        };
    }
    let checked = quarterdeck_scenario::check(BODY, text, bed.known());
    let mut faults = checked.faults;
    for scenario in &checked.scenarios {
        let images =
            scenario.script.cues().into_iter().flat_map(|cue| &cue.observations).filter_map(|seen| seen.image.as_ref());
        if let Some(image) = images.into_iter().find(|image| !image.starts_with("data:image/")) {
            faults.push(Diagnostic {
                file: BODY.into(),
                line: scenario.line,
                column: 1,
                message: format!("the picture {image:?} is no data URI; only a server that reads the file finds files"),
                suggestion: None,
                snippet: String::new(),
            });
        }
    }
    if faults.is_empty() { Ok(checked.scenarios) } else { Err(faults) }
}

pub(super) fn refusal(faults: &[Diagnostic]) -> Response {
    let count = faults.len();
    let message = format!("{count} fault{}, nothing loaded", if count == 1 { "" } else { "s" });
    json(StatusCode::UNPROCESSABLE_ENTITY, &object!({"message": message, "faults": faults}))
}

pub(super) async fn list(tester: Tester) -> Response {
    tester.bed.world(tester.caller.organization, |world| {
        let all: Vec<_> = world.scenarios.iter().map(|loaded| &*loaded.scenario).collect();
        json(StatusCode::OK, &object!({"scenarios": all}))
    })
}

pub(super) async fn load(tester: Tester) -> Result<Response, ApiError> {
    let scenarios = match read(&tester.bed, tester.text()?) {
        Ok(scenarios) => scenarios,
        Err(refusal) => return Ok(*refusal),
    };
    let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let first = tester.parameter("first").is_some_and(|first| first == "true");
    tester.bed.world(tester.caller.organization, |world| world.load(scenarios, first));
    Ok(json(StatusCode::CREATED, &object!({"loaded": names})))
}

pub(super) async fn clear(tester: Tester) -> StatusCode {
    tester.bed.world(tester.caller.organization, |world| world.scenarios.clear());
    StatusCode::NO_CONTENT
}

pub(super) async fn check(tester: Tester) -> Result<Response, ApiError> {
    let checked = quarterdeck_scenario::check(BODY, tester.text()?, tester.bed.known());
    if checked.faults.is_empty() {
        let names: Vec<_> = checked.scenarios.iter().map(|scenario| &scenario.name).collect();
        return Ok(json(StatusCode::OK, &object!({"scenarios": names, "warnings": checked.warnings})));
    }
    Ok(refusal(&checked.faults))
}

fn unknown(name: &str) -> ApiError {
    Problem::not_found(format!("there is no scenario {name:?}")).into()
}

pub(super) async fn get(tester: Tester) -> Result<Response, ApiError> {
    let name = tester.input.variable("name");
    let found = tester.bed.world(tester.caller.organization, |world| {
        let found = world.scenarios.iter().find(|loaded| loaded.scenario.name == name);
        found.map(|loaded| json(StatusCode::OK, &*loaded.scenario))
    });
    found.ok_or_else(|| unknown(name))
}

/// One scenario in the place of the one of this name.
pub(super) async fn put(tester: Tester) -> Result<Response, ApiError> {
    let name = tester.input.variable("name");
    let scenarios = match read(&tester.bed, tester.text()?) {
        Ok(scenarios) => scenarios,
        Err(refusal) => return Ok(*refusal),
    };
    if !matches!(scenarios.as_slice(), [one] if one.name == name) {
        return Err(Problem::bad_request(format!("the body holds one scenario, of the name {name:?}")).into());
    }
    tester.bed.world(tester.caller.organization, |world| world.load(scenarios, false));
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn remove(tester: Tester) -> Result<StatusCode, ApiError> {
    let name = tester.input.variable("name");
    let is_removed = tester.bed.world(tester.caller.organization, |world| {
        let before = world.scenarios.len();
        world.scenarios.retain(|loaded| loaded.scenario.name != name);
        world.scenarios.len() < before
    });
    if is_removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(name)) }
}
