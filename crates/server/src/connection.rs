//! The connection that a request came by, for whoever has to cut it.

use std::net::IpAddr;
use tokio_util::sync::CancellationToken;

/// A connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    cut: CancellationToken,
    #[cfg_attr(
        not(feature = "agent-view"),
        expect(dead_code, reason = "only the page asks where a request comes from")
    )]
    peer: Option<IpAddr>,
}

impl Connection {
    pub(crate) fn new(peer: Option<IpAddr>) -> Self {
        Self { cut: CancellationToken::new(), peer }
    }

    /// The address at the other end.
    #[cfg(feature = "agent-view")]
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Ends the connection where it is.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns when the connection is to end.
    pub(crate) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }
}
