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
