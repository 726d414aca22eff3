//! Events and parts of events that several transitions write.

use quarterdeck_api::{
    ActiveState, AgentEvent, AttachmentOrigin, EventData, FileContent, ImageContent, MessageContent, RunStatus,
    SourceType, ToolError, ToolRequest, UserMessage,
};

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

/// How an attached file reads in the log; none when its bytes have no address.
pub(crate) fn attachment_event(file: &FileContent) -> Option<EventData> {
    match file.source_type {
        SourceType::Base64 => None,
        SourceType::Url => Some(EventData::Attachment {
            origin: AttachmentOrigin::User,
            name: file.name.clone(),
            path: file.name.clone(),
            media_type: file.media_type.clone().unwrap_or_else(|| UNKNOWN_TYPE.into()),
            size_bytes: file.size_bytes.unwrap_or(0),
            url: file.source.clone(),
        }),
    }
}

/// An image given as an address, a data URI or bare base64.
fn image_content(image: &str) -> ImageContent {
    if image.starts_with("http://") || image.starts_with("https://") {
        return ImageContent { source_type: SourceType::Url, source: image.to_owned(), media_type: None };
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
    AgentEvent::ErrorEvent(ToolError { error: error.into(), origin: "server".into(), tool_req: Some(call) })
}
