//! Files and pictures of sessions: their bytes are blobs, and events name them by their address among the session's
//! resources.

mod attachments;
mod pictures;

pub(crate) use attachments::{Attachment, carry_bytes, detach};
pub(crate) use pictures::SessionPictures;

use quarterdeck_api::SessionId;
use quarterdeck_store::{BlobClass, BlobName};
use uuid::Uuid;

/// What a file without a known kind is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The key of a file among a session's resources.
pub(crate) fn key_of(id: Uuid, name: &str, media_type: &str) -> String {
    match ending(name, media_type) {
        Some(ending) => format!("{}.{ending}", id.simple()),
        None => id.simple().to_string(),
    }
}

/// The key of a file says nothing of it but its kind; its name may hold what no address and no file system takes.
fn ending(name: &str, media_type: &str) -> Option<String> {
    let known = |ending: &&str| mime_guess::from_ext(ending).first_raw().is_some();
    let own = name.rsplit_once('.').map(|(_, ending)| ending).filter(known).map(str::to_ascii_lowercase);
    own.or_else(|| usual_ending(media_type).map(str::to_owned))
}

fn usual_ending(media_type: &str) -> Option<&'static str> {
    let endings = (media_type != UNKNOWN_TYPE).then(|| mime_guess::get_mime_extensions_str(media_type))??;
    endings.first().copied()
}

pub(crate) fn media_type_of(name: &str) -> &'static str {
    mime_guess::from_path(name).first_raw().unwrap_or(UNKNOWN_TYPE)
}

/// The ending of the name of a picture.
pub(crate) fn ending_of(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/jpeg" => Some("jpg"),
        "image/png" => Some("png"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

/// A blob of a session, and the address that it has among the session's resources.
pub(crate) fn address(session: SessionId, class: BlobClass, key: &str) -> (Option<BlobName>, String) {
    let source = format!("/api/v2/sessions/{session}/resources/{}/{key}", class.as_str());
    (BlobName::new(session, class, key), source)
}

/// The blob at an address below a session's own resources; none for any other address.
pub(crate) fn blob_at(session: SessionId, source: &str) -> Option<BlobName> {
    let rest = source.strip_prefix(&format!("/api/v2/sessions/{session}/resources/"))?;
    let (class, key) = rest.split_once('/')?;
    BlobName::new(session, BlobClass::named(class)?, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_addresses_of_the_sessions_own_resources_lead_to_blobs() {
        let session = SessionId(Uuid::from_u128(1));
        let other = SessionId(Uuid::from_u128(2));
        let (name, source) = address(session, BlobClass::Screenshots, "a.jpg");
        assert_eq!((blob_at(session, &source), blob_at(other, &source)), (name, None));
        for elsewhere in ["https://example.com/a.jpg", "/api/v2/sessions/", "data:image/png;base64,aGk="] {
            assert_eq!(blob_at(session, elsewhere), None, "{elsewhere}");
        }
        assert_eq!(blob_at(session, &source.replace("screenshots/a", "screenshots/../a")), None);
    }
}
