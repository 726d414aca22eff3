//! Worlds, resets and faults.

use super::{Tester, json};
use crate::{
    App,
    error::ApiError,
    keys::{key_hash, new_key},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use quarterdeck_api::{OrganizationId, Problem};
use quarterdeck_engine::Clock;
use quarterdeck_scenario::check_rule;
use quarterdeck_store::NewKey;
use serde::Deserialize;
use serde_json::{Value, json as object};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWorld {
    /// A file of scenarios, as text or as what it says.
    scenarios: Option<Value>,
    seed: Option<u64>,
}

/// A fresh organization with a key of its own: nothing in it is shared.
pub(super) async fn create(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let NewWorld { scenarios, seed } = tester.body()?;
    let scenarios = match scenarios {
        None => Vec::new(),
        Some(given) => {
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            match super::scenarios::read(&tester.bed, &text) {
                Ok(scenarios) => scenarios,
                Err(refusal) => return Ok(*refusal),
            }
        }
    };
    let clock = &tester.bed.clock;
    let ids = [clock.id(), clock.id(), clock.id()];
    let key = new_key(clock.random());
    let hash = key_hash(key.as_bytes());
    app.store
        .create_key(NewKey {
            ids,
            organization: format!("test world {}", ids[1]),
            user: "tester".into(),
            hash,
            prefix: key.chars().take(9).collect(),
            created_at: clock.now(),
        })
        .await?;
    let caller = app.keys.caller(hash).await?.ok_or_else(Problem::internal)?;
    if let Some(seed) = seed {
        clock.seed(caller.organization, seed);
    }
    tester.bed.world(caller.organization, |world| {
        world.creator = Some(tester.caller.organization);
        world.key = Some((ids[0], hash));
        world.load(scenarios, false);
    });
    Ok(json(StatusCode::CREATED, &object!({"id": caller.organization.0, "api_key": key})))
}

/// Ends a world, by its own key or that of who made it.
pub(super) async fn remove(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let unknown = || Problem::not_found("there is no such world");
    let id = OrganizationId(tester.input.variable("id").parse().map_err(|_| unknown())?);
    let caller = tester.caller.organization;
    let world =
        tester.bed.remove(id, |world| world.creator.is_some() && (id == caller || world.creator == Some(caller)));
    let world = world.ok_or_else(unknown)?;
    let owner = quarterdeck_store::Caller { organization: id, ..tester.caller };
    app.sessions.forget_all(owner, &tester.bed.clock).await?;
    if let Some((key, hash)) = world.key {
        app.store.revoke_key(key, tester.bed.clock.now()).await?;
        app.keys.forget(hash);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    #[serde(default)]
    scenarios: bool,
}

/// Removes this world's sessions, journal, faults and counts; its scenarios only when asked to.
pub(super) async fn reset(State(app): State<App>, tester: Tester) -> Result<Response, ApiError> {
    let Reset { scenarios } = tester.body()?;
    let removed = app.sessions.forget_all(tester.caller, &tester.bed.clock).await?;
    tester.bed.world(tester.caller.organization, |world| {
        world.reset();
        if scenarios {
            world.scenarios.clear();
        }
    });
    Ok(json(StatusCode::OK, &object!({"sessions": removed})))
}

pub(super) async fn faults(tester: Tester) -> Response {
    tester.bed.world(tester.caller.organization, |world| json(StatusCode::OK, &object!({"faults": world.rules})))
}

/// A fault holds from its answer on.
pub(super) async fn add_fault(tester: Tester) -> Result<Response, ApiError> {
    let rule = match check_rule(tester.text()?, tester.bed.known()) {
        Ok(rule) => rule,
        Err(faults) => return Ok(super::scenarios::refusal(&faults)),
    };
    let id = tester.bed.world(tester.caller.organization, |world| world.add_rule(rule));
    let id = id.ok_or_else(|| Problem::conflict("this world has 1000 faults already; remove some"))?;
    Ok(json(StatusCode::CREATED, &object!({"id": id})))
}

pub(super) async fn clear_faults(tester: Tester) -> StatusCode {
    tester.bed.world(tester.caller.organization, |world| world.rules.clear());
    StatusCode::NO_CONTENT
}

pub(super) async fn remove_fault(tester: Tester) -> Result<StatusCode, ApiError> {
    let id = tester.input.variable("id").parse::<u64>().ok();
    let is_removed = tester.bed.world(tester.caller.organization, |world| {
        let before = world.rules.len();
        world.rules.retain(|rule| Some(rule.id) != id);
        world.rules.len() < before
    });
    if is_removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("there is no such fault").into()) }
}
