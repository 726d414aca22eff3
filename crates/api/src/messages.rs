//! What a person says to an agent.

use crate::{Skill, decode::rules::base64};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The opening messages of a session: none, a text, one message or several. Read back in the shape sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Messages {
    /// A text.
    Text(String),
    /// One message.
    One(Box<UserMessage>),
    /// Several, in order.
    Many(Vec<UserMessage>),
}

impl Messages {
    /// The messages in order, a bare text as a message of its own.
    pub fn to_vec(&self) -> Vec<UserMessage> {
        match self {
            Self::Text(text) => vec![UserMessage::text(text)],
            Self::One(message) => vec![(**message).clone()],
            Self::Many(messages) => messages.clone(),
        }
    }

    /// The messages that are more than a bare text, in order.
    pub fn as_mut_slice(&mut self) -> &mut [UserMessage] {
        match self {
            Self::Text(_) => &mut [],
            Self::One(message) => std::slice::from_mut(message),
            Self::Many(messages) => messages,
        }
    }
}

/// A message of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename = "user_message")]
pub struct UserMessage {
    /// The text.
    pub message: String,
    /// Pictures, as data URIs or base64.
    #[serde(default)]
    pub images: Vec<String>,
    /// Attached files.
    #[serde(default)]
    pub files: Vec<FileContent>,
    /// Skills that come with the message, without files.
    #[serde(default)]
    pub skills: Vec<Skill>,
    /// Who speaks.
    #[schema(default = "user")]
    #[serde(default = "default_caller")]
    pub caller_id: String,
}

/// The `caller_id` of a message that names none.
pub(crate) fn default_caller() -> String {
    "user".into()
}

/// The longest address of a file that a list shows, in bytes.
const SUMMARY_SOURCE_MAX: usize = 2_048;

impl UserMessage {
    /// A message that is only text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            message: text.into(),
            images: Vec::new(),
            files: Vec::new(),
            skills: Vec::new(),
            caller_id: default_caller(),
        }
    }

    /// Characters of text that a list shows of a message.
    pub const SUMMARY_CHARS_MAX: usize = 500;

    /// The message as a list of sessions shows it, small whatever it holds: its text cut, with `…` for the rest; without
    /// pictures and skills; of files only where they are and what they are called.
    #[must_use]
    pub fn summary(mut self) -> Self {
        if let Some((end, _)) = self.message.char_indices().nth(Self::SUMMARY_CHARS_MAX) {
            let last = self.message[..end].char_indices().next_back().map_or(0, |(last, _)| last);
            self.message.truncate(last);
            self.message.push('…');
        }
        self.images.clear();
        self.skills.clear();
        for file in &mut self.files {
            if file.source_type == SourceType::Base64 || file.source.len() > SUMMARY_SOURCE_MAX {
                file.source.clear();
            }
        }
        self
    }

    /// About how many bytes it takes, pictures included. Files are not: their bytes are kept elsewhere.
    pub fn weight(&self) -> usize {
        let skills = self.skills.iter().map(|skill| skill.body.len() + skill.description.len());
        self.message.len() + self.images.iter().map(String::len).chain(skills).sum::<usize>()
    }
}

/// Where the bytes of a picture or file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceType {
    /// In `source` itself.
    Base64,
    /// At the address in `source`.
    Url,
}

/// An attached file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileContent {
    /// How `source` is meant.
    #[serde(rename = "type")]
    pub source_type: SourceType,
    /// The bytes or their address.
    pub source: String,
    /// Name without folders, at most 255 bytes.
    pub name: String,
    /// Its media type; guessed from the name when absent.
    pub media_type: Option<String>,
    /// Its size, in bytes.
    pub size_bytes: Option<i64>,
}

impl FileContent {
    /// The bytes it carries; none when they are elsewhere, or are no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.source_type {
            SourceType::Base64 => base64::decode(&self.source),
            SourceType::Url => None,
        }
    }
}

impl ImageContent {
    /// A picture that carries its bytes.
    pub fn of_bytes(bytes: &[u8], media_type: impl Into<String>) -> Self {
        let source = base64::encode_standard(bytes);
        Self { source_type: SourceType::Base64, source, media_type: Some(media_type.into()) }
    }

    /// The bytes it carries; none when they are elsewhere, or are no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.source_type {
            SourceType::Base64 => base64::decode(&self.source),
            SourceType::Url => None,
        }
    }
}

/// A picture inside an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageContent {
    /// How `source` is meant.
    #[serde(rename = "type")]
    pub source_type: SourceType,
    /// The bytes or their address.
    pub source: String,
    /// Its media type.
    #[serde(default)]
    #[schema(required = true)]
    pub media_type: Option<String>,
}

/// The kind of a picture by its first bytes, as the ending of a file's name; none for what is no picture of a kind that
/// models read.
pub fn picture_ending(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some("jpg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{FileContent, SourceType, UserMessage};

    fn file(source_type: SourceType, source: &str) -> FileContent {
        let size_bytes = Some(1);
        FileContent { source_type, source: source.to_owned(), name: "a".into(), media_type: None, size_bytes }
    }

    #[test]
    fn a_summary_is_small_whatever_the_message_holds() {
        for (chars, wanted) in [(0, 0), (499, 499), (500, 500), (501, 500), (100_000, 500)] {
            let text = "é".repeat(chars);
            let summary = UserMessage::text(text.clone()).summary().message;
            assert_eq!(summary.chars().count(), wanted);
            assert_eq!(summary == text, chars <= 500, "{chars}");
            assert_eq!(summary.ends_with('…'), chars > 500, "{chars}");
        }
        let long = format!("https://a.example/{}", "x".repeat(5_000));
        let files =
            vec![file(SourceType::Base64, "AAAA"), file(SourceType::Url, "/api/v2/a"), file(SourceType::Url, &long)];
        let message = UserMessage { images: vec!["AAAA".repeat(1_000)], files, ..UserMessage::text("Look.") };
        let summary = message.summary();
        let sources: Vec<_> = summary.files.iter().map(|file| file.source.as_str()).collect();
        assert_eq!((summary.images.len(), sources), (0, vec!["", "/api/v2/a", ""]));
    }

    #[test]
    fn what_is_no_picture_is_no_picture_of_a_message() {
        const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";
        let check = |picture: &str| {
            let message = serde_json::json!({"message": "Look.", "images": [picture]});
            crate::decode_json::<UserMessage>(&message).is_ok()
        };
        for picture in
            ["https://example.com/a", "http://example.com/a", "/api/v2/sessions/s/resources/attachments/a.png", PNG]
        {
            assert!(check(picture), "{picture}");
        }
        assert!(check(&format!("data:image/png;base64,{PNG}")) && check("data:image/bmp;base64,Qk0="));
        for other in
            ["", "?", "a", "javascript:alert(1)", "file:///etc/passwd", "aGVsbG8=", "data:text/html;base64,aGk="]
        {
            assert!(!check(other), "{other}");
        }
        for broken in [
            "data:image/png;base64,?",
            "data:image/png,hi",
            "data:image/png;base64",
            "data:image/png;base64,",
            &PNG[..9],
        ] {
            assert!(!check(broken), "{broken}");
        }
    }
}
