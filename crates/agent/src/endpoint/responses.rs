//! Requests and replies as `OpenAI`'s Responses spell them. Nothing is left with the host: each request holds the whole
//! conversation, with its thoughts in the sealed form in which the host gave them.

use super::{
    api::{Assemble, status_of_word},
    blocks,
    profile::Profile,
    reply::{CALLS_MAX, ReplyFault, counted, read_finish},
    said::{ErrorInside, error_in},
    wire::{Recipient, UNSEEN, effort_word, says_something},
};
use crate::{
    model::{ChatCall, ChatMessage, ChatReply, ChatRequest, Finish, Part, RawCall, TokenUsage},
    thinking,
};
use quarterdeck_api::ToolDefinition;
use serde_json::{Map, Value, json};

/// Items of one reply that are put together; a number in an event may be anything.
const ITEMS_MAX: usize = 20_000;

/// The body of `POST /responses`.
pub(super) fn body(request: &ChatRequest, to: &Recipient<'_>, stream: bool) -> Value {
    let profile = to.profile;
    let mut body = Map::new();
    body.insert("model".into(), to.model.into());
    body.insert("input".into(), request.messages.iter().flat_map(|message| items(message, to)).collect());
    body.insert("stream".into(), stream.into());
    body.insert("store".into(), false.into());
    if !profile.no_include {
        body.insert("include".into(), json!(["reasoning.encrypted_content"]));
    }
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if request.tool_required && !profile.no_tool_choice {
        body.insert("tool_choice".into(), "required".into());
    }
    if let Some(effort) = request.reasoning_effort.filter(|_| !profile.no_effort) {
        body.insert("reasoning".into(), json!({"effort": effort_word(effort)}));
    }
    body.into()
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": false,
    })
}

fn items(message: &ChatMessage, to: &Recipient<'_>) -> Vec<Value> {
    match message {
        message if !says_something(message) => Vec::new(),
        ChatMessage::System(text) => vec![json!({"role": "system", "content": text})],
        ChatMessage::User(parts) | ChatMessage::Note(parts) => {
            let content: Vec<Value> = parts.iter().map(|one| part(one, to.profile)).collect();
            vec![json!({"role": "user", "content": content})]
        }
        ChatMessage::Tool { call_id, content } => {
            vec![json!({"type": "function_call_output", "call_id": call_id, "output": content})]
        }
        ChatMessage::Assistant { content, calls, kept } => {
            let kept = kept.as_ref().filter(|kept| kept.origin == to.origin && !to.profile.nothing_kept);
            kept.and_then(|kept| blocks::restored(kept, calls, call)).unwrap_or_else(|| {
                let words = content.as_deref().filter(|words| !words.trim().is_empty());
                let words = words.map(spoken);
                words.into_iter().chain(calls.iter().map(call)).collect()
            })
        }
    }
}

fn part(part: &Part, profile: &Profile) -> Value {
    match part {
        Part::Text(text) => json!({"type": "input_text", "text": text}),
        Part::Image(_) if profile.no_pictures => json!({"type": "input_text", "text": UNSEEN}),
        Part::Image(uri) => json!({"type": "input_image", "image_url": uri}),
    }
}

/// llama.cpp takes no shorter form.
fn spoken(words: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]})
}

fn call(call: &ChatCall) -> Value {
    let arguments = Value::Object(call.arguments.clone()).to_string();
    json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
}

/// Reads a response. `model` is the name that was asked for.
pub(super) fn read(body: &Value, model: &str) -> Result<ChatReply, ReplyFault> {
    if let Some(error) = error_in(body) {
        let word = ["/error/code", "/error/type", "/code"].iter().find_map(|place| body.pointer(place)?.as_str());
        let status = error.status.or_else(|| status_of_word(word?));
        return Err(ReplyFault::Error(ErrorInside { status, ..error }));
    }
    let items = body.get("output").and_then(Value::as_array).ok_or(ReplyFault::NoMessage)?;
    let filled = |text: String| Some(text).filter(|text| !text.trim().is_empty());
    let spoken = filled(words(items, "output_text", "text")).or_else(|| filled(words(items, "refusal", "refusal")));
    let split = spoken.as_deref().map(thinking::split).unwrap_or_default();
    let mut calls: Vec<RawCall> = items.iter().filter(|item| is_call(item)).map(raw_call).collect();
    let kept =
        blocks::keep(items, &mut calls, is_call, |item| item["type"] == "message" && item.get("phase").is_none());
    Ok(ChatReply {
        model: model.to_owned(),
        model_is_known: false,
        content: split.words,
        reasoning: filled(thoughts(items)).or(split.thoughts),
        calls_left_out: calls.len().saturating_sub(CALLS_MAX),
        calls: calls.into_iter().take(CALLS_MAX).collect(),
        finish: finish(body)?,
        usage: body.get("usage").and_then(usage),
        cost: None,
        kept,
    })
}

