//! Bytes that belong to a session and are too large for a database: attached files, pictures.
//!
//! Invariant: a blob lies below its session's folder, whatever it is called: a [`BlobName`] that could lead
//! elsewhere cannot be made.

use crate::{Error, private, url::without_secrets};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Error as ObjectError, MultipartUpload, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload,
    aws::AmazonS3Builder,
    local::LocalFileSystem,
    memory::InMemory,
    path::{Path, PathPart},
    signer::{Method, SignedUrlOptions, Signer},
};
use quarterdeck_api::SessionId;
use std::{iter, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest name of a file on common file systems, in bytes.
const SEGMENT_MAX: usize = 255;
/// The longest key that S3 takes, in bytes, with room for a prefix.
const NAME_MAX: usize = 768;

/// How long an operation may take, with all its tries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of one part of a stream; a bucket takes no less than 5 MiB.
const PART_BYTES: u64 = 8 << 20;

/// Beside the folders of sessions, which are called by their ids.
const CHECK_NAME: &str = "quarterdeck-check";

/// How long a link to a blob works.
const LINK_TTL: Duration = Duration::from_mins(5);

/// Why a place for blobs could not be opened.
#[derive(Debug, Error)]
pub enum OpenBlobsError {
    /// The URL names no kind of place that we have.
    #[error("unknown blob URL {0:?}; use file:///FOLDER, memory: or s3://BUCKET/PREFIX")]
    UnknownUrl(String),
    /// The folder cannot be made.
    #[error("cannot make the folder {folder}: {cause}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The place cannot be used as configured.
    #[error("cannot use {url:?} for blobs: {cause}")]
    Place {
        /// The URL.
        url: String,
        /// Why.
        cause: ObjectError,
    },
}

/// Why a stream could not be stored.
#[derive(Debug, Error)]
pub enum PutError {
    /// It cannot be read to its end.
    #[error("cannot read what is to be stored: {0}")]
    Source(std::io::Error),
    /// The place for blobs fails.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a blob is for; each class has a folder of its own in a session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobClass {
    /// Files and pictures that came with messages.
    Attachments,
    /// Pictures that its agent was shown.
    Screenshots,
    /// Files that its agent brought out of environments.
    Files,
}

impl BlobClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Attachments, Self::Screenshots, Self::Files];

    /// The name of its folder, which stands in the addresses of resources.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attachments => "attachments",
            Self::Screenshots => "screenshots",
            Self::Files => "files",
        }
    }

    /// The class whose folder has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// The blobs of all sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    /// A bucket can serve its blobs itself.
    signer: Option<Arc<dyn Signer>>,
    prefix: Path,
}

/// What a blob is to be served as, whatever its bytes look like.
#[derive(Clone, Copy, Debug)]
pub struct ServedAs {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `Content-Disposition`.
    pub disposition: &'static str,
}

/// A blob, or where to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// Its bytes.
    Here(Bytes),
    /// A link that works for five minutes, for whoever has it.
    At(String),
}

