//! Files of a session, as callers fetch them.

use super::Sessions;
use crate::{SubmitError, media::media_type_of};
use bytes::Bytes;
use quarterdeck_api::SessionId;
use quarterdeck_store::{BlobClass, BlobName, Blobs, Caller, Located, ServedAs};

impl Sessions {
    /// Where the files of sessions are.
    pub fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// A file of a session that the caller may see. `present` says how a file of some media type is to be served; the
    /// type goes by the ending of the key.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn resource(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        bucket: &str,
        key: &str,
        present: fn(&'static str) -> ServedAs,
    ) -> Result<Option<(Located, ServedAs)>, SubmitError> {
        let Some(name) = self.file_name(caller, id, bucket, key).await? else { return Ok(None) };
        let served = present(media_type_of(key));
        let located = self.shared.blobs.locate(&name, served).await?;
        Ok(located.map(|located| (located, served)))
    }

    /// Under which name a file of a session is kept that the caller may see; none when no file can be called so.
    async fn file_name(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        bucket: &str,
        key: &str,
    ) -> Result<Option<BlobName>, SubmitError> {
        self.find(caller, id).await?;
        Ok(BlobClass::named(bucket).and_then(|class| BlobName::new(id, class, key)))
    }

    /// The bytes of a file, wherever it lies. None when there is no such file.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn resource_bytes(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        bucket: &str,
        key: &str,
        present: fn(&'static str) -> ServedAs,
    ) -> Result<Option<(Bytes, ServedAs)>, SubmitError> {
        let Some(name) = self.file_name(caller, id, bucket, key).await? else { return Ok(None) };
        let bytes = self.shared.blobs.get(&name).await?;
        Ok(bytes.map(|bytes| (bytes, present(media_type_of(key)))))
    }
}
