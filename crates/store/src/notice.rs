//! Word that a session changed, from another process.

use quarterdeck_api::SessionId;
use tokio::sync::mpsc;

/// What a listener hears. A lost notice costs a slow poll, never an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This session has reached this version.
    Changed(SessionId, u64),
    /// Notices may have been lost: look at everything that is watched.
    Lost,
}

/// Notices as they come; ends when the store is closed.
pub type Notices = mpsc::Receiver<Notice>;
