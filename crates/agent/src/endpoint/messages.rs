//! Requests and replies as Anthropic's Messages spell them.

use super::{
    api::{Assemble, status_of_word},
    blocks,
    profile::Profile,
    reply::{CALLS_MAX, ReplyFault, counted, read_finish},
    said::{ErrorInside, error_in},
    stream::merge,
    wire::{Recipient, UNSEEN, says_something},
};
use crate::{
    SharedMessage,
    model::{ChatCall, ChatMessage, ChatReply, ChatRequest, Finish, Part, RawCall, TokenUsage},
    thinking,
};
use quarterdeck_api::{ReasoningEffort, ToolDefinition};
use serde_json::{Map, Value, json};

/// Tokens that a reply may have, thoughts included: the interface wants a number. A model that takes fewer says so, and
/// is heeded.
pub(super) const OUTPUT_MAX_TOKENS: u64 = 16_384;
/// Blocks of one reply that are put together; a number in an event may be anything.
const BLOCKS_MAX: usize = 20_000;

/// The body of `POST /messages`.
pub(super) fn body(request: &ChatRequest, to: &Recipient<'_>, stream: bool) -> Value {
    let profile = to.profile;
    let max_tokens = profile.output_tokens.unwrap_or(OUTPUT_MAX_TOKENS);
    let mut body = Map::new();
    body.insert("model".into(), to.model.into());
    body.insert("max_tokens".into(), max_tokens.into());
    let system = system(&request.messages);
    if !system.is_empty() {
        body.insert("system".into(), json!([marked(json!({"type": "text", "text": system}), profile)]));
    }
    body.insert("messages".into(), messages(&request.messages, to).into());
    body.insert("stream".into(), stream.into());
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if request.tool_required && !profile.no_tool_choice {
        // While it has to call, it cannot think.
        body.insert("tool_choice".into(), json!({"type": "any"}));
    } else if let Some(effort) = request.reasoning_effort.filter(|_| !profile.no_effort) {
        think(&mut body, effort, max_tokens, profile.adaptive);
    }
    body.into()
}

/// Newer models think as long as they see fit, older ones within a number of tokens.
fn think(body: &mut Map<String, Value>, effort: ReasoningEffort, max_tokens: u64, is_adaptive: bool) {
    let (word, share) = match effort {
        ReasoningEffort::Disabled => return,
        ReasoningEffort::Low => ("low", 8),
        ReasoningEffort::Medium => ("medium", 4),
        ReasoningEffort::Xhigh => ("high", 2),
    };
    if is_adaptive {
        body.insert("thinking".into(), json!({"type": "adaptive"}));
        body.insert("output_config".into(), json!({"effort": word}));
    } else {
        let budget = (max_tokens / share).max(1_024);
        body.insert("thinking".into(), json!({"type": "enabled", "budget_tokens": budget}));
    }
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema})
}

