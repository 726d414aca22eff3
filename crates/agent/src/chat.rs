//! The transcript as a conversation with a model.
//!
//! Invariants, whatever the transcript holds:
//! - every call is followed at once by exactly one result: its own, or a note that there is none;
//! - what a person said while calls were open comes after their results;
//! - ids of calls are unique in the conversation, although the log's need not be;
//! - each reply of the model is exactly one assistant message, so that replies can be counted.

use crate::{
    SharedMessage,
    answer::ANSWER,
    gallery::{Gallery, PAGE_FIELDS, is_kept_here, is_page},
    host_members,
    model::{ChatCall, ChatMessage, HostMembers, Part, Progress},
    skills::announced,
    summary::{Summary, is_summary},
    text::{cut, fenced},
};
use quarterdeck_api::{
    AgentEvent, ImageContent, JsonObject, MessageContent, SourceType, ToolError, ToolRequest, ToolResult,
};
use serde_json::Value;
use std::{fmt::Write as _, sync::Arc};

/// A conversation under construction. It can be taken up again where it was, when its transcript has grown.
#[derive(Clone)]
pub(crate) struct Chat {
    shown: Shown,
    /// What was taken in.
    events: Vec<Arc<AgentEvent>>,
    messages: Vec<SharedMessage>,
    turn_start: usize,
    failures: Vec<usize>,
    /// The calls of the latest reply, until all have their results.
    open: Vec<OpenCall>,
    /// What came while calls were open.
    deferred: Vec<ChatMessage>,
    replies: usize,
    /// Whether the latest reply has not been followed by an answer yet.
    unanswered_reply: bool,
    /// Pictures of observations so far.
    pictures: usize,
    /// Pages so far.
    pages: usize,
    /// Where replies begin: the message, and the event that it is of.
    starts: Vec<(usize, usize)>,
    /// The event that is being taken in.
    place: usize,
}

/// What decides how events are shown, beside the events themselves.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) system: String,
    /// Characters of an output that are shown.
    pub(crate) output_max_chars: usize,
    pub(crate) gallery: Arc<Gallery>,
}

impl Shown {
    /// Whether all that was shown by `earlier` is shown as it was.
    fn keeps(&self, earlier: &Self) -> bool {
        self.system == earlier.system
            && self.output_max_chars == earlier.output_max_chars
            && self.gallery.keeps(&earlier.gallery)
    }
}

#[derive(Clone)]
struct OpenCall {
    id: String,
    request: ToolRequest,
    result: Option<String>,
}

impl Chat {
    /// Builds the conversation of a transcript.
    pub(crate) fn of(shown: Shown, transcript: &[Arc<AgentEvent>]) -> Self {
        let summary = Summary::latest(transcript);
        let covered = summary.as_ref().map_or(0, |summary| summary.covers);
        let mut chat = Self {
            messages: vec![ChatMessage::System(shown.system.clone()).into()],
            shown,
            events: Vec::new(),
            turn_start: 1,
            failures: Vec::new(),
            open: Vec::new(),
            deferred: Vec::new(),
            replies: 0,
            unanswered_reply: false,
            pictures: 0,
            pages: 0,
            starts: Vec::new(),
            place: 0,
        };
        for event in &transcript[..covered] {
            chat.pass_over(event);
        }
        chat.messages.extend(summary.map(|summary| summary.told().into()));
        chat.events.extend_from_slice(&transcript[..covered]);
        chat.take_in(&transcript[covered..]);
        chat
    }

    /// The conversation of a transcript that an earlier one may be the beginning of: only what is new is taken in.
    pub(crate) fn after(earlier: Option<Self>, shown: Shown, transcript: &[Arc<AgentEvent>]) -> Self {
        match earlier {
            Some(mut chat) if chat.is_beginning(&shown, transcript) => {
                let new = chat.events.len();
                chat.shown = shown;
                chat.take_in(&transcript[new..]);
                chat
            }
            Some(_) | None => Self::of(shown, transcript),
        }
    }

