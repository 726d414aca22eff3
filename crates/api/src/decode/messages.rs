//! Messages of the user.

use super::Decode;
use super::fields::{Fields, checked, list, nullable, some, tagged};
use super::json::Value;
use super::place::{Fault, Place};
use super::rules::{base64, ensure, files};
use super::scalars::{integer, text, text_ref, word};
use crate::messages::default_caller;
use crate::{FileContent, Messages, Skill, SourceType, UserMessage, picture_ending};
use serde::Deserialize;
use utoipa::ToSchema;

/// The most messages in a request: as many as may wait for one session.
const MESSAGES_MAX: usize = 1_000;
/// The most files in a message.
const FILES_MAX: usize = 10;
/// The largest sum of a message's files, in bytes.
const FILES_SIZE_MAX: usize = 7 * 1024 * 1024;

impl Decode for Messages {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        match value {
            Value::Str(text) => Some(Self::Text(text.to_string())),
            Value::Object(_) => UserMessage::decode(value, &at.field("object")).map(Box::new).map(Self::One),
            Value::Array(_) => at_most_that_wait(list(UserMessage::decode))(value, &at.field("list")).map(Self::Many),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
                at.refuse(Fault::new("messages_shape", "must be a text, a message or a list of messages"), value)
            }
        }
    }
}

/// A list of messages that can all wait for one session. What is wrong with one of them is told first.
fn at_most_that_wait(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<Vec<UserMessage>>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<Vec<UserMessage>> {
    move |value, at| {
        let messages = decode(value, at)?;
        if messages.len() > MESSAGES_MAX {
            let msg = format!("must have at most {MESSAGES_MAX} entries");
            return at.refuse(Fault::new("too_long", msg).with("max_length", MESSAGES_MAX), value);
        }
        Some(messages)
    }
}

impl Decode for UserMessage {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let kind = fields.tag("type", "user_message");
        let message = fields.required("message", text);
        let images = fields.or_empty("images", list(picture));
        let files = fields.or_empty("files", attached_files);
        let skills = fields.or_empty("skills", skills_without_files);
        let caller_id = fields.or_else("caller_id", default_caller, text);
        kind?;
        Some(Self { message: message?, images: images?, files: files?, skills: skills?, caller_id: caller_id? })
    }
}

/// A picture that comes with a message.
pub(crate) fn picture(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    checked(text, |source: &String| {
        ensure(is_picture(source), "must be a picture: a data URI, base64, or an address that begins with http")
    })(value, at)
}

/// Addresses are taken as they are; what stands here must be what it says.
fn is_picture(source: &str) -> bool {
    if ["http://", "https://", "/api/v2/sessions/"].iter().any(|start| source.starts_with(start)) {
        return true;
    }
    match source.strip_prefix("data:image/") {
        Some(rest) => rest
            .split_once(";base64,")
            .is_some_and(|(_, data)| base64::decode(data).is_some_and(|bytes| !bytes.is_empty())),
        None => base64::decode(source).is_some_and(|bytes| picture_ending(&bytes).is_some()),
    }
}

/// Files that come with a message: not too many, and together not too large.
fn attached_files(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<FileContent>> {
    if matches!(value, Value::Array(items) if items.len() > FILES_MAX) {
        let msg = format!("must have at most {FILES_MAX} entries");
        return at.refuse(Fault::new("too_long", msg).with("max_length", FILES_MAX), value);
    }
    let rule = |files: &Vec<FileContent>| {
        let size: usize = files.iter().map(carried_size).sum();
        ensure(size <= FILES_SIZE_MAX, &format!("all files together may not be larger than {FILES_SIZE_MAX} bytes"))
    };
    checked(list(FileContent::decode), rule)(value, at)
}

/// How many bytes a file brings along.
fn carried_size(file: &FileContent) -> usize {
    match file.source_type {
        SourceType::Base64 => file.source.trim_end_matches('=').len() / 4 * 3,
        SourceType::Url => 0,
    }
}

/// Skills that come with a message.
pub fn skills_without_files(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<Skill>> {
    let rule = |skills: &Vec<Skill>| {
        let without_files = skills.iter().all(|skill| skill.files.is_empty());
        ensure(without_files, "skills in a message may not have files")
    };
    checked(list(Skill::decode), rule)(value, at)
}

impl Decode for FileContent {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let source_type = fields.or("type", SourceType::Base64, source_type);
        let source = match source_type {
            Some(SourceType::Base64) => fields.required("source", base64_text),
            Some(SourceType::Url) | None => fields.required("source", text),
        };
        let name = fields.required("name", file_name);
        let media_type = fields.or("media_type", None, nullable(text));
        let size_bytes = fields.or("size_bytes", None, nullable(integer));
        Some(Self {
            source_type: source_type?,
            source: source?,
            name: name?,
            media_type: media_type?,
            size_bytes: size_bytes?,
        })
    }
}

fn base64_text(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    checked(text, |text| ensure(base64::decode(text).is_some(), "must be valid base64"))(value, at)
}

fn source_type(value: &Value<'_>, at: &Place<'_>) -> Option<SourceType> {
    word("literal_error", &[("base64", SourceType::Base64), ("url", SourceType::Url)], value, at)
}

/// The name of a file, cleaned.
fn file_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    files::clean_name(text_ref(value, at)?).map_or_else(|broken| at.refuse(Fault::rule(broken), value), Some)
}

/// The body of `POST /sessions/{id}/messages`.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(example = json!({"type": "user_message", "message": "Only in euros, please."}))]
pub enum MessagesBody {
    /// One message.
    #[serde(rename = "user_message")]
    Message(Box<UserMessage>),
    /// Several, to be processed in order.
    Batch {
        /// At least one.
        #[schema(min_items = 1)]
        messages: Vec<UserMessage>,
    },
}

impl MessagesBody {
    /// The messages in order.
    pub fn into_vec(self) -> Vec<UserMessage> {
        match self {
            Self::Message(message) => vec![*message],
            Self::Batch { messages } => messages,
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Message,
    Batch,
}

impl Decode for MessagesBody {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const SHAPES: [(&str, Shape); 2] = [("user_message", Shape::Message), ("batch", Shape::Batch)];
        let (tag, shape) = tagged("type", &SHAPES, value, at)?;
        let inside = at.field(tag);
        match shape {
            Shape::Message => UserMessage::decode(value, &inside).map(Box::new).map(Self::Message),
            Shape::Batch => decode_batch(value, &inside),
        }
    }
}

fn decode_batch(value: &Value<'_>, at: &Place<'_>) -> Option<MessagesBody> {
    let fields = Fields::of(value, at)?;
    let messages = fields.required("messages", at_most_that_wait(some(UserMessage::decode)));
    fields.only(&["type", "messages"])?;
    Some(MessagesBody::Batch { messages: messages? })
}
