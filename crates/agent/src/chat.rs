//! The transcript as a conversation with a model.
//!
//! Invariants, whatever the transcript holds:
//! - every call is followed at once by exactly one result: its own, or a note that there is none;
//! - what a person said while calls were open comes after their results;
//! - ids of calls are unique in the conversation, although the log's need not be;
//! - each reply of the model is exactly one assistant message, so that replies can be counted.

use crate::{
    answer::ANSWER,
    gallery::{Gallery, PAGE_FIELDS, is_kept_here, is_page},
    host_members,
    model::{ChatCall, ChatMessage, Kept, Part, Progress},
    skills::announced,
    summary::{Summary, is_summary},
    text::{cut, fenced},
};
use quarterdeck_api::{
    AgentEvent, ImageContent, JsonObject, MessageContent, SourceType, ToolError, ToolRequest, ToolResult,
};
use serde_json::Value;
use std::{fmt::Write as _, sync::Arc};

/// A conversation under construction.
pub(crate) struct Chat<'a> {
    messages: Vec<ChatMessage>,
    progress: Progress,
    /// The calls of the latest reply, until all have their results.
    open: Vec<OpenCall>,
    /// What came while calls were open.
    deferred: Vec<ChatMessage>,
    replies: usize,
    /// Whether the latest reply has not been followed by an answer yet.
    unanswered_reply: bool,
    output_max_chars: usize,
    gallery: &'a Gallery,
    /// Pictures of observations so far.
    pictures: usize,
    /// Pages so far.
    pages: usize,
    /// Where replies begin: the message, and the event that it is of.
    starts: Vec<(usize, usize)>,
    /// The event that is being taken in.
    place: usize,
}

struct OpenCall {
    id: String,
    request: ToolRequest,
    result: Option<String>,
}

impl<'a> Chat<'a> {
    /// Builds the conversation below `system`. Of each output at most `output_max_chars` characters are shown, and of
    /// pictures and pages what `gallery` says.
    pub(crate) fn build(
        system: String,
        transcript: &[Arc<AgentEvent>],
        output_max_chars: usize,
        gallery: &'a Gallery,
    ) -> (Vec<ChatMessage>, Progress) {
        let chat = Self::of(system, transcript, output_max_chars, gallery);
        (chat.messages, chat.progress)
    }

    /// As [`Self::build`], before it is given away.
    pub(crate) fn of(
        system: String,
        transcript: &[Arc<AgentEvent>],
        output_max_chars: usize,
        gallery: &'a Gallery,
    ) -> Self {
        let summary = Summary::latest(transcript);
        let covered = summary.as_ref().map_or(0, |summary| summary.covers);
        let mut chat = Self {
            messages: vec![ChatMessage::System(system)],
            progress: Progress { turn_start: 1, failures: Vec::new(), transcript: transcript.to_vec() },
            open: Vec::new(),
            deferred: Vec::new(),
            replies: 0,
            unanswered_reply: false,
            output_max_chars,
            gallery,
            pictures: 0,
            pages: 0,
            starts: Vec::new(),
            place: 0,
        };
        for event in &transcript[..covered] {
            chat.pass_over(event);
        }
        chat.messages.extend(summary.map(|summary| summary.told()));
        for (place, event) in transcript.iter().enumerate().skip(covered).filter(|(_, event)| !is_summary(event)) {
            chat.place = place;
            chat.take(event);
        }
        chat.close();
        chat
    }

    /// All messages.
    pub(crate) fn messages(&self) -> &[ChatMessage] {
        &self.messages
    }

    /// Where replies begin, oldest first: the message, and the event that it is of.
    pub(crate) fn replies(&self) -> &[(usize, usize)] {
        &self.starts
    }