impl Blobs {
    /// Opens the place at `url`: `file:///FOLDER`, which is made when it is new, `memory:`, or `s3://BUCKET/PREFIX`,
    /// which is set up by `options` named as the variables that AWS's own tools read (`AWS_REGION`, ...). A bucket
    /// is reached over the process's TLS, which must be set up before.
    ///
    /// # Errors
    /// [`OpenBlobsError`].
    pub fn open(url: &str, options: Vec<(String, String)>) -> Result<Self, OpenBlobsError> {
        if url == "memory:" {
            return Ok(Self::in_memory());
        }
        if let Some(folder) = url.strip_prefix("file://") {
            return in_folder(url, folder);
        }
        match url::Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "s3" => in_bucket(&parsed, options),
            Ok(_) | Err(_) => Err(OpenBlobsError::UnknownUrl(without_secrets(url))),
        }
    }

    /// Writes, reads and removes a small blob, for whoever wants to know whether that works.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn check(&self) -> Result<(), Error> {
        let path = self.prefix.clone().join(CHECK_NAME);
        let tried = async {
            self.objects.put(&path, PutPayload::from_static(b"check")).await?;
            self.objects.get(&path).await?.bytes().await?;
            self.objects.delete(&path).await
        };
        in_time(tried).await?.map_err(Error::Blobs)
    }

    /// Blobs that are gone with the process.
    pub fn in_memory() -> Self {
        Self { objects: Arc::new(InMemory::new()), signer: None, prefix: Path::default() }
    }

    /// Stores bytes in the place of earlier ones. Returns once they are durable.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn put(&self, name: &BlobName, bytes: Bytes) -> Result<(), Error> {
        let path = self.path(name);
        in_time(self.objects.put(&path, PutPayload::from_bytes(bytes))).await?.map_err(Error::Blobs)?;
        Ok(())
    }

    /// The bytes, if there are any.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn get(&self, name: &BlobName) -> Result<Option<Bytes>, Error> {
        let found = async { self.objects.get(&self.path(name)).await?.bytes().await };
        match in_time(found).await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::Blobs(error)),
        }
    }

    /// A blob as somebody outside gets it, if there is one: from a bucket by a link, so that its bytes do not pass
    /// through here.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn locate(&self, name: &BlobName, served: ServedAs) -> Result<Option<Located>, Error> {
        let Some(signer) = &self.signer else { return Ok(self.get(name).await?.map(Located::Here)) };
        let path = self.path(name);
        match in_time(self.objects.head(&path)).await? {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::Blobs(error)),
        }
        // Signed, so that nobody can have the bytes served as something that a browser would run.
        let options = SignedUrlOptions::new().with_query([
            ("response-content-type", served.content_type),
            ("response-content-disposition", served.disposition),
        ]);
        let link = in_time(signer.signed_url_opts(Method::GET, &path, LINK_TTL, &options)).await?;
        Ok(Some(Located::At(link.map_err(Error::Blobs)?.into())))
    }

    /// Removes bytes; none is no fault.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn delete(&self, name: &BlobName) -> Result<(), Error> {
        match in_time(self.objects.delete(&self.path(name))).await? {
            Err(error) if !is_absent(&error) => Err(Error::Blobs(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Stores what `source` yields, in parts, in the place of earlier bytes. Returns how many bytes there were, once they
    /// are durable; until then nobody reads any of them.
    ///
    /// # Errors
    /// [`PutError`]. Then nothing is stored.
    pub async fn put_stream(&self, name: &BlobName, mut source: impl AsyncRead + Unpin) -> Result<u64, PutError> {
        let started = in_time(self.objects.put_multipart(&self.path(name))).await?;
        let mut upload = started.map_err(Error::Blobs)?;
        let stored = put_parts(&mut *upload, &mut source).await;
        if stored.is_err() {
            // What cannot be removed only takes room.
            drop(in_time(upload.abort()).await);
        }
        stored
    }

    /// The blobs of a session, of one class or of all, with the number of their bytes.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long.
    pub async fn list(&self, session: SessionId, class: Option<BlobClass>) -> Result<Vec<(BlobName, u64)>, Error> {
        let below = self.below(session, class);
        let mut found = self.objects.list(Some(&below));
        let mut blobs = Vec::new();
        while let Some(meta) = in_time(found.next()).await? {
            let meta = meta.map_err(Error::Blobs)?;
            let name = meta.location.prefix_match(&self.prefix).map(Iterator::collect);
            blobs.extend(name.map(|name| (BlobName(name), meta.size)));
        }
        Ok(blobs)
    }

    /// Removes the blobs of a session, of one class or of all. Returns how many there were. Whoever is reading one goes
    /// on to its end.
    ///
    /// # Errors
    /// [`Error::Blobs`], and [`Error::Unavailable`] when it takes too long; what is left is removed by the next try.
    pub async fn delete_below(&self, session: SessionId, class: Option<BlobClass>) -> Result<u64, Error> {
        let found = self.objects.list(Some(&self.below(session, class)));
        let mut deleted = self.objects.delete_stream(found.map_ok(|meta| meta.location).boxed());
        let mut count = 0;
        while let Some(outcome) = in_time(deleted.next()).await? {
            match outcome {
                Ok(_) => count += 1,
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::Blobs(error)),
            }
        }
        Ok(count)
    }

    fn below(&self, session: SessionId, class: Option<BlobClass>) -> Path {
        let class = class.map(|class| PathPart::from(class.as_str()));
        self.prefix.parts().chain([PathPart::from(session.to_string())]).chain(class).collect()
    }

    fn path(&self, name: &BlobName) -> Path {
        self.prefix.parts().chain(name.0.parts()).collect()
    }
}

/// Reads parts of a fixed size, since a bucket takes no small ones but the last.
async fn put_parts(upload: &mut dyn MultipartUpload, source: &mut (impl AsyncRead + Unpin)) -> Result<u64, PutError> {
    let mut total = 0;
    loop {
        let mut part = Vec::new();
        (&mut *source).take(PART_BYTES).read_to_end(&mut part).await.map_err(PutError::Source)?;
        let size = part.len() as u64;
        if size > 0 {
            in_time(upload.put_part(part.into())).await?.map_err(Error::Blobs)?;
            total += size;
        }
        if size < PART_BYTES {
            in_time(upload.complete()).await?.map_err(Error::Blobs)?;
            return Ok(total);
        }
    }
}

async fn in_time<T>(operation: impl Future<Output = T>) -> Result<T, Error> {
    let late = |_| Error::Unavailable("the place for blobs did not answer in time".into());
    tokio::time::timeout(OPERATION_TIMEOUT, operation).await.map_err(late)
}

fn in_folder(url: &str, folder: &str) -> Result<Blobs, OpenBlobsError> {
    private::make_folder(std::path::Path::new(folder))
        .map_err(|cause| OpenBlobsError::Folder { folder: folder.to_owned(), cause })?;
    let objects = LocalFileSystem::new_with_prefix(folder)
        .map_err(|cause| OpenBlobsError::Place { url: without_secrets(url), cause })?
        .with_fsync(true);
    Ok(Blobs { objects: Arc::new(objects), signer: None, prefix: Path::default() })
}

fn in_bucket(url: &url::Url, options: Vec<(String, String)>) -> Result<Blobs, OpenBlobsError> {
    let place = |cause: ObjectError| OpenBlobsError::Place { url: without_secrets(url.as_str()), cause };
    let (_, prefix) = ObjectStoreScheme::parse(url).map_err(|error| place(error.into()))?;
    let prefix = Path::parse(prefix).map_err(|error| place(error.into()))?;
    // Other variables of AWS mean nothing to a bucket.
    let known = options.into_iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)));
    let builder = AmazonS3Builder::new().with_url(url.to_string());
    let builder = known.fold(builder, |builder, (key, value)| builder.with_config(key, value));
    let bucket = Arc::new(builder.build().map_err(place)?);
    Ok(Blobs { objects: bucket.clone(), signer: Some(bucket), prefix })
}

