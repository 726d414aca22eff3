//! The catalog of agents: the built-in ones, for now read-only.

use crate::{App, error::ApiError, input::Input};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use quarterdeck_api::{Agent, AgentGetQuery, AgentListQuery, AgentSort, ErrorBody, Errors, Page, Problem};
use quarterdeck_engine::built_in_agents;

/// Lists agents.
#[utoipa::path(get, path = "/api/v2/agents", tag = "agents",
    params(
        ("agent_name" = Option<String>, Query, description = "Of exactly this name."),
        ("search" = Option<String>, Query, description = "With this text in the name or description."),
        ("reserved" = Option<bool>, Query, description = "Only built-in agents, or none of them."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 10 when absent."),
        ("sort" = Option<Vec<String>>, Query, description = "`created_at` or `agent_name`, each also with `-`.")),
    responses(
        (status = 200, description = "A page of agents.", body = Page<Agent>),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn list(State(app): State<App>, input: Input) -> Result<Json<Page<Agent>>, ApiError> {
    app.caller_if_any(&input).await?;
    let errors = Errors::default();
    let query = errors.query::<AgentListQuery>(input.query());
    let query = errors.finish(query)?;
    let mut agents: Vec<Agent> = built_in_agents().into_iter().filter(|agent| matches(agent, &query)).collect();
    if query.sort.first().is_some_and(|sort| sort.field == AgentSort::AgentName && sort.descending) {
        agents.reverse();
    }
    let total = agents.len() as u64;
    let (skip, take) = (query.paging.offset(), query.paging.size);
    let items = agents.into_iter().skip(size(skip)).take(size(take)).collect();
    Ok(Json(Page { items, total, page: query.paging.page }))
}

fn matches(agent: &Agent, query: &AgentListQuery) -> bool {
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let text = format!("{}\n{}", agent.name, agent.description).to_lowercase();
    query.agent_name.as_ref().is_none_or(|name| *name == agent.name)
        && query.reserved != Some(false)
        && text.contains(&search)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// An agent. Its name may hold a slash.
#[utoipa::path(get, path = "/api/v2/agents/{*agent_name}", tag = "agents",
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("revision" = Option<i64>, Query, minimum = 1, description = "This revision, not the latest."),
        ("resolve" = Option<bool>, Query, description = "With everything it names given in full.")),
    responses(
        (status = 200, description = "The agent.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 400, description = "The name holds a `:`.", body = ErrorBody),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such agent.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn get(State(app): State<App>, input: Input) -> Result<Response, ApiError> {
    let caller = app.caller_if_any(&input).await?;
    let errors = Errors::default();
    let query = errors.query::<AgentGetQuery>(input.query());
    let query = errors.finish(query)?;
    let name = input.variable("agent_name");
    if name.contains(':') {
        return Err(Problem::bad_request("use ?revision= to read a revision of an agent").into());
    }
    if query.resolve && caller.is_none() {
        return Err(Problem::unauthorized().into());
    }
    let found = built_in_agents().into_iter().find(|agent| agent.name == name);
    let agent = found.filter(|_| query.revision.is_none_or(|revision| revision == 1));
    match agent {
        None => Err(Problem::not_found(format!("there is no agent named {name:?}")).into()),
        Some(agent) if query.resolve => Ok(Json(agent).into_response()),
        Some(agent) => Ok(([(header::ETAG, "\"1\"")], Json(agent)).into_response()),
    }
}
