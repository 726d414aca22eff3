//! Files and pictures that come with messages. Their bytes become blobs before the message is accepted; the message goes on with
//! their addresses, so that neither the database nor any answer carries them.
//!
//! A crash between the two leaves blobs that nothing refers to, never a message whose files are missing.

use super::{address, ending_of, key_of, media_type_of, usual_ending};
use crate::shared::Shared;
use bytes::Bytes;
use quarterdeck_api::{FileContent, ImageContent, SessionId, SourceType, UserMessage, picture_ending};
use quarterdeck_core::Report;
use quarterdeck_store::{BlobClass, BlobName, Error};
use uuid::Uuid;

/// Bytes on their way to the blobs.
pub(crate) struct Attachment {
    name: BlobName,
    bytes: Bytes,
}

/// Takes the bytes out of `messages`, and puts addresses below `session` in their place.
pub(crate) fn detach(
    session: SessionId,
    messages: &mut [UserMessage],
    mut id: impl FnMut() -> Uuid,
) -> Vec<Attachment> {
    let mut attachments = Vec::new();
    for message in messages {
        attachments.extend(message.files.iter_mut().filter_map(|file| detach_file(session, file, id())));
        attachments.extend(message.images.iter_mut().filter_map(|image| detach_picture(session, image, id())));
    }
    attachments
}

/// Whether messages carry bytes that are kept elsewhere.
pub(crate) fn carry_bytes(messages: &[UserMessage]) -> bool {
    messages.iter().any(|message| !message.files.is_empty() || !message.images.is_empty())
}

/// None for a picture that is elsewhere already, or of no known kind.
fn detach_picture(session: SessionId, image: &mut String, id: Uuid) -> Option<Attachment> {
    let (declared, source) = match image.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, source)) => (Some(media_type), source),
        None => (None, image.as_str()),
    };
    let content = ImageContent { source_type: SourceType::Base64, source: source.to_owned(), media_type: None };
    let bytes = Bytes::from(content.bytes()?);
    let ending =
        picture_ending(&bytes).or_else(|| declared.and_then(|kind| ending_of(kind).or_else(|| usual_ending(kind))))?;
    let (name, source) = address(session, BlobClass::Attachments, &format!("{}.{ending}", id.simple()));
    *image = source;
    Some(Attachment { name: name?, bytes })
}

/// None for a file that is elsewhere already.
fn detach_file(session: SessionId, file: &mut FileContent, id: Uuid) -> Option<Attachment> {
    let bytes = Bytes::from(file.bytes()?);
    let media_type = file.media_type.get_or_insert_with(|| media_type_of(&file.name).to_owned());
    let (name, source) = address(session, BlobClass::Attachments, &key_of(id, &file.name, media_type));
    let name = name?;
    file.source_type = SourceType::Url;
    file.source = source;
    file.size_bytes = i64::try_from(bytes.len()).ok();
    Some(Attachment { name, bytes })
}

impl Shared {
    /// Stores all of them; durable when it returns.
    pub(crate) async fn store_attachments(&self, attachments: &[Attachment]) -> Result<(), Error> {
        for attachment in attachments {
            self.blobs.put(&attachment.name, attachment.bytes.clone()).await?;
        }
        Ok(())
    }

    /// A report whose file is kept, and stands there by its address. One that cannot be kept stays without an address.
    pub(crate) async fn with_file_kept(&self, session: SessionId, report: Report) -> Report {
        let Report::Brought(mut file) = report else { return report };
        let bytes = file.bytes().map(Bytes::from);
        let media_type = file.media_type.get_or_insert_with(|| media_type_of(&file.name).to_owned());
        let (name, source) = address(session, BlobClass::Files, &key_of(self.clock.id(), &file.name, media_type));
        if let (Some(bytes), Some(name)) = (bytes, name) {
            match self.blobs.put(&name, bytes).await {
                Ok(()) => (file.source_type, file.source) = (SourceType::Url, source),
                Err(error) => tracing::warn!(session.id = %session, %error, "a file could not be kept"),
            }
        }
        Report::Brought(file)
    }