/// A name that leads through what is a file finds nothing either.
fn is_absent(error: &ObjectError) -> bool {
    let ObjectError::NotFound { .. } = error else { return causes(error).any(is_no_file) };
    true
}

fn is_no_file(cause: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    cause
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| matches!(error.kind(), NotFound | NotADirectory | IsADirectory))
}

fn causes(error: &ObjectError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// What a blob is called: its session, its class, and a key, which may hold slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobName(Path);

impl BlobName {
    /// None when `key` is no name that a blob can have: empty, with an empty, `.` or `..` segment, with control
    /// characters, or too long. Whatever else may mean something to a file system is percent-encoded.
    pub fn new(session: SessionId, class: BlobClass, key: &str) -> Option<Self> {
        let segments: Vec<PathPart<'_>> =
            iter::once(class.as_str()).chain(key.split('/')).map(segment).collect::<Option<_>>()?;
        let session = PathPart::from(session.to_string());
        let path: Path = iter::once(session).chain(segments).collect();
        (path.as_ref().len() <= NAME_MAX).then_some(Self(path))
    }
}

fn segment(text: &str) -> Option<PathPart<'_>> {
    let odd = matches!(text, "" | "." | "..") || text.contains(char::is_control);
    let part = PathPart::from(text);
    (!odd && part.as_ref().len() <= SEGMENT_MAX).then_some(part)
}

#[cfg(test)]
mod tests;
