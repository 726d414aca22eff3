//! Errors at the edge: one type, and the only place that knows which fault is which status.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use quarterdeck_api::Problem;
use quarterdeck_core::Rejection;
use quarterdeck_engine::{CreateError, SubmitError};
use quarterdeck_store::Error;

/// What a failed request answers with.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Problem,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Seconds after which a refused client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let header = match problem.status {
            401 => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            429 | 503 => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        };
        Self { problem, header }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Overloaded => {
                tracing::warn!(%error, "answered 503");
                Problem::unavailable("the server cannot store anything right now").into()
            }
            Error::DiskFull(_) => {
                tracing::error!(%error, "answered 503");
                Problem::unavailable("the server's disk is full or cannot be written").into()
            }
            Error::Conflict(_) | Error::Corrupt { .. } | Error::Database(_) => {
                tracing::error!(error = ?error, "request failed");
                Problem::internal().into()
            }
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NotFound(_) => Problem::not_found(error.to_string()).into(),
            SubmitError::Rejected(Rejection::InboxFull { .. }) => {
                Problem::limited("queue_full", "org", error.to_string()).into()
            }
            SubmitError::Rejected(_) => Problem::conflict(error.to_string()).into(),
            SubmitError::Contended(_) => Problem::unavailable(error.to_string()).into(),
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::UnknownAgent(_) | CreateError::UnknownParent(_) => Problem::not_found(error.to_string()).into(),
            CreateError::Invalid(problem) => (*problem).into(),
            CreateError::KeyReused => Problem::new(422, error.to_string()).into(),
            CreateError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.problem.body)).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
