//! The catalog of agents.

use super::catalogs::{self, if_match, page, part, signed, written};
use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody, MaybeAuthenticated},
    error::{ApiError, entity_tag},
    reader::{Reader, agent_holds},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use quarterdeck_api::{
    Agent, AgentGetQuery, AgentListQuery, AgentOrder, AgentRevisionRecord, AgentSort, Decoder, ErrorBody, Page,
    PatchAgent, Problem, RevisionListQuery, RevisionOrder,
};
use quarterdeck_engine::Found;
use quarterdeck_store::{EntryFilter, EntryKey};
use serde::Serialize;
use utoipa::ToSchema;

/// Adds an agent.
#[utoipa::path(post, path = "/api/v2/agents", tag = "agents", operation_id = "create_agent",
    params(("message" = Option<String>, Query, max_length = 500, description = "Why; kept with the revision.")),
    request_body = Agent,
    responses(
        (status = 201, description = "Added.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "The name is reserved.", body = ErrorBody),
        (status = 409, description = "There is one of that name.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Response, ApiError> {
    let (agent, message) = written::<Agent, Agent>(&input)?;
    let found = app.catalog.create(caller, agent, message).await?;
    Ok((StatusCode::CREATED, tagged(found)).into_response())
}

/// Lists agents; without a key, those that are built in.
#[utoipa::path(get, path = "/api/v2/agents", tag = "agents", operation_id = "list_agents", security((), ("key" = [])),
    params(
        ("agent_name" = Option<String>, Query, description = "Of exactly this name."),
        ("search" = Option<String>, Query, description = "With this text in the name or description."),
        ("reserved" = Option<bool>, Query, description = "Only built-in agents, or none of them."),
        ("include" = Option<String>, Query, description = "`revision`: each entry says its revision."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 10 when absent."),
        ("sort" = inline(Option<Vec<AgentOrder>>), Query,
            description = "`created_at` or `agent_name`, each also with `-`; `-created_at` when absent.")),
    responses(
        (status = 200, description = "A page of agents.", body = Page<ListedAgent>,
            headers(("ETag" = String, description = "Names what the page says."))),
        (status = 304, description = "The page that `If-None-Match` names says the same."),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 413, description = "The specifications on the page are too large together; ask for fewer.",
            body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Response, ApiError> {
    let decoder = Decoder::default();
    let query = input.parameters::<AgentListQuery>(&decoder);
    let query = decoder.finish(query)?;
    let key = |field| match field {
        AgentSort::CreatedAt => EntryKey::CreatedAt,
        AgentSort::AgentName => EntryKey::Name,
    };
    let filter = EntryFilter { name: query.agent_name, search: query.search, ..part(query.paging, &query.sort, key) };
    let listing = app.catalog.list::<Agent>(caller, query.reserved, filter).await?;
    let view = |found: Found<Agent>| ListedAgent {
        revision: query.include_revision.then_some(found.revision),
        agent: found.item,
    };
    let (left_out, page) = Reader::of(input.headers())
        .page(page(listing, query.paging, view), |listed, is_such| agent_holds(&listed.agent, is_such));
    Ok((HeaderMap::from_iter(left_out), Json(page)).into_response())
}

/// An agent in a listing.
#[derive(Serialize, ToSchema)]
struct ListedAgent {
    #[serde(flatten)]
    agent: Agent,
    /// Only when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// An agent. Its name may hold a slash, as it is or escaped.
#[utoipa::path(get, path = "/api/v2/agents/{agent_name}", tag = "agents", operation_id = "get_agent", security((), ("key" = [])),
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("revision" = Option<i64>, Query, minimum = 1, description = "This revision, not the latest."),
        ("resolve" = Option<bool>, Query, description = "With everything it names given in full, and no `ETag`.")),
    responses(
        (status = 200, description = "The agent.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 400, description = "The name holds a `:`.", body = ErrorBody),
        (status = 401, description = "A key that does not work, or none where one is needed.", body = ErrorBody),
        (status = 404, description = "No such agent, or something it names.", body = ErrorBody),
        (status = 422, description = "A value is wrong, or the agent cannot be resolved.", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Response, ApiError> {
    let decoder = Decoder::default();
    let query = input.parameters::<AgentGetQuery>(&decoder);
    let query = decoder.finish(query)?;
    let name = input.variable("agent_name");
    if name.contains(':') {
        return Err(Problem::bad_request("use ?revision= to read a revision of an agent").into());
    }
    if query.resolve {
        let caller = caller.ok_or_else(Problem::unauthorized)?;
        return Ok(Json(app.catalog.resolved_agent(caller, name, query.revision).await?).into_response());
    }
    let found = match query.revision {
        Some(number) => app.catalog.agent_at(caller, name, number).await?,
        None => app.catalog.get(caller, name).await?,
    };
    Ok(tagged(found).into_response())
}

/// Replaces an agent. What changes it makes a new revision.
#[utoipa::path(put, path = "/api/v2/agents/{agent_name}", tag = "agents", operation_id = "update_agent",
    params(
        ("agent_name" = String, Path, description = "The agent's name, also in the body."),
        ("message" = Option<String>, Query, max_length = 500, description = "Why; kept with the revision."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the newest revision.")),
    request_body = Agent,
    responses(
        (status = 200, description = "The agent now.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 400, description = "Another name in the body, or `If-Match` is malformed.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such agent.", body = ErrorBody),
        (status = 412, description = "It has changed.", body = ErrorBody,
            headers(("ETag" = String, description = "The newest revision."))),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn put(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Response, ApiError> {
    Ok(tagged(catalogs::put::<Agent>(&app, caller, &input, "agent_name").await?).into_response())
}

/// Changes some fields of an agent. What changes it makes a new revision.
#[utoipa::path(patch, path = "/api/v2/agents/{agent_name}", tag = "agents", operation_id = "patch_agent",
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("message" = Option<String>, Query, max_length = 500, description = "Why; kept with the revision."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the newest revision.")),
    request_body = PatchAgent,
    responses(
        (status = 200, description = "The agent now.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 400, description = "`If-Match` is malformed.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such agent.", body = ErrorBody),
        (status = 412, description = "It has changed.", body = ErrorBody,
            headers(("ETag" = String, description = "The newest revision."))),
        (status = 422, description = "A value is wrong, or the whole would be.", body = ErrorBody)))]
pub(crate) async fn patch(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Response, ApiError> {
    Ok(tagged(catalogs::patch::<Agent>(&app, caller, &input, "agent_name").await?).into_response())
}

/// Removes an agent with all its revisions.
#[utoipa::path(delete, path = "/api/v2/agents/{agent_name}", tag = "agents", operation_id = "delete_agent",
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the newest revision.")),
    responses(
        (status = 204, description = "Removed."),
        (status = 400, description = "`If-Match` is malformed.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such agent.", body = ErrorBody),
        (status = 412, description = "It has changed.", body = ErrorBody,
            headers(("ETag" = String, description = "The newest revision.")))))]
pub(crate) async fn delete(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<StatusCode, ApiError> {
    catalogs::delete::<Agent>(&app, caller, &input, "agent_name").await
}

/// Lists an agent's revisions.
#[utoipa::path(get, path = "/api/v2/agents/{agent_name}/revisions", tag = "agents", operation_id = "list_agent_revisions", security((), ("key" = [])),
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 10 when absent."),
        ("sort" = inline(Option<Vec<RevisionOrder>>), Query, description = "`number` or `-number`, the default.")),
    responses(
        (status = 200, description = "A page of revisions.", body = Page<AgentRevisionRecord>),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such agent.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn revisions(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Page<AgentRevisionRecord>>, ApiError> {
    let decoder = Decoder::default();
    let query = input.parameters::<RevisionListQuery>(&decoder);
    let RevisionListQuery { paging, sort } = decoder.finish(query)?;
    let newest_first = sort.first().is_none_or(|sort| sort.descending);
    let (offset, limit) = (signed(paging.offset()), signed(paging.size));
    let listing = app.catalog.revisions(caller, input.variable("agent_name"), newest_first, offset, limit).await?;
    Ok(Json(page(listing, paging, |revision| revision)))
}

/// Makes an old revision the newest again, as a new one.
#[utoipa::path(post, path = "/api/v2/agents/{agent_name}/revisions/{number}/restore", tag = "agents",
    operation_id = "restore_agent_revision",
    params(
        ("agent_name" = String, Path, description = "The agent's name."),
        ("number" = i64, Path, minimum = 1, description = "The revision."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the newest revision.")),
    responses(
        (status = 200, description = "The agent now.", body = Agent, headers(("ETag" = String, description = "Its revision."))),
        (status = 400, description = "`If-Match` is malformed.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such agent or revision.", body = ErrorBody),
        (status = 412, description = "It has changed.", body = ErrorBody,
            headers(("ETag" = String, description = "The newest revision."))),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn restore(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<Response, ApiError> {
    let condition = if_match(&input)?;
    let decoder = Decoder::default();
    let number = decoder.revision_number(input.variable("number"));
    let number = decoder.finish(number)?;
    Ok(tagged(app.catalog.restore(caller, input.variable("agent_name"), number, condition).await?).into_response())
}

fn tagged(found: Found<Agent>) -> impl IntoResponse {
    ([(header::ETAG, entity_tag(found.revision))], Json(found.item))
}