    /// What a summary covers is counted all the same: numbers in the rest must not change. What persons said is shown.
    fn pass_over(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::MessageEvent { .. } => self.take(event),
            AgentEvent::ObservationEvent { image, .. } => {
                self.pictures += usize::from(image.is_some());
                self.pages += usize::from(is_page(event));
            }
            AgentEvent::PolicyEvent { .. } => self.replies += 1,
            AgentEvent::ToolResult(_)
            | AgentEvent::AnswerEvent { .. }
            | AgentEvent::ErrorEvent(_)
            | AgentEvent::FlowEvent { .. } => {}
        }
    }

    fn take(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::MessageEvent { content, .. } => {
                self.say(ChatMessage::User(content.iter().map(|content| self.part(content)).collect()));
            }
            AgentEvent::ObservationEvent { source, text, image, metadata } => {
                if let Some(skill) = announced(event) {
                    return self.say(note(skill));
                }
                let is_left_out = is_page(event) && self.next_page() < self.gallery.first_page;
                let (text, metadata) =
                    if is_left_out { (None, of_page(metadata)) } else { (text.as_deref(), metadata.clone()) };
                let metadata = (!metadata.is_empty()).then(|| Value::Object(metadata).to_string());
                self.observe(source, text, image.as_ref(), metadata.as_deref());
            }
            AgentEvent::PolicyEvent { content, tool_reqs, validation_errors, kept, reasoning_content }
                if validation_errors.is_empty() =>
            {
                let kept = kept.as_deref();
                let kept = kept.and_then(|kept| host_members::read(kept, reasoning_content.as_deref(), tool_reqs));
                self.reply(content.clone(), tool_reqs, kept);
            }
            AgentEvent::PolicyEvent { content, validation_errors, .. } => {
                self.reply(content.clone(), &[], None);
                self.say(note(complaint(validation_errors)));
            }
            AgentEvent::ToolResult(result) => self.settle(&result.tool_req, self.output(result)),
            AgentEvent::ErrorEvent(ToolError { error, tool_req: Some(request), .. }) => {
                let text = cut(error, self.output_max_chars);
                self.settle(request, format!("The call failed.\n{}", fenced(&request.tool_name, &text)));
            }
            AgentEvent::ErrorEvent(error) if error.origin == "model" => {
                self.progress.failures.push(self.messages.len() + self.deferred.len());
            }
            AgentEvent::AnswerEvent { answer, .. } => {
                self.answer(|| serde_json::to_string(answer).unwrap_or_default());
            }
            AgentEvent::ErrorEvent(_) | AgentEvent::FlowEvent { .. } => {}
        }
    }

    fn say(&mut self, message: ChatMessage) {
        if self.open.is_empty() { self.messages.push(message) } else { self.deferred.push(message) }
    }

    fn observe(&mut self, source: &str, text: Option<&str>, image: Option<&ImageContent>, metadata: Option<&str>) {
        let shown = [metadata, text].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let mut parts = vec![Part::Text(fenced(source, &cut(&shown, self.output_max_chars)))];
        parts.extend(image.map(|image| self.observed(image)));
        self.say(ChatMessage::Note(parts));
    }

    fn next_page(&mut self) -> usize {
        self.pages += 1;
        self.pages - 1
    }

    fn observed(&mut self, image: &ImageContent) -> Part {
        let number = self.pictures;
        self.pictures += 1;
        if self.gallery.sees && number < self.gallery.first_picture {
            return Part::Text(format!("(picture {}, left out: only the latest are shown)", number + 1));
        }
        self.picture(image)
    }

    fn part(&self, content: &MessageContent) -> Part {
        match content {
            MessageContent::Text(text) => Part::Text(text.clone()),
            MessageContent::Image(image) => self.picture(image),
            MessageContent::Unknown(value) => Part::Text(value.to_string()),
        }
    }

    /// Only a picture that is here is shown. An address is told, not passed on: the model's host would fetch it,
    /// and may stand where the address leads to something private.
    fn picture(&self, image: &ImageContent) -> Part {
        if !self.gallery.sees {
            return Part::Text("(a picture, which you cannot see)".into());
        }
        if let Some(here) = self.gallery.find(image) {
            return Part::Image(data_uri(here));
        }
        match image.source_type {
            SourceType::Base64 => Part::Image(data_uri(image)),
            SourceType::Url if image.source.starts_with("data:") => Part::Image(image.source.clone()),
            SourceType::Url if is_kept_here(image) => Part::Text("(a picture that is gone)".into()),
            SourceType::Url => Part::Text(format!("(a picture that you cannot see, at {:?})", image.source)),
        }
    }

    fn reply(&mut self, content: Option<String>, requests: &[ToolRequest], kept: Option<Kept>) {
        self.close();
        self.starts.push((self.messages.len(), self.place));
        self.open = requests.iter().enumerate().map(|(place, request)| self.open_call(place, request)).collect();
        let calls = self.open.iter().map(OpenCall::as_asked).collect();
        self.messages.push(ChatMessage::Assistant { content, calls, kept });
        self.replies += 1;
        self.unanswered_reply = true;
    }

    /// Nine letters and digits: some hosts accept no other form.
    fn open_call(&self, place: usize, request: &ToolRequest) -> OpenCall {
        OpenCall { id: format!("c{:05}{place:03}", self.replies), request: request.clone(), result: None }
    }

    /// The log repeats the call as it was asked, but an older one may name its id only.
    fn settle(&mut self, request: &ToolRequest, result: String) {
        let open = |call: &OpenCall| call.result.is_none();
        let same = |call: &OpenCall| call.request == *request;
        let same_id = |call: &OpenCall| request.id.is_some() && call.request.id == request.id;
        let same_name = |call: &OpenCall| call.request.tool_name == request.tool_name;
        let found = position(&self.open, |call| open(call) && same(call))
            .or_else(|| position(&self.open, |call| open(call) && same_id(call)))
            .or_else(|| position(&self.open, |call| open(call) && same_name(call)));
        match found {
            Some(place) => self.open[place].result = Some(result),
            None => self.say(note(result)),
        }
        if self.open.iter().all(|call| call.result.is_some()) {
            self.close();
        }
    }

    /// An answer repeats what the reply before it said, or settles the call that gave it.
    fn answer(&mut self, text: impl FnOnce() -> String) {
        if let Some(call) = self.open.iter_mut().find(|call| call.request.tool_name == ANSWER) {
            call.result = Some("The answer was given to the user.".into());
        } else if !self.unanswered_reply {
            self.close();
            self.messages.push(ChatMessage::Assistant { content: Some(text()), calls: Vec::new(), kept: None });
        }
        self.close();
        self.unanswered_reply = false;
        self.progress.turn_start = self.messages.len();
    }

    /// Settles what is open, and lets in what had to wait for it.
    fn close(&mut self) {
        for call in std::mem::take(&mut self.open) {
            let content = call.result.unwrap_or_else(|| "There is no result: the call was never finished.".into());
            self.messages.push(ChatMessage::Tool { call_id: call.id, content });
        }
        self.messages.append(&mut self.deferred);
    }

    fn output(&self, result: &ToolResult) -> String {
        let text = match &result.result {
            Value::String(text) => cut(text, self.output_max_chars),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                cut(&result.result.to_string(), self.output_max_chars)
            }
        };
        let mut shown = fenced(&result.tool_req.tool_name, &text);
        if result.truncated {
            let _ = match &result.output_artifact_path {
                Some(path) => write!(shown, "\n(The output was cut; all of it is at {path:?}.)"),
                None => write!(shown, "\n(The output was cut.)"),
            };
        }
        shown
    }
}

