//! The clock that sessions go by.

use super::{Tester, json};
use crate::{App, error::ApiError};
use axum::{extract::State, response::Response};
use http::StatusCode;
use quarterdeck_api::{Problem, Timestamp};
use quarterdeck_engine::{Clock, Target};
use quarterdeck_scenario::duration;
use serde::Deserialize;
use serde_json::{Value, json as object};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    advance: Option<String>,
    advance_to: Option<Timestamp>,
    #[serde(default)]
    advance_to_next: bool,
    waits: Option<Waits>,
    /// Although there are other worlds, whose time it is too.
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Waits {
    Skip,
    Real,
}

fn shown(tester: &Tester) -> Value {
    let clock = &tester.bed.clock;
    let waits = if clock.skips_waits() { "skip" } else { "real" };
    object!({"now": clock.now(), "frozen": clock.is_frozen(), "waits": waits})
}

pub(super) async fn show(tester: Tester) -> Response {
    json(StatusCode::OK, &shown(&tester))
}

/// Moves the clock on, from due time to due time.
pub(super) async fn set(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let change: Change = tester.body()?;
    let others = tester.bed.others(tester.caller.organization);
    if others > 0 && !change.all {
        let told = format!("{others} other worlds live by this clock too; say {{\"all\": true}} to move them as well");
        return Err(Problem::conflict(told).into());
    }
    let clock = &tester.bed.clock;
    if let Some(waits) = &change.waits {
        clock.skip_waits(matches!(waits, Waits::Skip));
    }
    let Some(target) = target(&change, clock.now())? else { return Ok(json(StatusCode::OK, &shown(&tester))) };
    let journey = app.sessions.travel(clock, target).await?;
    Ok(json(StatusCode::OK, &journey))
}

fn target(change: &Change, now: Timestamp) -> Result<Option<Target>, ApiError> {
    let Change { advance, advance_to, advance_to_next, .. } = change;
    match (advance, advance_to, advance_to_next) {
        (None, None, false) => Ok(None),
        (None, None, true) => Ok(Some(Target::Next)),
        (Some(time), None, false) => {
            let time = duration(time).map_err(Problem::bad_request)?;
            let time = chrono::TimeDelta::from_std(time).ok().filter(|time| now.checked_add_signed(*time).is_some());
            Ok(time.map(Target::By))
        }
        (None, Some(moment), false) if *moment >= now => Ok(Some(Target::Moment(*moment))),
        (None, Some(_), false) => Err(Problem::conflict("time does not go back").into()),
        _ => Err(Problem::bad_request("say one of `advance`, `advance_to` and `advance_to_next`").into()),
    }
}
