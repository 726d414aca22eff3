//! The connection that a request came by, for whoever has to cut it.

use tokio_util::sync::CancellationToken;

/// A connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(CancellationToken);

impl Wire {
    /// Ends the connection where it is.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }

    /// Returns when the connection is to end.
    pub(crate) async fn is_cut(&self) {
        self.0.cancelled().await;
    }
}
