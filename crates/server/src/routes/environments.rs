//! The catalog of environments.

use super::catalogs::{self, item, page, part, written};
use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody, MaybeAuthenticated},
    error::ApiError,
    reader::{self, Reader},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use quarterdeck_api::{
    Decoder, Environment, EnvironmentKind, EnvironmentListQuery, EnvironmentOrder, EnvironmentSort, ErrorBody, Page,
    PatchEnvironment,
};
use quarterdeck_store::{EntryFilter, EntryKey};

/// Adds an environment.
#[utoipa::path(post, path = "/api/v2/environments", tag = "environments", operation_id = "create_environment",
    request_body = Environment,
    responses(
        (status = 201, description = "Added.", body = Environment),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "The id is reserved.", body = ErrorBody),
        (status = 409, description = "There is one of that id.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<(StatusCode, Json<Environment>), ApiError> {
    let (environment, message) = written::<Environment, Environment>(&input)?;
    let found = app.catalog.create(caller, environment, message).await?;
    Ok((StatusCode::CREATED, Json(found.item)))
}

/// Lists environments; without a key, those that are built in.
#[utoipa::path(get, path = "/api/v2/environments", tag = "environments", operation_id = "list_environments", security((), ("key" = [])),
    params(
        ("id" = Option<String>, Query, description = "Of exactly this id."),
        ("kind" = Option<EnvironmentKind>, Query, description = "Of this kind."),
        ("search" = Option<String>, Query, description = "With this text in the id."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 10 when absent."),
        ("sort" = inline(Option<Vec<EnvironmentOrder>>), Query,
            description = "`created_at` or `id`, each also with `-`; `-created_at` when absent.")),
    responses(
        (status = 200, description = "A page of environments.", body = Page<Environment>,
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
    let query = input.parameters::<EnvironmentListQuery>(&decoder);
    let query = decoder.finish(query)?;
    let key = |field| match field {
        EnvironmentSort::CreatedAt => EntryKey::CreatedAt,
        EnvironmentSort::Id => EntryKey::Name,
    };
    let filter =
        EntryFilter { name: query.id, search: query.search, kind: query.kind, ..part(query.paging, &query.sort, key) };
    let listing = app.catalog.list::<Environment>(caller, None, filter).await?;
    let (left_out, page) =
        Reader::of(input.headers()).page(page(listing, query.paging, item), reader::environment_holds);
    Ok((HeaderMap::from_iter(left_out), Json(page)).into_response())
}

/// An environment. Its id may hold slashes, as they are or escaped.
#[utoipa::path(get, path = "/api/v2/environments/{id}", tag = "environments", operation_id = "get_environment", security((), ("key" = [])),
    params(("id" = String, Path, description = "The environment's id.")),
    responses(
        (status = 200, description = "The environment.", body = Environment),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such environment.", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Environment>, ApiError> {
    Ok(Json(app.catalog.get(caller, input.variable("id")).await?.item))
}

/// Replaces an environment.
#[utoipa::path(put, path = "/api/v2/environments/{id}", tag = "environments", operation_id = "update_environment",
    params(("id" = String, Path, description = "The environment's id, also in the body.")),
    request_body = Environment,
    responses(
        (status = 200, description = "The environment now.", body = Environment),
        (status = 400, description = "Another id in the body.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such environment.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn put(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Json<Environment>, ApiError> {
    Ok(Json(catalogs::put::<Environment>(&app, caller, &input, "id").await?.item))
}

/// Changes some fields of an environment. Fields that its kind does not have are ignored.
#[utoipa::path(patch, path = "/api/v2/environments/{id}", tag = "environments", operation_id = "patch_environment",
    params(("id" = String, Path, description = "The environment's id.")),
    request_body = PatchEnvironment,
    responses(
        (status = 200, description = "The environment now.", body = Environment),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such environment.", body = ErrorBody),
        (status = 422, description = "A value is wrong, or the whole would be.", body = ErrorBody)))]
pub(crate) async fn patch(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Json<Environment>, ApiError> {
    Ok(Json(catalogs::patch::<Environment>(&app, caller, &input, "id").await?.item))
}

/// Removes an environment.
#[utoipa::path(delete, path = "/api/v2/environments/{id}", tag = "environments", operation_id = "delete_environment",
    params(("id" = String, Path, description = "The environment's id.")),
    responses(
        (status = 204, description = "Removed."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such environment.", body = ErrorBody)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<StatusCode, ApiError> {
    catalogs::delete::<Environment>(&app, caller, &input, "id").await
}
