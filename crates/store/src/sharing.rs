//! What people say of a session, and who may read it without belonging to its organization.

use crate::Error;
use async_trait::async_trait;
use quarterdeck_api::{Feedback, SessionId, Timestamp, UserId};

/// Feedback, and who gave it when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// What was said.
    pub feedback: Feedback,
    /// By whom.
    pub author: UserId,
    /// When.
    pub at: Timestamp,
}

/// What of a session a rating is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rated {
    /// All of it.
    Session(SessionId),
    /// One event of its log.
    Event(SessionId, u64),
}

/// What makes a session readable to whoever knows `token`, and without it by the session's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The session.
    pub session: SessionId,
    /// The secret part of its link.
    pub token: String,
    /// Who shares it.
    pub author: UserId,
    /// Since when.
    pub at: Timestamp,
}

/// Feedback and shares of all sessions. Every method is atomic. Whether the session exists, and who may say or
/// share something, is the caller's to know.
#[async_trait]
pub trait Sharing: Send + Sync + 'static {
    /// Stores a rating in the place of an earlier one.
    async fn rate(&self, rated: Rated, rating: Rating) -> Result<(), Error>;

    /// The rating that counts.
    async fn rating(&self, rated: Rated) -> Result<Option<Rating>, Error>;

    /// Shares a session, unless it is shared already. Returns the token that works.
    async fn share(&self, share: Share) -> Result<String, Error>;

    /// Ends a share; none is no fault.
    async fn unshare(&self, session: SessionId) -> Result<(), Error>;

    /// Whether a session is shared now.
    async fn is_public(&self, session: SessionId) -> Result<bool, Error>;

    /// The session that a token leads to now.
    async fn session_of_share(&self, token: &str) -> Result<Option<SessionId>, Error>;
}
