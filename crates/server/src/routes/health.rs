//! Is the process alive, and can it serve?

use crate::{App, error::ApiError};
use axum::extract::State;
use quarterdeck_api::{ErrorBody, Problem};
use std::time::Duration;

/// How long the store may take to answer before the server counts as not ready.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "check_alive", security(()),
    responses((status = 200, description = "Alive.", body = String, content_type = "text/plain")))]
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether the server can serve: its store answers.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "check_ready", security(()), responses(
    (status = 200, description = "Ready.", body = String, content_type = "text/plain"),
    (status = 503, description = "The store does not answer.", body = ErrorBody)))]
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(STORE_TIMEOUT, app.store.ping()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::unavailable("the store does not answer").into()),
    }
}