fn system(messages: &[SharedMessage]) -> String {
    let texts = messages.iter().filter_map(|message| match &**message {
        ChatMessage::System(text) => Some(text.as_str()),
        ChatMessage::User(_) | ChatMessage::Note(_) | ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

/// Marks what comes up to here as worth keeping until the next request.
fn marked(mut block: Value, profile: &Profile) -> Value {
    if !profile.no_cache_marks {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
    block
}

/// The user and the assistant take turns, and the user's side begins; results come first in a turn.
fn messages(messages: &[SharedMessage], to: &Recipient<'_>) -> Vec<Value> {
    let spoken =
        messages.iter().filter(|message| !matches!(***message, ChatMessage::System(_)) && says_something(message));
    let mut sent: Vec<(bool, Vec<Value>)> = Vec::new();
    for message in spoken {
        let is_user = !matches!(**message, ChatMessage::Assistant { .. });
        let blocks = blocks_of(message, to);
        if sent.is_empty() && !is_user {
            sent.push((true, vec![text("Go on.")]));
        }
        match sent.last_mut() {
            Some((last, known)) if *last == is_user => known.extend(blocks),
            _ => sent.push((is_user, blocks)),
        }
    }
    sent.retain(|(_, blocks)| !blocks.is_empty());
    if let Some(block) = sent.last_mut().filter(|(is_user, _)| *is_user).and_then(|(_, blocks)| blocks.last_mut()) {
        *block = marked(block.take(), to.profile);
    }
    let role = |is_user| if is_user { "user" } else { "assistant" };
    sent.into_iter().map(|(is_user, blocks)| json!({"role": role(is_user), "content": blocks})).collect()
}

fn blocks_of(message: &ChatMessage, to: &Recipient<'_>) -> Vec<Value> {
    match message {
        ChatMessage::System(_) => Vec::new(),
        ChatMessage::User(parts) | ChatMessage::Note(parts) => {
            parts.iter().filter_map(|one| part(one, to.profile)).collect()
        }
        ChatMessage::Tool { call_id, content } => {
            vec![json!({"type": "tool_result", "tool_use_id": call_id, "content": content})]
        }
        ChatMessage::Assistant { content, calls, kept } => {
            let kept = kept.as_ref().filter(|kept| kept.origin == to.origin && !to.profile.nothing_kept);
            kept.and_then(|kept| blocks::restored(kept, calls, call)).unwrap_or_else(|| {
                let words = content.as_deref().filter(|words| !words.trim().is_empty());
                words.map(|words| text(words.trim_end())).into_iter().chain(calls.iter().map(call)).collect()
            })
        }
    }
}

fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

fn call(call: &ChatCall) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
}

/// Blank texts are refused.
fn part(part: &Part, profile: &Profile) -> Option<Value> {
    match part {
        Part::Text(words) => (!words.trim().is_empty()).then(|| text(words)),
        Part::Image(_) if profile.no_pictures => Some(text(UNSEEN)),
        Part::Image(uri) => Some(match uri.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((kind, data)) => {
                json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
            }
            None => text(UNSEEN),
        }),
    }
}

/// Reads a message. `model` is the name that was asked for.
pub(super) fn read(body: &Value, model: &str) -> Result<ChatReply, ReplyFault> {
    if let Some(error) = error_in(body) {
        let word = ["/error/type", "/error/code"].iter().find_map(|place| body.pointer(place)?.as_str());
        let status = error.status.or_else(|| status_of_word(word?));
        return Err(ReplyFault::Error(ErrorInside { status, ..error }));
    }
    let blocks = body.get("content").and_then(Value::as_array).ok_or(ReplyFault::NoMessage)?;
    let texts = |kind: &str, member: &str| {
        let of_kind = blocks.iter().filter(|block| block["type"] == kind);
        of_kind.filter_map(|block| block[member].as_str()).collect::<String>()
    };
    let filled = |text: String| Some(text).filter(|text| !text.trim().is_empty());
    let split = filled(texts("text", "text")).as_deref().map(thinking::split).unwrap_or_default();
    let mut calls: Vec<RawCall> = blocks.iter().filter(|block| is_call(block)).map(raw_call).collect();
    let kept = blocks::keep(blocks, &mut calls, is_call, |block| block["type"] == "text");
    Ok(ChatReply {
        model: model.to_owned(),
        model_is_known: false,
        content: split.words,
        reasoning: filled(texts("thinking", "thinking")).or(split.thoughts),
        calls_left_out: calls.len().saturating_sub(CALLS_MAX),
        calls: calls.into_iter().take(CALLS_MAX).collect(),
        finish: finish(body)?,
        usage: body.get("usage").and_then(usage),
        cost: None,
        kept,
    })
}

fn is_call(block: &Value) -> bool {
    block["type"] == "tool_use"
}

fn raw_call(block: &Value) -> RawCall {
    RawCall {
        id: block["id"].as_str().map(str::to_owned),
        name: block["name"].as_str().unwrap_or_default().to_owned(),
        arguments: RawCall::arguments_of(&block["input"]),
        extra: Map::new(),
    }
}

fn finish(body: &Value) -> Result<Finish, ReplyFault> {
    let reason = body["stop_reason"].as_str().unwrap_or_default();
    let why = ["explanation", "category"].iter().find_map(|name| body["stop_details"][name].as_str());
    Ok(match (read_finish(reason)?, why) {
        (Finish::Stopped(reason), Some(why)) => Finish::Stopped(format!("{reason}: {why}")),
        (finish, _) => finish,
    })
}

/// What is read from a cache, or written to one, is not among the tokens that count as read.
fn usage(usage: &Value) -> Option<TokenUsage> {
    let cached = counted(usage, "/cache_read_input_tokens");
    let written = counted(usage, "/cache_creation_input_tokens");
    usage.is_object().then(|| TokenUsage {
        input: counted(usage, "/input_tokens").saturating_add(cached).saturating_add(written),
        cached,
        output: counted(usage, "/output_tokens"),
        reasoning: counted(usage, "/output_tokens_details/thinking_tokens"),
    })
}

/// A message under construction.
#[derive(Default)]
pub(super) struct Assembly {
    message: Option<Value>,
    blocks: Vec<Value>,
    error: Option<Value>,
    is_over: bool,
}

impl Assemble for Assembly {
    fn take(&mut self, event: &str, data: &str) {
        let Some(data) = crate::loose::value(data) else { return };
        match data["type"].as_str().unwrap_or(event) {
            "message_start" => self.message = Some(data["message"].clone()),
            "content_block_start" => {
                if let Some(block) = self.block(&data) {
                    *block = data["content_block"].clone();
                }
            }
            "content_block_delta" => {
                if let Some(block) = self.block(&data) {
                    grow(block, &data["delta"]);
                }
            }
            "message_delta" => self.change(&data),
            "message_stop" => self.is_over = true,
            _ if error_in(&data).is_some() => self.error = Some(data),
            _ => {}
        }
    }

    fn finish(self) -> Option<Value> {
        if self.error.is_some() {
            return self.error;
        }
        let mut message = self.message.filter(Value::is_object)?;
        let is_over = self.is_over || !message["stop_reason"].is_null();
        message["content"] = self.blocks.into_iter().filter(|block| !block.is_null()).collect();
        is_over.then_some(message)
    }
}

impl Assembly {
    fn block(&mut self, data: &Value) -> Option<&mut Value> {
        let place = usize::try_from(data["index"].as_u64()?).ok().filter(|place| *place < BLOCKS_MAX)?;
        while self.blocks.len() <= place {
            self.blocks.push(Value::Null);
        }
        self.blocks.get_mut(place)
    }

    fn change(&mut self, data: &Value) {
        let Some(message) = self.message.as_mut().and_then(Value::as_object_mut) else { return };
        for (name, value) in data["delta"].as_object().into_iter().flatten() {
            message.insert(name.clone(), value.clone());
        }
        let Some(usage) = data["usage"].as_object() else { return };
        if let Some(known) = message.entry("usage").or_insert_with(|| json!({})).as_object_mut() {
            known.extend(
                usage.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
    }
}

/// A delta says by its type what grows; the input of a call comes as the text of its JSON.
fn grow(block: &mut Value, delta: &Value) {
    if !block.is_object() {
        *block = json!({});
    }
    if let Some(json) = delta["partial_json"].as_str() {
        let before = block["input"].as_str().unwrap_or_default().to_owned();
        block["input"] = (before + json).into();
        return;
    }
    if let Some(citation) = delta.get("citation") {
        if let Some(citations) = block.as_object_mut().map(|block| block.entry("citations").or_insert(Value::Null)) {
            let mut known = citations.as_array().cloned().unwrap_or_default();
            known.push(citation.clone());
            *citations = known.into();
        }
        return;
    }
    let Some((block, delta)) = block.as_object_mut().zip(delta.as_object()) else { return };
    for (name, more) in delta.iter().filter(|(name, _)| *name != "type") {
        merge(block.entry(name.clone()).or_insert(Value::Null), more);
    }
}

#[cfg(test)]
mod tests;
