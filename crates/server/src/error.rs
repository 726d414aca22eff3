//! Errors at the edge: one type, and the only place that knows which fault is which status.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use quarterdeck_api::Problem;
use quarterdeck_core::Rejection;
use quarterdeck_engine::{CatalogError, CreateError, Refused, ResolveError, SubmitError};
use quarterdeck_store::{Error, Refusal};

/// What a failed request answers with.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Problem,
    /// Boxed: errors are rare, and every result of a handler has room for one.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

#[cfg(feature = "agent-view")]
impl ApiError {
    /// To a browser whose cookie has ended: it is taken away.
    pub(crate) fn signed_out(cookie: HeaderValue) -> Self {
        Self { problem: Problem::unauthorized(), header: Some(Box::new((header::SET_COOKIE, cookie))) }
    }

    /// To an address from which too many keys were tried.
    pub(crate) fn too_many_tries(wait_s: u64) -> Self {
        let problem =
            Problem::new(429, format!("too many tries to sign in from your address; try again in {wait_s} s"));
        Self { problem, header: Some(Box::new((header::RETRY_AFTER, HeaderValue::from(wait_s)))) }
    }
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
        Self { problem, header: header.map(Box::new) }
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
            Error::Blobs(_) => {
                tracing::error!(error = ?error, "answered 503");
                Problem::unavailable("the server cannot reach its place for files right now").into()
            }
            Error::Refused(refusal @ Refusal::NoSlot { .. }) => {
                Problem::limited("plan_limit", "org", refusal.to_string()).into()
            }
            Error::Refused(refusal @ Refusal::QueueFull { .. }) => {
                Problem::limited("queue_full", "org", refusal.to_string()).into()
            }
            Error::Corrupt { .. } => {
                tracing::error!(error = ?error, "request failed");
                Problem::new(500, "what is stored here cannot be read; the server's log says more").into()
            }
            Error::Conflict(_) | Error::Database(_) => {
                tracing::error!(error = ?error, "request failed");
                Problem::internal().into()
            }
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NotFound(_) | SubmitError::NoEvent(..) => Problem::not_found(error.to_string()).into(),
            SubmitError::Rejected(Rejection::InboxFull { .. }) => {
                Problem::limited("queue_full", "org", error.to_string()).into()
            }
            SubmitError::Rejected(_) => Problem::conflict(error.to_string()).into(),
            SubmitError::PageTooLarge => Problem::too_large(error.to_string()).into(),
            SubmitError::Contended(_) => Problem::unavailable(error.to_string()).into(),
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Unresolved(error) => error.into(),
            CreateError::UnknownParent(_) => Problem::not_found(error.to_string()).into(),
            CreateError::Invalid(problem) => (*problem).into(),
            CreateError::KeyReused => Problem::invalid_header("Idempotency-Key", error.to_string()).into(),
            CreateError::Environment(Refused::NotPublic(message)) => {
                Problem::typed(403, "environment_not_public", message).into()
            }
            CreateError::Environment(Refused::Invalid(message)) => Problem::invalid_body(message).into(),
            CreateError::Store(error) => error.into(),
        }
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Unknown(_) => Problem::not_found(error.to_string()).into(),
            ResolveError::Cycle(_) | ResolveError::TooDeep(_) | ResolveError::TooMany | ResolveError::TooLarge(_) => {
                Problem::invalid_body(error.to_string()).into()
            }
            ResolveError::Invalid(problem) => (*problem).into(),
            ResolveError::Store(error) => error.into(),
        }
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { .. } | CatalogError::NoRevision { .. } => {
                Problem::not_found(error.to_string()).into()
            }
            CatalogError::Reserved { .. } => Problem::forbidden(error.to_string()).into(),
            CatalogError::Taken { .. } => Problem::conflict(error.to_string()).into(),
            CatalogError::Stale { current, .. } => {
                let problem = Problem::precondition_failed(error.to_string());
                Self { problem, header: Some(Box::new((header::ETAG, entity_tag(current)))) }
            }
            CatalogError::Misnamed { .. } => Problem::bad_request(error.to_string()).into(),
            CatalogError::Invalid(problem) => (*problem).into(),
            CatalogError::TooLarge(_) => Problem::too_large(error.to_string()).into(),
            CatalogError::Contended { .. } => Problem::unavailable(error.to_string()).into(),
            CatalogError::Unresolved(error) => error.into(),
            CatalogError::Store(error) => error.into(),
        }
    }
}

/// The `ETag` of a revision.
pub(crate) fn entity_tag(revision: i64) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "digits and quotes are a header value")]
    HeaderValue::try_from(format!("\"{revision}\"")).expect("a number in quotes is a header value")
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.problem.body)).into_response();
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}