    /// Whether all that it took in stands at the beginning of the transcript, and would be shown as it is. A new summary
    /// stands in the place of what it covers.
    fn is_beginning(&self, shown: &Shown, transcript: &[Arc<AgentEvent>]) -> bool {
        let Some(new) = transcript.get(self.events.len()..) else { return false };
        let is_same = |(own, given): (&Arc<AgentEvent>, &Arc<AgentEvent>)| Arc::ptr_eq(own, given) || own == given;
        shown.keeps(&self.shown)
            && self.events.iter().zip(transcript).all(is_same)
            && !new.iter().any(|event| is_summary(event))
    }

    fn take_in(&mut self, events: &[Arc<AgentEvent>]) {
        for event in events {
            self.place = self.events.len();
            self.events.push(Arc::clone(event));
            if !is_summary(event) {
                self.take(event);
            }
        }
    }

    /// How it is told to a model now: with a note for each call that is still open.
    pub(crate) fn closed(mut self) -> Self {
        self.close();
        self
    }

    /// What a request is made of.
    pub(crate) fn into_parts(self) -> (Vec<SharedMessage>, Progress) {
        let progress = Progress { turn_start: self.turn_start, failures: self.failures, transcript: self.events };
        (self.messages, progress)
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.messages.iter().map(SharedMessage::bytes).sum::<usize>() + self.shown.gallery.bytes()
    }

    /// All messages.
    pub(crate) fn messages(&self) -> &[SharedMessage] {
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
                let is_left_out = is_page(event) && self.next_page() < self.shown.gallery.first_page;
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
                let text = cut(error, self.shown.output_max_chars);
                self.settle(request, format!("The call failed.\n{}", fenced(&request.tool_name, &text)));
            }
            AgentEvent::ErrorEvent(error) if error.origin == "model" => {
                self.failures.push(self.messages.len() + self.deferred.len());
            }
            AgentEvent::AnswerEvent { answer, .. } => {
                self.answer(|| serde_json::to_string(answer).unwrap_or_default());
            }
            AgentEvent::ErrorEvent(_) | AgentEvent::FlowEvent { .. } => {}
        }
    }

    fn say(&mut self, message: ChatMessage) {
        if self.open.is_empty() { self.messages.push(message.into()) } else { self.deferred.push(message) }
    }

    fn observe(&mut self, source: &str, text: Option<&str>, image: Option<&ImageContent>, metadata: Option<&str>) {
        let shown = [metadata, text].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let mut parts = vec![Part::Text(fenced(source, &cut(&shown, self.shown.output_max_chars)))];
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
        if self.shown.gallery.sees && number < self.shown.gallery.first_picture {
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
        if !self.shown.gallery.sees {
            return Part::Text("(a picture, which you cannot see)".into());
        }
        if let Some(here) = self.shown.gallery.find(image) {
            return Part::Image(data_uri(here));
        }
        match image.source_type {
            SourceType::Base64 => Part::Image(data_uri(image)),
            SourceType::Url if image.source.starts_with("data:") => Part::Image(image.source.clone()),
            SourceType::Url if is_kept_here(image) => Part::Text("(a picture that is gone)".into()),
            SourceType::Url => Part::Text(format!("(a picture that you cannot see, at {:?})", image.source)),
        }
    }

    fn reply(&mut self, content: Option<String>, requests: &[ToolRequest], kept: Option<HostMembers>) {
        self.close();
        self.starts.push((self.messages.len(), self.place));
        self.open = requests.iter().enumerate().map(|(place, request)| self.open_call(place, request)).collect();
        let calls = self.open.iter().map(OpenCall::as_asked).collect();
        self.messages.push(ChatMessage::Assistant { content, calls, kept }.into());
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
            self.messages.push(ChatMessage::Assistant { content: Some(text()), calls: Vec::new(), kept: None }.into());
        }
        self.close();
        self.unanswered_reply = false;
        self.turn_start = self.messages.len();
    }

    /// Settles what is open, and lets in what had to wait for it.
    fn close(&mut self) {
        for call in std::mem::take(&mut self.open) {
            let content = call.result.unwrap_or_else(|| "There is no result: the call was never finished.".into());
            self.messages.push(ChatMessage::Tool { call_id: call.id, content }.into());
        }
        self.messages.extend(self.deferred.drain(..).map(SharedMessage::from));
    }

    fn output(&self, result: &ToolResult) -> String {
        let text = match &result.result {
            Value::String(text) => cut(text, self.shown.output_max_chars),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                cut(&result.result.to_string(), self.shown.output_max_chars)
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
