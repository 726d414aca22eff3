//! Events and parts of events that several transitions write.

use quarterdeck_api::{
    ActiveState, AgentEvent, AttachmentOrigin, EventData, FileContent, ImageContent, JsonObject, MessageContent,
    RunStatus, Skill, SourceType, ToolError, ToolRequest, UserMessage,
};
use serde_json::Value;

/// The type of the observation that a message's skill becomes.
pub const SKILL: &str = "skill";

/// What a file without a known kind is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

pub(crate) fn state_change(state: ActiveState, pending: Option<&[ToolRequest]>) -> EventData {
    EventData::ActiveStateChange { state, pending_tool_calls: pending.map(<[ToolRequest]>::to_vec) }
}

pub(crate) fn pause_now() -> EventData {
    EventData::AgentRunStatusChange { status: RunStatus::Paused }
}

pub(crate) fn resume_now() -> EventData {
    EventData::AgentRunStatusChange { status: RunStatus::Running }
}

/// How a message reads in the log.
pub(crate) fn message_event(message: &UserMessage) -> AgentEvent {
    let mut content = vec![MessageContent::Text(message.message.clone())];
    content.extend(message.images.iter().map(|image| MessageContent::Image(image_content(image))));
    AgentEvent::MessageEvent { caller_id: message.caller_id.clone(), content }
}

/// How a skill that came with a message reads in the log: the message's own event has no place for it.
pub(crate) fn skill_event(skill: &Skill) -> AgentEvent {
    let mut metadata = JsonObject::from_iter([
        ("name".to_owned(), Value::from(skill.name.clone())),
        ("description".to_owned(), Value::from(skill.description.clone())),
    ]);
    let optional = [("url_pattern", &skill.url_pattern), ("compatibility", &skill.compatibility)];
    let given = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?))));
    metadata.extend(given);
    AgentEvent::ObservationEvent { source: SKILL.into(), text: Some(skill.body.clone()), image: None, metadata }
}

/// How an attached file reads in the log; none when its bytes have no address.
pub(crate) fn attachment_event(file: &FileContent, origin: AttachmentOrigin) -> Option<EventData> {
    match file.source_type {
        SourceType::Base64 => None,
        SourceType::Url => Some(EventData::Attachment {
            origin,
            name: file.name.clone(),
            path: file.name.clone(),
            media_type: file.media_type.clone().unwrap_or_else(|| UNKNOWN_TYPE.into()),
            size_bytes: file.size_bytes.unwrap_or(0),
            url: file.source.clone(),
        }),
    }
}

/// How a file of a message reads in the log.
pub(crate) fn user_attachment_event(file: &FileContent) -> Option<EventData> {
    attachment_event(file, AttachmentOrigin::User)
}

/// An image given as an address, a data URI or bare base64.
fn image_content(image: &str) -> ImageContent {
    if image.starts_with("http://") || image.starts_with("https://") {
        return ImageContent { source_type: SourceType::Url, source: image.to_owned(), media_type: None };
    }
    if image.starts_with("/api/v2/sessions/") {
        let media_type = kept_picture_type(image).map(str::to_owned);
        return ImageContent { source_type: SourceType::Url, source: image.to_owned(), media_type };
    }
    match image.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, bytes)) => ImageContent {
            source_type: SourceType::Base64,
            source: bytes.to_owned(),
            media_type: Some(media_type.to_owned()),
        },
        None => ImageContent { source_type: SourceType::Base64, source: image.to_owned(), media_type: None },
    }
}

/// The media type of a picture that the server keeps, by the ending of its address.
fn kept_picture_type(address: &str) -> Option<&'static str> {
    match address.rsplit_once('.')?.1 {
        "jpg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

/// A call that is not made at all.
pub(crate) fn refused_call(call: ToolRequest, error: String) -> AgentEvent {
    AgentEvent::ErrorEvent(ToolError { error, origin: "server".into(), tool_req: Some(call) })
}

/// Why a call gets no result.
#[derive(Clone, Copy)]
pub(crate) enum Dropped {
    AnswerForced,
    SessionEnded,
}

pub(crate) fn dropped_call(call: ToolRequest, why: Dropped) -> AgentEvent {
    let error = match why {
        Dropped::AnswerForced => "the call was dropped because an answer was forced",
        Dropped::SessionEnded => "the session ended before the call returned",
    };
    refused_call(call, error.into())
}
