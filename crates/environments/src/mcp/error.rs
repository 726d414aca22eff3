//! What can go wrong between us and a server. Every text may hold secrets: it is masked where it is told.

use http::StatusCode;
use std::time::Duration;
use thiserror::Error;

/// Why a request has no result.
#[derive(Clone, Debug, Error)]
pub(super) enum McpError {
    /// The server never had the request.
    #[error("{0}")]
    NotSent(String),
    /// The server had it, or may have had it, and there is no reply that can be read.
    #[error("{0}")]
    NoReply(String),
    /// The server answered the request with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// An HTTP status that is no success.
    #[error("{0}")]
    Status(Box<BadStatus>),
    /// The server does not know our session any more, and so did not take the request.
    #[error("{0}")]
    SessionLost(String),
}

/// An error of JSON-RPC.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) message: String,
    /// Protocol versions that the server says it speaks.
    pub(super) versions: Vec<String>,
}

/// The server knows no such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32_601;
/// The server does not speak our protocol version, in the codes of several revisions.
const WRONG_VERSION: [i64; 3] = [-32_022, -32_004, -32_000];

impl Refusal {
    /// Whether the server may speak, but not by the handshake it was greeted with.
    pub(super) fn is_about_version(&self) -> bool {
        self.code == METHOD_NOT_FOUND || !self.versions.is_empty() || {
            WRONG_VERSION.contains(&self.code) && self.message.to_ascii_lowercase().contains("version")
        }
    }
}

/// An HTTP status that is no success.
#[derive(Clone, Debug, Error)]
#[error("{host} answered {status}{}", said(words))]
pub(super) struct BadStatus {
    pub(super) host: String,
    pub(super) status: StatusCode,
    /// What the body says, as words.
    pub(super) words: String,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The error of JSON-RPC that the body holds.
    pub(super) refusal: Option<Refusal>,
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

impl BadStatus {
    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        self.status.is_server_error() || self.is_busy() || self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// Whether the request was turned away before anything was done for it.
    pub(super) fn is_busy(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.is_some())
    }
}

impl McpError {
    /// Whether trying again may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::NoReply(_) | Self::SessionLost(_) => true,
            Self::Refused(_) => false,
            Self::Status(status) => status.may_pass(),
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(status) => status.retry_after,
            Self::NotSent(_) | Self::NoReply(_) | Self::Refused(_) | Self::SessionLost(_) => None,
        }
    }

    /// The error of JSON-RPC within.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Status(status) => status.refusal.as_ref(),
            Self::NotSent(_) | Self::NoReply(_) | Self::SessionLost(_) => None,
        }
    }
}
