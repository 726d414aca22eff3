//! The catalog of skills.

use super::catalogs::{self, item, page, part, written};
use crate::{
    App,
    authentication::{Authenticated, AuthenticatedBody, MaybeAuthenticated},
    error::ApiError,
};
use axum::{Json, extract::State};
use http::StatusCode;
use quarterdeck_api::{Decoder, ErrorBody, Page, PatchSkill, Skill, SkillListQuery, SkillOrder, SkillSort};
use quarterdeck_store::{EntryFilter, EntryKey};

/// Adds a skill.
#[utoipa::path(post, path = "/api/v2/skills", tag = "skills", operation_id = "create_skill",
    request_body = Skill,
    responses(
        (status = 201, description = "Added.", body = Skill),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "The name is reserved.", body = ErrorBody),
        (status = 409, description = "There is one of that name.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<(StatusCode, Json<Skill>), ApiError> {
    let (skill, message) = written::<Skill, Skill>(&input)?;
    let found = app.catalog.create(caller, skill, message).await?;
    Ok((StatusCode::CREATED, Json(found.item)))
}

/// Lists skills; without a key, those that are built in.
#[utoipa::path(get, path = "/api/v2/skills", tag = "skills", operation_id = "list_skills", security((), ("key" = [])),
    params(
        ("name" = Option<String>, Query, description = "Of exactly this name."),
        ("search" = Option<String>, Query, description = "With this text in the name or description."),
        ("page" = Option<u64>, Query, minimum = 1, description = "The page, from 1."),
        ("size" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 10 when absent."),
        ("sort" = inline(Option<Vec<SkillOrder>>), Query,
            description = "`created_at` or `name`, each also with `-`; `-created_at` when absent.")),
    responses(
        (status = 200, description = "A page of skills.", body = Page<Skill>,
            headers(("ETag" = String, description = "Names what the page says."))),
        (status = 304, description = "The page that `If-None-Match` names says the same."),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 413, description = "The skills on the page are too large together; ask for fewer.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Page<Skill>>, ApiError> {
    let decoder = Decoder::default();
    let query = input.parameters::<SkillListQuery>(&decoder);
    let query = decoder.finish(query)?;
    let key = |field| match field {
        SkillSort::CreatedAt => EntryKey::CreatedAt,
        SkillSort::Name => EntryKey::Name,
    };
    let filter = EntryFilter { name: query.name, search: query.search, ..part(query.paging, &query.sort, key) };
    let listing = app.catalog.list::<Skill>(caller, None, filter).await?;
    Ok(Json(page(listing, query.paging, item)))
}

/// A skill. Its name may hold slashes, as they are or escaped.
#[utoipa::path(get, path = "/api/v2/skills/{name}", tag = "skills", operation_id = "get_skill", security((), ("key" = [])),
    params(("name" = String, Path, description = "The skill's name.")),
    responses(
        (status = 200, description = "The skill.", body = Skill),
        (status = 401, description = "A key that does not work.", body = ErrorBody),
        (status = 404, description = "No such skill.", body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    MaybeAuthenticated(caller, input): MaybeAuthenticated,
) -> Result<Json<Skill>, ApiError> {
    Ok(Json(app.catalog.get(caller, input.variable("name")).await?.item))
}

/// Replaces a skill.
#[utoipa::path(put, path = "/api/v2/skills/{name}", tag = "skills", operation_id = "update_skill",
    params(("name" = String, Path, description = "The skill's name, also in the body.")),
    request_body = Skill,
    responses(
        (status = 200, description = "The skill now.", body = Skill),
        (status = 400, description = "Another name in the body.", body = ErrorBody),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such skill.", body = ErrorBody),
        (status = 422, description = "A value is wrong.", body = ErrorBody)))]
pub(crate) async fn put(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Json<Skill>, ApiError> {
    Ok(Json(catalogs::put::<Skill>(&app, caller, &input, "name").await?.item))
}

/// Changes some fields of a skill.
#[utoipa::path(patch, path = "/api/v2/skills/{name}", tag = "skills", operation_id = "patch_skill",
    params(("name" = String, Path, description = "The skill's name.")),
    request_body = PatchSkill,
    responses(
        (status = 200, description = "The skill now.", body = Skill),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such skill.", body = ErrorBody),
        (status = 422, description = "A value is wrong, or the whole would be.", body = ErrorBody)))]
pub(crate) async fn patch(
    State(app): State<App>,
    AuthenticatedBody(caller, input): AuthenticatedBody,
) -> Result<Json<Skill>, ApiError> {
    Ok(Json(catalogs::patch::<Skill>(&app, caller, &input, "name").await?.item))
}

/// Removes a skill.
#[utoipa::path(delete, path = "/api/v2/skills/{name}", tag = "skills", operation_id = "delete_skill",
    params(("name" = String, Path, description = "The skill's name.")),
    responses(
        (status = 204, description = "Removed."),
        (status = 401, description = "No key, or one that does not work.", body = ErrorBody),
        (status = 403, description = "It is built in.", body = ErrorBody),
        (status = 404, description = "No such skill.", body = ErrorBody)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Authenticated(caller, input): Authenticated,
) -> Result<StatusCode, ApiError> {
    catalogs::delete::<Skill>(&app, caller, &input, "name").await
}
