//! Which pictures and pages of a transcript a request shows, and the bytes of the pictures.
//!
//! Only the latest are shown: models take few pictures, and pages fill their context. Older ones are dropped in groups,
//! so that the beginning of the conversation stays the same for several steps and hosts can reuse what they cached.

use crate::media::Media;
use quarterdeck_api::{AgentEvent, ImageContent, MessageContent, SourceType};
use std::{collections::HashMap, sync::Arc};

/// Page texts that are always shown in full, and how many are dropped at once.
const PAGES_KEPT: usize = 3;
/// Observations of these sources show a page.
const PAGE_SOURCES: [&str; 2] = ["web", "textual_web"];
/// What is kept of an older page.
pub(crate) const PAGE_FIELDS: [&str; 4] = ["url", "title", "chunk", "chunks"];

/// What one request shows.
#[derive(Debug, Default)]
pub(crate) struct Gallery {
    /// The number of the first picture of an observation that is shown.
    pub(crate) first_picture: usize,
    /// The number of the first page whose text is shown.
    pub(crate) first_page: usize,
    /// Whether the model sees pictures at all.
    pub(crate) sees: bool,
    /// By their address in the log, the pictures that were brought back.
    pub(crate) here: HashMap<String, ImageContent>,
}

impl Gallery {
    /// Of at most `images_max` pictures of observations, and those of messages; of none if that is 0.
    pub(crate) async fn of(transcript: &[Arc<AgentEvent>], images_max: usize, media: &dyn Media) -> Self {
        let pictures: Vec<&ImageContent> = transcript.iter().filter_map(|event| observed_picture(event)).collect();
        let pages = transcript.iter().filter(|event| is_page(event)).count();
        let first_picture = match images_max {
            0 => pictures.len(),
            _ => pictures.len().saturating_sub(1) / images_max * images_max,
        };
        let first_page = pages.saturating_sub(PAGES_KEPT) / PAGES_KEPT * PAGES_KEPT;
        let mut gallery = Self { first_picture, first_page, sees: images_max > 0, here: HashMap::new() };
        if gallery.sees {
            let of_messages = transcript.iter().flat_map(|event| message_pictures(event));
            for image in pictures.into_iter().skip(first_picture).chain(of_messages) {
                gallery.bring(image, media).await;
            }
        }
        gallery
    }

    async fn bring(&mut self, image: &ImageContent, media: &dyn Media) {
        if !is_kept_here(image) || self.here.contains_key(&image.source) {
            return;
        }
        if let Some(bytes) = media.picture(&image.source).await {
            let media_type = image.media_type.as_deref().unwrap_or("image/jpeg");
            self.here.insert(image.source.clone(), ImageContent::of_bytes(&bytes, media_type));
        }
    }

    /// About how many bytes its pictures take.
    pub(crate) fn bytes(&self) -> usize {
        self.here.values().map(|image| image.source.len()).sum()
    }

    /// Whether all that an earlier one showed is shown as it was.
    pub(crate) fn keeps(&self, earlier: &Self) -> bool {
        (self.first_picture, self.first_page, self.sees) == (earlier.first_picture, earlier.first_page, earlier.sees)
            && earlier.here.keys().all(|source| self.here.contains_key(source))
    }

    /// A picture that the log names by its address, with its bytes.
    pub(crate) fn find(&self, image: &ImageContent) -> Option<&ImageContent> {
        self.here.get(&image.source)
    }
}

/// Whether the log names a picture that the server keeps itself.
pub(crate) fn is_kept_here(image: &ImageContent) -> bool {
    image.source_type == SourceType::Url && image.source.starts_with("/api/v2/sessions/")
}

fn observed_picture(event: &AgentEvent) -> Option<&ImageContent> {
    match event {
        AgentEvent::ObservationEvent { image, .. } => image.as_ref(),
        AgentEvent::MessageEvent { .. }
        | AgentEvent::PolicyEvent { .. }
        | AgentEvent::ToolResult(_)
        | AgentEvent::AnswerEvent { .. }
        | AgentEvent::ErrorEvent(_)
        | AgentEvent::FlowEvent { .. } => None,
    }
}

fn message_pictures(event: &AgentEvent) -> Vec<&ImageContent> {
    let AgentEvent::MessageEvent { content, .. } = event else { return Vec::new() };
    content.iter().filter_map(picture_of).collect()
}

fn picture_of(part: &MessageContent) -> Option<&ImageContent> {
    match part {
        MessageContent::Image(image) => Some(image),
        MessageContent::Text(_) | MessageContent::Unknown(_) => None,
    }
}

/// Whether an event shows a page of a browser.
pub(crate) fn is_page(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::ObservationEvent { source, text: Some(_), .. } if PAGE_SOURCES.contains(&source.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use bytes::Bytes;
    use serde_json::json;

    #[derive(Debug)]
    struct Shelf;

    #[async_trait]
    impl Media for Shelf {
        async fn picture(&self, source: &str) -> Option<Bytes> {
            (!source.contains("gone")).then(|| Bytes::from(source.to_owned()))
        }
    }

    fn seen(name: &str) -> Arc<AgentEvent> {
        let source = format!("/api/v2/sessions/s/resources/screenshots/{name}");
        let image = json!({"type": "url", "source": source, "media_type": "image/jpeg"});
        let event = json!({"kind": "observation_event", "type": "web", "text": "t", "image": image, "metadata": {}});
        Arc::new(serde_json::from_value(event).unwrap())
    }

    #[tokio::test]
    async fn no_more_pictures_are_shown_than_the_model_takes_and_they_go_in_groups() {
        for (images_max, firsts) in [(1, [0, 0, 1, 2, 3, 4, 5]), (3, [0, 0, 0, 0, 3, 3, 3]), (0, [0, 1, 2, 3, 4, 5, 6])]
        {
            for (count, first) in firsts.into_iter().enumerate() {
                let transcript: Vec<_> = (0..count).map(|number| seen(&number.to_string())).collect();
                let gallery = Gallery::of(&transcript, images_max, &Shelf).await;
                assert_eq!(gallery.first_picture, first, "{count} pictures, {images_max} at most");
                assert!(gallery.here.len() <= images_max);
                assert_eq!(gallery.here.len(), count - first);
            }
        }
    }

    #[tokio::test]
    async fn the_last_three_pages_are_shown_and_older_ones_go_in_groups() {
        for (count, first) in [0, 0, 0, 0, 0, 0, 3, 3, 3, 6].into_iter().enumerate() {
            let transcript: Vec<_> = (0..count).map(|number| seen(&number.to_string())).collect();
            assert_eq!(Gallery::of(&transcript, 1, &Shelf).await.first_page, first, "{count} pages");
        }
    }

    #[tokio::test]
    async fn a_picture_that_is_gone_is_not_found() {
        let gallery = Gallery::of(&[seen("gone"), seen("here")], 3, &Shelf).await;
        assert_eq!(gallery.here.len(), 1);
    }
}