impl OpenCall {
    fn as_asked(&self) -> ChatCall {
        ChatCall {
            id: self.id.clone(),
            name: self.request.tool_name.clone(),
            arguments: self.request.args.clone().unwrap_or_default(),
        }
    }
}

fn position(calls: &[OpenCall], matches: impl Fn(&OpenCall) -> bool) -> Option<usize> {
    calls.iter().position(matches)
}

/// A remark of the server's to the model.
pub(crate) fn note(text: String) -> ChatMessage {
    ChatMessage::Note(vec![Part::Text(text)])
}

fn complaint(errors: &[String]) -> String {
    let errors = errors.join("\n- ");
    format!(
        "Your last reply could not be used, and nothing of it was done:\n- {errors}\nReply again without this fault."
    )
}

/// What is kept of the metadata of an older page.
fn of_page(metadata: &JsonObject) -> JsonObject {
    let kept = metadata.iter().filter(|(name, _)| PAGE_FIELDS.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn data_uri(image: &ImageContent) -> String {
    if image.source.starts_with("data:") {
        return image.source.clone();
    }
    let media_type = image.media_type.as_deref().unwrap_or_else(|| sniffed(&image.source));
    format!("data:{media_type};base64,{}", image.source)
}

/// By how the first bytes of each format look in base64.
fn sniffed(base64: &str) -> &'static str {
    match base64.get(..4) {
        Some("/9j/") => "image/jpeg",
        Some("R0lG") => "image/gif",
        Some("UklG") => "image/webp",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests;
