//! The pictures of a session: the log holds their addresses, a model is shown their bytes.

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;

/// Brings back the bytes of pictures.
#[async_trait]
pub trait Media: Debug + Send + Sync + 'static {
    /// The picture at an address of the session's own resources, as its log has it. None for any other address, and
    /// when it is gone.
    async fn picture(&self, source: &str) -> Option<Bytes>;
}

/// No pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMedia;

#[async_trait]
impl Media for NoMedia {
    async fn picture(&self, _source: &str) -> Option<Bytes> {
        None
    }
}
