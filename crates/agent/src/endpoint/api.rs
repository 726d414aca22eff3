//! The interfaces that an endpoint may be spoken to by: chat completions, Anthropic's Messages and `OpenAI`'s Responses.
//! They differ in how a request is written and a reply is read; all that comes before and after is the same.

use super::{
    messages,
    reply::{self, ReplyFault},
    responses,
    stream::{self, Events},
    wire::{self, Recipient},
};
use crate::model::{ChatReply, ChatRequest};
use serde_json::Value;

/// An interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelApi {
    /// `POST /chat/completions`, which nearly all hosts speak.
    #[default]
    Chat,
    /// Anthropic's `POST /messages`.
    Messages,
    /// `OpenAI`'s `POST /responses`.
    Responses,
}

impl ModelApi {
    /// Where it is, below the base URL.
    pub(super) fn path(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["chat", "completions"],
            Self::Messages => &["messages"],
            Self::Responses => &["responses"],
        }
    }

    /// What may be sent back only to a model that was asked by this interface.
    pub(super) fn origin(self, address: &str, model: &str) -> String {
        match self {
            Self::Chat => format!("{address}#{model}"),
            Self::Messages => format!("{address}/messages#{model}"),
            Self::Responses => format!("{address}/responses#{model}"),
        }
    }

    /// The body of a request, as JSON.
    pub(super) fn body(self, request: &ChatRequest, to: &Recipient<'_>, stream: bool) -> Vec<u8> {
        match self {
            Self::Chat => wire::body(request, to, stream),
            Self::Messages => wire::json_bytes(&messages::body(request, to, stream)),
            Self::Responses => wire::json_bytes(&responses::body(request, to, stream)),
        }
    }

    pub(super) fn read(self, body: Value, model: &str) -> Result<ChatReply, ReplyFault> {
        match self {
            Self::Chat => reply::read(body, model),
            Self::Messages => messages::read(&body, model),
            Self::Responses => responses::read(&body, model),
        }
    }

    /// What a stream amounts to; none when it ended before the reply was whole.
    pub(super) fn assembled(self, stream: &[u8]) -> Option<Value> {
        match self {
            Self::Chat => assembled::<stream::Assembly>(stream),
            Self::Messages => assembled::<messages::Assembly>(stream),
            Self::Responses => assembled::<responses::Assembly>(stream),
        }
    }

    /// Whether a stream says that nothing follows: some hosts leave the connection open.
    pub(super) fn is_over(self, stream: &[u8]) -> bool {
        let stream = stream.trim_ascii_end();
        if stream.ends_with(b"data: [DONE]") {
            return true;
        }
        // What is no stream may be long, and is not looked through for each of its pieces.
        if self == Self::Chat || !(stream.starts_with(b"event:") || stream.starts_with(b"data:")) {
            return false;
        }
        let last = stream.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
        let ends: &[&[u8]] = match self {
            Self::Chat => &[],
            Self::Messages => &[b"event: message_stop\n", b"event: error\n"],
            Self::Responses => &[
                b"event: response.completed\n",
                b"event: response.incomplete\n",
                b"event: response.failed\n",
                b"event: error\n",
            ],
        };
        // The last event is whole only with its empty line, which has been cut off above.
        let last = stream.get(last..).unwrap_or_default();
        ends.iter().any(|end| last.starts_with(end)) && last.ends_with(b"}")
    }
}

/// A reply that comes in pieces, put together.
pub(super) trait Assemble: Default {
    /// Takes in the data of one event.
    fn take(&mut self, event: &str, data: &str);

    /// The reply as it would have come in one piece; none when it ended before it was over.
    fn finish(self) -> Option<Value>;
}

fn assembled<A: Assemble>(stream: &[u8]) -> Option<Value> {
    let mut assembly = A::default();
    let mut events = Events::default();
    events.push(stream, |event, data| assembly.take(event, data));
    events.finish(|event, data| assembly.take(event, data));
    assembly.finish()
}

/// The status that an error's word stands for, as Anthropic and `OpenAI` use them.
pub(super) fn status_of_word(word: &str) -> Option<u16> {
    Some(match word {
        "invalid_request_error" | "invalid_prompt" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" => 429,
        "api_error" | "server_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_seen() {
        let over: [(ModelApi, &[u8]); 4] = [
            (ModelApi::Chat, b"data: {}\n\ndata: [DONE]\n\n"),
            (ModelApi::Messages, b"event: ping\ndata: {}\n\nevent: message_stop\ndata: {}\n\n"),
            (ModelApi::Responses, b"event: response.completed\ndata: {\"a\": {}}\n\n"),
            (ModelApi::Responses, b"data: [DONE]\n\n"),
        ];
        for (api, stream) in over {
            assert!(api.is_over(stream));
        }
        let open: [(ModelApi, &[u8]); 4] = [
            (ModelApi::Chat, b"data: {}\n\n"),
            (ModelApi::Messages, b"event: message_delta\ndata: {}\n\n"),
            (ModelApi::Messages, b"event: message_stop\n"),
            (ModelApi::Responses, b"event: response.completed\ndata: {\"a\": \"x"),
        ];
        for (api, stream) in open {
            assert!(!api.is_over(stream));
        }
    }
}