    /// Removes what was stored for nothing. What cannot be removed only takes room.
    pub(crate) async fn drop_attachments(&self, attachments: &[Attachment]) {
        for attachment in attachments {
            if let Err(error) = self.blobs.delete(&attachment.name).await {
                tracing::warn!(%error, blob = ?attachment.name, "a blob that nothing refers to could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::detach;
    use quarterdeck_api::{FileContent, SessionId, SourceType, UserMessage};
    use uuid::Uuid;

    const SESSION: SessionId = SessionId(Uuid::from_u128(1));

    fn message(name: &str, media_type: Option<&str>) -> UserMessage {
        let file = FileContent {
            source_type: SourceType::Base64,
            source: "aGVsbG8=".into(),
            name: name.into(),
            media_type: media_type.map(str::to_owned),
            size_bytes: Some(-1),
        };
        UserMessage { files: vec![file], ..UserMessage::text("Read this.") }
    }

    fn check(name: &str, media_type: Option<&str>, reads: &str, ending: &str) {
        let mut messages = [message(name, media_type)];
        let detached = detach(SESSION, &mut messages, || Uuid::from_u128(2));
        assert_eq!(&detached[0].bytes[..], b"hello");
        let file = &messages[0].files[0];
        let key = format!("00000000000000000000000000000002{ending}");
        assert_eq!(file.source, format!("/api/v2/sessions/{SESSION}/resources/attachments/{key}"));
        assert_eq!((file.source_type, file.size_bytes), (SourceType::Url, Some(5)));
        assert_eq!((file.name.as_str(), file.media_type.as_deref()), (name, Some(reads)));
    }

    #[test]
    fn a_file_goes_on_as_its_address_kind_and_size() {
        check("a.txt", None, "text/plain", ".txt");
        check("Bericht März.PDF", None, "application/pdf", ".pdf");
        check("x.svg", None, "image/svg+xml", ".svg");
        check("data", None, "application/octet-stream", "");
        check("x.../%2e", None, "application/octet-stream", "");
    }

    #[test]
    fn a_kind_that_was_given_is_kept() {
        check("a.txt", Some("text/x-notes"), "text/x-notes", ".txt");
        check("picture", Some("image/png"), "image/png", ".png");
    }

    #[test]
    fn a_picture_goes_on_as_its_address() {
        let png = "iVBORw0KGgoAAAANSUhEUg==";
        let mut messages = [UserMessage {
            images: vec![format!("data:image/jpeg;base64,{png}"), png.into(), "https://example.com/a.png".into()],
            ..UserMessage::text("Look.")
        }];
        let detached = detach(SESSION, &mut messages, || Uuid::from_u128(2));
        let kept = format!("/api/v2/sessions/{SESSION}/resources/attachments/00000000000000000000000000000002.png");
        assert_eq!(messages[0].images, [kept.clone(), kept, "https://example.com/a.png".into()]);
        assert!(detached.len() == 2 && detached.iter().all(|picture| picture.bytes.starts_with(b"\x89PNG")));
    }

    #[test]
    fn a_picture_that_models_do_not_read_leaves_no_bytes_behind_either() {
        let mut messages =
            [UserMessage { images: vec!["data:image/bmp;base64,Qk0=".into()], ..UserMessage::text("Look.") }];
        let detached = detach(SESSION, &mut messages, || Uuid::from_u128(2));
        assert_eq!(&detached[0].bytes[..], b"BM");
        let kept = format!("/api/v2/sessions/{SESSION}/resources/attachments/00000000000000000000000000000002.bmp");
        assert_eq!(messages[0].images, [kept]);
    }

    #[test]
    fn what_is_no_picture_stays_as_it_is() {
        let mut messages = [UserMessage { images: vec!["aGVsbG8=".into(), "?".into()], ..UserMessage::text("Look.") }];
        let before = messages.clone();
        assert!(detach(SESSION, &mut messages, || Uuid::from_u128(2)).is_empty());
        assert_eq!(messages, before);
    }

    #[test]
    fn a_file_that_is_elsewhere_stays_there() {
        let mut messages = [message("a.txt", None)];
        messages[0].files[0].source_type = SourceType::Url;
        let before = messages.clone();
        assert!(detach(SESSION, &mut messages, || Uuid::from_u128(2)).is_empty());
        assert_eq!(messages, before);
    }
}
