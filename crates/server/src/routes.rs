//! All routes, as the contract lists them.

mod agents;
mod catalogs;
mod changes;
mod commands;
mod environments;
mod feedback;
mod health;
mod resources;
mod sessions;
mod sharing;
mod skills;
mod unbuilt;

pub(crate) use sessions::{session_view, to_json};

use crate::{App, router::not_allowed, tags};
use axum::{Router, middleware::from_fn, routing::delete};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

/// The documented routes.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::create, sessions::list).layer(from_fn(tags::of_lists)))
        .routes(routes!(sessions::quota))
        .routes(routes!(sessions::token_quota))
        .routes(routes!(sessions::get, sessions::cancel))
        .routes(routes!(sessions::status))
        .routes(routes!(changes::changes))
        .routes(routes!(sessions::events))
        .routes(routes!(commands::messages))
        .routes(routes!(commands::tool_results))
        .routes(routes!(commands::pause))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::force_answer))
        .routes(routes!(feedback::session))
        .routes(routes!(feedback::event))
        .routes(routes!(sharing::share, sharing::unshare))
        .routes(routes!(sharing::show))
        .routes(routes!(resources::get))
        .routes(routes!(agents::create, agents::list).layer(from_fn(tags::of_lists)))
        .routes(routes!(agents::get, agents::put, agents::patch, agents::delete))
        .routes(routes!(agents::revisions))
        .routes(routes!(agents::restore))
        .routes(routes!(environments::create, environments::list).layer(from_fn(tags::of_lists)))
        .routes(routes!(environments::get, environments::put, environments::patch, environments::delete))
        .routes(routes!(skills::create, skills::list).layer(from_fn(tags::of_lists)))
        .routes(routes!(skills::get, skills::put, skills::patch, skills::delete))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}

/// The routes of the contract, and the two of health that the document lists with them.
pub(crate) fn api() -> Router<App> {
    let (documented, _) = documented().split_for_parts();
    documented
        .merge(unbuilt::router())
        .route("/api/v2/sessions/quota", delete(sessions::cancel_named_quota))
        .method_not_allowed_fallback(not_allowed)
}
