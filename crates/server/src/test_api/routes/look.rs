//! What happened in a world, and whether it is what was expected.

use super::{Tester, json};
use crate::{
    App,
    error::ApiError,
    test_api::{TestBed, journal::Filter},
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use quarterdeck_api::{AgentEvent, OrganizationId, SessionId};
use quarterdeck_scenario::{Player, Scenario};
use quarterdeck_store::Error;
use serde_json::json as object;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The longest that somebody waits for requests, in seconds.
const WAIT_MAX: u64 = 55;

fn filter(tester: &Tester) -> Result<Filter, ApiError> {
    let session = tester.parameter("session").map(|session| session.to_ascii_lowercase());
    Ok(Filter { session, operation: tester.parameter("operation"), since: tester.number("since", 0)? })
}

pub(super) async fn journal(tester: Tester) -> Result<Response, ApiError> {
    let filter = filter(&tester)?;
    Ok(tester.bed.world(tester.caller.organization, |world| {
        let body = object!({"requests": world.journal.entries(&filter), "dropped": world.journal.dropped});
        json(StatusCode::OK, &body)
    }))
}

pub(super) async fn unmatched(tester: Tester) -> Response {
    tester.bed.world(tester.caller.organization, |world| {
        let journal = &world.journal;
        json(StatusCode::OK, &object!({"sessions": journal.unmatched, "dropped": journal.unmatched_dropped}))
    })
}

/// Waits until so many requests came.
pub(super) async fn wait(tester: Tester) -> Result<Response, ApiError> {
    let filter = filter(&tester)?;
    let (wanted, seconds) = (tester.number("count", 1)?, tester.number("for", 5)?.min(WAIT_MAX));
    let end = Instant::now() + Duration::from_secs(seconds);
    let world = tester.caller.organization;
    loop {
        let grown = tester.bed.world(world, |world| Arc::clone(&world.journal.grown));
        let mut next = std::pin::pin!(grown.notified());
        next.as_mut().enable();
        let count = tester.bed.world(world, |world| world.journal.count(&filter));
        if count >= wanted || timeout_at(end, next).await.is_err() {
            return Ok(json(StatusCode::OK, &object!({"count": count, "reached": count >= wanted})));
        }
    }
}

/// What the sessions of a scenario did.
#[derive(Default)]
struct Played {
    sessions: u64,
    cues: usize,
    /// Cues that each session has left, for those that have some.
    left: Vec<(SessionId, usize)>,
    calls: BTreeMap<String, u64>,
}

const EVENTS_AT_ONCE: u64 = 500;

async fn transcript(app: &App, id: SessionId) -> Result<Vec<AgentEvent>, Error> {
    let mut transcript = Vec::new();
    let mut from = 0;
    loop {
        let events = app.store.events(id, from, EVENTS_AT_ONCE).await?;
        if events.is_empty() {
            return Ok(transcript);
        }
        from += events.len() as u64;
        transcript.extend(events.iter().filter_map(quarterdeck_core::LoggedEvent::agent_event));
    }
}

async fn played(app: &App, scenario: &Scenario, sessions: &[SessionId]) -> Result<Played, Error> {
    let mut found = Played { sessions: sessions.len() as u64, ..Played::default() };
    for id in sessions {
        let events = transcript(app, *id).await?;
        let mut player = Player::new(&scenario.script);
        player.follow(&events);
        found.cues += player.played;
        let left = player.left();
        if left > 0 {
            found.left.push((*id, left));
        }
        for event in &events {
            let AgentEvent::PolicyEvent { tool_reqs, validation_errors, .. } = event else { continue };
            for call in tool_reqs.iter().filter(|_| validation_errors.is_empty()) {
                *found.calls.entry(call.tool_name.clone()).or_default() += 1;
            }
        }
    }
    Ok(found)
}

fn loaded(bed: &TestBed, organization: OrganizationId) -> Vec<(Arc<Scenario>, Vec<SessionId>)> {
    bed.world(organization, |world| {
        let loaded = world.scenarios.iter();
        loaded.map(|loaded| (Arc::clone(&loaded.scenario), loaded.sessions.clone())).collect()
    })
}

pub(super) async fn counts(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let mut scenarios = Vec::new();
    for (scenario, sessions) in loaded(&tester.bed, tester.caller.organization) {
        let Played { sessions, cues, left, calls } = played(&app, &scenario, &sessions).await?;
        let left: usize = left.iter().map(|(_, left)| left).sum();
        let name = &scenario.name;
        scenarios.push(
            object!({"name": name, "sessions": sessions, "cues_played": cues, "cues_left": left, "calls": calls}),
        );
    }
    let operations = tester.bed.world(tester.caller.organization, |world| world.journal.counts.clone());
    Ok(json(StatusCode::OK, &object!({"scenarios": scenarios, "operations": operations})))
}

/// Checks what every scenario expects: 200, or 409 with a sentence for each that does not hold.
pub(super) async fn verify(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let failures = failures(&app, tester.caller.organization).await?;
    let status = if failures.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(json(status, &object!({"failures": failures})))
}

/// What the scenarios of a world expect and did not get, a sentence each; nothing outside of test mode.
///
/// # Errors
/// When the store fails.
pub async fn failures(app: &App, organization: OrganizationId) -> Result<Vec<String>, Error> {
    let Some(bed) = &app.test else { return Ok(Vec::new()) };
    let mut failures = Vec::new();
    for (scenario, sessions) in loaded(bed, organization) {
        let played = played(app, &scenario, &sessions).await?;
        failures.extend(broken(&scenario, &played));
    }
    Ok(failures)
}

fn broken(scenario: &Scenario, played: &Played) -> Vec<String> {
    let (name, place, expect) = (&scenario.name, scenario.place(), &scenario.expect);
    let mut failures = Vec::new();
    if let Some(wanted) = expect.sessions.filter(|wanted| *wanted != played.sessions) {
        failures
            .push(format!("`{name}` ({place}) was to be played by {wanted} sessions, and was by {}", played.sessions));
    }
    for (tool, wanted) in &expect.calls {
        let made = played.calls.get(tool).copied().unwrap_or_default();
        if made != *wanted {
            failures.push(format!("`{name}` ({place}) was to call `{tool}` {wanted} times, and did so {made} times"));
        }
    }
    if expect.all_cues {
        let left = played.left.iter();
        failures.extend(left.map(|(id, left)| format!("`{name}` ({place}): session {id} has {left} cues left")));
    }
    failures
}