fn parts<'a>(item: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    item.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn words(items: &[Value], kind: &str, member: &str) -> String {
    let messages = items.iter().filter(|item| item["type"] == "message");
    let parts = messages.flat_map(|item| parts(item, "content")).filter(|part| part["type"] == kind);
    parts.filter_map(|part| part[member].as_str()).collect()
}

/// What it thought, or what the host tells of it.
fn thoughts(items: &[Value]) -> String {
    let thoughts = items.iter().filter(|item| item["type"] == "reasoning");
    let parts = thoughts.flat_map(|item| parts(item, "content").chain(parts(item, "summary")));
    parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
}

fn is_call(item: &Value) -> bool {
    item["type"] == "function_call"
}

fn raw_call(item: &Value) -> RawCall {
    RawCall {
        id: ["call_id", "id"].iter().find_map(|name| item[name].as_str()).map(str::to_owned),
        name: item["name"].as_str().unwrap_or_default().to_owned(),
        arguments: RawCall::arguments_of(&item["arguments"]),
        extra: Map::new(),
    }
}

/// A response that is not complete is none, whatever it says.
fn finish(body: &Value) -> Result<Finish, ReplyFault> {
    match body["status"].as_str() {
        None | Some("completed") => Ok(Finish::Done),
        Some("incomplete") => match read_finish(body["incomplete_details"]["reason"].as_str().unwrap_or("length"))? {
            Finish::Done | Finish::Calls => Ok(Finish::CutOff),
            finish @ (Finish::CutOff | Finish::Stopped(_)) => Ok(finish),
        },
        Some(status) => Err(ReplyFault::BrokenOff(status.to_owned())),
    }
}

fn usage(usage: &Value) -> Option<TokenUsage> {
    usage.is_object().then(|| TokenUsage {
        input: counted(usage, "/input_tokens"),
        cached: counted(usage, "/input_tokens_details/cached_tokens"),
        output: counted(usage, "/output_tokens"),
        reasoning: counted(usage, "/output_tokens_details/reasoning_tokens"),
    })
}

/// A response under construction. The last event holds all of it; some hosts leave its items out there.
#[derive(Default)]
pub(super) struct Assembly {
    response: Option<Value>,
    items: Vec<Value>,
    error: Option<Value>,
}

impl Assemble for Assembly {
    fn take(&mut self, event: &str, data: &str) {
        let Some(data) = crate::loose::value(data) else { return };
        match data["type"].as_str().unwrap_or(event) {
            "response.output_item.done" => self.done(&data),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.response = Some(data["response"].clone());
            }
            "error" => self.error = Some(json!({"error": data.get("error").unwrap_or(&data)})),
            _ if data.get("object").is_some_and(|kind| kind == "response") => self.response = Some(data),
            _ if data.get("type").is_none() && error_in(&data).is_some() => self.error = Some(data),
            _ => {}
        }
    }

    fn finish(self) -> Option<Value> {
        if self.error.is_some() {
            return self.error;
        }
        let mut response = self.response.filter(Value::is_object)?;
        if response["output"].as_array().is_none_or(Vec::is_empty) {
            response["output"] = self.items.into_iter().filter(|item| !item.is_null()).collect();
        }
        Some(response)
    }
}

impl Assembly {
    fn done(&mut self, data: &Value) {
        let place = data["output_index"].as_u64().and_then(|place| usize::try_from(place).ok());
        let place = place.unwrap_or(self.items.len());
        if place >= ITEMS_MAX {
            return;
        }
        while self.items.len() <= place {
            self.items.push(Value::Null);
        }
        self.items[place] = data["item"].clone();
    }
}

#[cfg(test)]
mod tests;
