//! A request as chat completions spell it.

use super::profile::Profile;
use crate::{
    SharedMessage,
    model::{ChatCall, ChatMessage, ChatRequest, HostMembers, Part},
};
use quarterdeck_api::{ReasoningEffort, ToolDefinition};
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};
use std::{borrow::Cow, fmt::Write as _};

/// What stands where a picture was that a model cannot see.
pub(super) const UNSEEN: &str = "(A picture was here. You cannot see pictures.)";
/// What an assistant says where a user may not speak yet.
const GO_ON: &str = "I have seen the result.";

/// Whom a request goes to.
pub(super) struct Recipient<'a> {
    pub(super) model: &'a str,
    /// Only what came from here is sent back beside the common members.
    pub(super) origin: &'a str,
    pub(super) profile: &'a Profile,
}

/// The body of `POST /chat/completions`, as JSON. What is not set is left out: not every endpoint knows every field.
pub(super) fn body(request: &ChatRequest, to: &Recipient<'_>, stream: bool) -> Vec<u8> {
    let profile = to.profile;
    let mut rest = Map::new();
    rest.insert("stream".into(), stream.into());
    if !request.tools.is_empty() && !profile.no_tools {
        rest.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if request.tool_required && !profile.no_tool_choice && !profile.no_tools {
        rest.insert("tool_choice".into(), "required".into());
    }
    if let Some(effort) = request.reasoning_effort.filter(|_| !profile.no_effort) {
        rest.insert("reasoning_effort".into(), effort_word(effort).into());
    }
    if let Some(schema) = &request.reply_schema {
        let shape = json!({"name": "reply", "strict": true, "schema": schema});
        rest.insert("response_format".into(), json!({"type": "json_schema", "json_schema": shape}));
    }
    let messages = if profile.no_system || profile.no_tools {
        rewritten(request, to).into_iter().map(Sent::Written).collect()
    } else {
        messages(&request.messages, to)
    };
    json_bytes(&Body { model: to.model, messages, rest })
}

/// JSON that was put together here, and so can be written.
pub(super) fn json_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Sent<'a>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A message of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Sent<'a> {
    /// As it was written for an earlier request, mostly.
    Formed(Cow<'a, RawValue>),
    /// Written for this request.
    Written(Value),
}

/// For hosts that refuse the usual shapes, every message is written anew.
fn rewritten(request: &ChatRequest, to: &Recipient<'_>) -> Vec<Value> {
    let sent = messages(&request.messages, to);
    let mut sent: Vec<Value> = sent.into_iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
    if to.profile.no_system {
        without_system(&mut sent);
    }
    if to.profile.no_tools {
        in_words(&mut sent, &request.tools);
    }
    sent
}

/// The highest word that all endpoints share is `high`.
pub(super) fn effort_word(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Disabled => "none",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::Xhigh => "high",
    }
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
    })
}

/// A conversation in the shape that hosts insist on: an assistant's message says something, a remark of the server's
/// goes with the result it follows, and neighbouring messages of the user's side become one.
fn messages<'a>(messages: &'a [SharedMessage], to: &Recipient<'_>) -> Vec<Sent<'a>> {
    let mut sent: Vec<Sent<'a>> = Vec::with_capacity(messages.len());
    let spoken: Vec<_> = messages.iter().filter(|message| says_something(message)).collect();
    let same_turn = |a: &&SharedMessage, b: &&SharedMessage| user_parts(a).is_some() && user_parts(b).is_some();
    // The result that the latest message is of.
    let mut result: Option<&ChatMessage> = None;
    for group in spoken.chunk_by(same_turn) {
        let mut group = group;
        let mut remarks = String::new();
        while result.is_some()
            && let [first, rest @ ..] = group
            && let ChatMessage::Note(parts) = &***first
            && let Some(text) = only_text(parts)
        {
            remarks.push_str("\n\n");
            remarks.push_str(&text);
            group = rest;
        }
        if let Some(ChatMessage::Tool { call_id, content }) = result.filter(|_| !remarks.is_empty()) {
            sent.pop();
            sent.push(Sent::Written(tool_result(call_id, &format!("{content}{remarks}"))));
        }
        let [first, rest @ ..] = group else { continue };
        if to.profile.strict_roles && result.is_some() && user_parts(first).is_some() {
            sent.push(Sent::Written(json!({"role": "assistant", "content": GO_ON})));
        }
        sent.push(if rest.is_empty() { alone(first, to) } else { Sent::Written(of_user(group, to)) });
        result = Some(&***first).filter(|message| matches!(message, ChatMessage::Tool { .. }));
    }
    sent
}

/// A message that stands by itself. Where nothing but the message decides how it is written, it is written once.
fn alone<'a>(message: &'a SharedMessage, to: &Recipient<'_>) -> Sent<'a> {
    const PLAIN: u8 = 0;
    const TEXT_CONTENT: u8 = 1;
    match &**message {
        ChatMessage::Assistant { kept: None, .. } => {
            let form = if to.profile.text_content { TEXT_CONTENT } else { PLAIN };
            Sent::Formed(message.form(form, |message| written(message, to)))
        }
        ChatMessage::System(_) | ChatMessage::Tool { .. } => {
            Sent::Formed(message.form(PLAIN, |message| written(message, to)))
        }
        ChatMessage::Assistant { .. } | ChatMessage::User(_) | ChatMessage::Note(_) => {
            Sent::Written(written(message, to))
        }
    }
}

/// Some hosts refuse an assistant's message without a word or a call in it.
pub(super) fn says_something(message: &ChatMessage) -> bool {
    match message {
        ChatMessage::Assistant { content, calls, .. } => {
            !calls.is_empty() || content.as_deref().is_some_and(|content| !content.trim().is_empty())
        }
        ChatMessage::System(_) | ChatMessage::User(_) | ChatMessage::Note(_) | ChatMessage::Tool { .. } => true,
    }
}

fn only_text(parts: &[Part]) -> Option<String> {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) => None,
    });
    texts.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n\n"))
}

fn append(message: &mut Value, text: &str) {
    let before = message["content"].as_str().unwrap_or_default().to_owned();
    message["content"] = format!("{before}\n\n{text}").into();
}

fn user_parts(message: &ChatMessage) -> Option<&[Part]> {
    match message {
        ChatMessage::User(parts) | ChatMessage::Note(parts) => Some(parts),
        ChatMessage::System(_) | ChatMessage::Assistant { .. } | ChatMessage::Tool { .. } => None,
    }
}

fn written(message: &ChatMessage, to: &Recipient<'_>) -> Value {
    match message {
        ChatMessage::System(text) => json!({"role": "system", "content": text}),
        ChatMessage::Assistant { content, calls, kept } => {
            let kept = kept.as_ref().filter(|kept| kept.origin == to.origin && !to.profile.nothing_kept);
            assistant(content.as_deref(), calls, kept, to.profile)
        }
        ChatMessage::Tool { call_id, content } => tool_result(call_id, content),
        ChatMessage::User(parts) | ChatMessage::Note(parts) => {
            json!({"role": "user", "content": content(parts.iter(), to.profile)})
        }
    }
}

fn tool_result(call_id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": call_id, "content": content})
}

/// Several messages of the user's side, as one.
fn of_user(group: &[&SharedMessage], to: &Recipient<'_>) -> Value {
    let parts = group.iter().filter_map(|message| user_parts(message)).flatten();
    json!({"role": "user", "content": content(parts, to.profile)})
}

fn assistant(content: Option<&str>, calls: &[ChatCall], kept: Option<&HostMembers>, profile: &Profile) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let nothing = if profile.text_content { Value::from("") } else { Value::Null };
    message.insert("content".into(), content.map_or(nothing, Value::from));
    if !calls.is_empty() {
        let extra = |place| kept.and_then(|kept| kept.calls.get(place));
        let calls = calls.iter().enumerate().map(|(place, one)| call(one, extra(place)));
        message.insert("tool_calls".into(), calls.collect());
    }
    for (name, value) in kept.map(|kept| &kept.message).into_iter().flatten() {
        message.insert(name.clone(), value.clone());
    }
    message.into()
}

fn call(call: &ChatCall, extra: Option<&Map<String, Value>>) -> Value {
    let arguments = Value::Object(call.arguments.clone()).to_string();
    let mut sent = json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}});
    for (name, value) in extra.into_iter().flatten() {
        match (name.as_str(), value, &mut sent["function"]) {
            ("function", Value::Object(extra), Value::Object(function)) => function.extend(extra.clone()),
            _ => sent[name] = value.clone(),
        }
    }
    sent
}

/// Plain text where there is nothing else: every endpoint takes that.
fn content<'a>(parts: impl Iterator<Item = &'a Part> + Clone, profile: &Profile) -> Value {
    if !profile.no_pictures && parts.clone().any(|part| matches!(part, Part::Image(_))) {
        return parts.map(content_part).collect();
    }
    let texts = parts.map(|part| match part {
        Part::Text(text) => Cow::Borrowed(text.as_str()),
        Part::Image(_) => Cow::Borrowed(UNSEEN),
    });
    texts.collect::<Vec<_>>().join("\n\n").into()
}

fn content_part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(uri) => json!({"type": "image_url", "image_url": {"url": uri}}),
    }
}

/// The system's text goes in front of the first message of the user's.
fn without_system(sent: &mut Vec<Value>) {
    let Some(place) = sent.iter().position(|message| message["role"] == "system") else { return };
    let text = sent.remove(place)["content"].as_str().unwrap_or_default().to_owned();
    match sent.iter_mut().find(|message| message["role"] == "user") {
        Some(user) => {
            if let Value::Array(parts) = &mut user["content"] {
                parts.insert(0, json!({"type": "text", "text": text}));
            } else {
                user["content"] = format!("{text}\n\n{}", user["content"].as_str().unwrap_or_default()).into();
            }
        }
        None => sent.insert(0, json!({"role": "user", "content": text})),
    }
}

/// For hosts that take no tools: tools, calls and results are written out, in the form that most models know.
fn in_words(messages: &mut Vec<Value>, tools: &[ToolDefinition]) {
    let listed = tools.iter().map(|one| tool(one).to_string()).collect::<Vec<_>>().join("\n");
    let manner = format!(
        "## Calling tools\nThese are the tools, as JSON:\n{listed}\n\nTo call one, write this and nothing after it, once for each \
         call:\n<tool_call>{{\"name\": \"NAME\", \"arguments\": {{ARGUMENTS}}}}</tool_call>"
    );
    for message in messages.iter_mut() {
        match message["role"].as_str() {
            Some("tool") => {
                let result =
                    format!("<tool_response>\n{}\n</tool_response>", message["content"].as_str().unwrap_or_default());
                *message = json!({"role": "user", "content": result});
            }
            Some("assistant") => call_in_words(message),
            _ => {}
        }
    }
    match messages.first_mut() {
        Some(first) if first["content"].is_string() => append(first, &manner),
        _ => messages.insert(0, json!({"role": "user", "content": manner})),
    }
    let is_user = |message: &Value| message["role"] == "user" && message["content"].is_string();
    messages.dedup_by(|later, earlier| {
        let joins = is_user(later) && is_user(earlier);
        if joins {
            append(earlier, later["content"].as_str().unwrap_or_default());
        }
        joins
    });
}

fn call_in_words(message: &mut Value) {
    let Some(calls) = message.as_object_mut().and_then(|message| message.shift_remove("tool_calls")) else { return };
    let mut words = message["content"].as_str().unwrap_or_default().to_owned();
    for call in calls.as_array().into_iter().flatten() {
        let (name, arguments) = (&call["function"]["name"], call["function"]["arguments"].as_str().unwrap_or("{}"));
        let _ = write!(words, "\n<tool_call>{{\"name\": {name}, \"arguments\": {arguments}}}</tool_call>");
    }
    message["content"] = words.trim().into();
}

/// Tokens of a request, by estimate.
pub(super) fn tokens(request: &ChatRequest) -> usize {
    let tools: usize = request.tools.iter().map(|one| tool(one).to_string().len() / 4).sum();
    tools + request.messages.iter().map(SharedMessage::tokens).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_left_out() {
        assert_eq!(
            sent(&ChatRequest::default(), &Profile::default()),
            json!({"model": "m", "messages": [], "stream": false})
        );
    }

    #[test]
    fn what_is_set_is_sent() {
        let request = ChatRequest {
            tools: vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: Map::new() }],
            reasoning_effort: Some(ReasoningEffort::Xhigh),
            tool_required: true,
            ..ChatRequest::default()
        };
        let body = sent(&request, &Profile::default());
        assert_eq!(body["tools"][0]["function"]["name"], "t");
        assert_eq!(body["tool_choice"], "required");
        assert_eq!(body["reasoning_effort"], "high");
    }

    #[test]
    fn messages_keep_their_roles() {
        let call = ChatCall { id: "c1".into(), name: "t".into(), arguments: Map::from_iter([("a".into(), 1.into())]) };
        check(
            vec![
                ChatMessage::System("s".into()),
                ChatMessage::User(vec![text("u")]),
                ChatMessage::Assistant { content: None, calls: vec![call], kept: None },
                ChatMessage::Tool { call_id: "c1".into(), content: "r".into() },
                ChatMessage::Assistant { content: Some(" ".into()), calls: vec![], kept: None },
            ],
            json!([
                {"role": "system", "content": "s"},
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{\"a\":1}"}},
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "r"},
            ]),
        );
    }

    #[test]
    fn neighbouring_user_messages_become_one() {
        check(
            vec![ChatMessage::User(vec![text("a")]), ChatMessage::Note(vec![text("b")])],
            json!([{"role": "user", "content": "a\n\nb"}]),
        );
        check(
            vec![ChatMessage::User(vec![text("a"), Part::Image("data:x".into())]), ChatMessage::User(vec![text("b")])],
            json!([{"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:x"}},
                {"type": "text", "text": "b"},
            ]}]),
        );
    }

    #[test]
    fn a_remark_goes_with_the_result_before_it() {
        let note = |words: &str| ChatMessage::Note(vec![text(words)]);
        check(
            vec![result("r"), note("n"), note("m")],
            json!([{"role": "tool", "tool_call_id": "c1", "content": "r\n\nn\n\nm"}]),
        );
        let tool = json!({"role": "tool", "tool_call_id": "c1", "content": "r\n\nn"});
        let said = vec![result("r"), note("n"), ChatMessage::User(vec![text("u")])];
        let user = json!({"role": "user", "content": "u"});
        check(said.clone(), json!([tool, user]));
        let strict = Profile { strict_roles: true, ..Profile::default() };
        check_for(&strict, said, json!([tool, {"role": "assistant", "content": GO_ON}, user]));
    }

    #[test]
    fn a_picture_that_cannot_be_seen_is_told() {
        let blind = Profile { no_pictures: true, ..Profile::default() };
        let seen = vec![ChatMessage::User(vec![text("a"), Part::Image("data:x".into())])];
        check_for(&blind, seen, json!([{"role": "user", "content": format!("a\n\n{UNSEEN}")}]));
    }

    #[test]
    fn what_a_host_wants_back_goes_back_to_it_alone() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let kept = |origin: &str| HostMembers {
            origin: origin.into(),
            message: object(json!({"reasoning_content": "hm", "content": [{"type": "thinking"}]})),
            calls: vec![object(json!({"extra_content": {"s": 1}, "function": {"f": 2}}))],
        };
        let said = |origin| {
            let call = ChatCall { id: "c1".into(), name: "t".into(), arguments: Map::new() };
            vec![ChatMessage::Assistant { content: Some("w".into()), calls: vec![call], kept: Some(kept(origin)) }]
        };
        let function = json!({"name": "t", "arguments": "{}"});
        let bare = json!([{"role": "assistant", "content": "w", "tool_calls": [{"id": "c1", "type": "function", "function": function}]}]);
        check(said("elsewhere"), bare.clone());
        check_for(&Profile { nothing_kept: true, ..Profile::default() }, said("here"), bare);
        let function = json!({"name": "t", "arguments": "{}", "f": 2});
        let call = json!({"id": "c1", "type": "function", "function": function, "extra_content": {"s": 1}});
        let whole = json!({"role": "assistant", "content": [{"type": "thinking"}], "tool_calls": [call], "reasoning_content": "hm"});
        check(said("here"), json!([whole]));
    }

    #[test]
    fn for_hosts_without_tools_all_is_words() {
        let call = ChatCall { id: "c1".into(), name: "t".into(), arguments: Map::new() };
        let request = ChatRequest {
            messages: [
                ChatMessage::System("s".into()),
                ChatMessage::Assistant { content: None, calls: vec![call], kept: None },
                result("r"),
                ChatMessage::User(vec![text("u")]),
            ]
            .map(SharedMessage::from)
            .into(),
            tools: vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: Map::new() }],
            tool_required: true,
            ..ChatRequest::default()
        };
        let body = sent(&request, &Profile { no_tools: true, ..Profile::default() });
        assert!(body.get("tools").is_none() && body.get("tool_choice").is_none());
        assert!(body["messages"][0]["content"].as_str().unwrap().contains("<tool_call>"));
        assert_eq!(body["messages"][1]["content"], "<tool_call>{\"name\": \"t\", \"arguments\": {}}</tool_call>");
        assert_eq!(body["messages"][2]["content"], "<tool_response>\nr\n</tool_response>\n\nu");
        assert_eq!(body["messages"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_system_message_that_is_refused_goes_in_front_of_the_users() {
        let plain = Profile { no_system: true, ..Profile::default() };
        let said = vec![ChatMessage::System("s".into()), ChatMessage::User(vec![text("u")])];
        check_for(&plain, said, json!([{"role": "user", "content": "s\n\nu"}]));
    }

    fn check(given: Vec<ChatMessage>, expected: Value) {
        check_for(&Profile::default(), given, expected);
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the table")]
    fn check_for(profile: &Profile, given: Vec<ChatMessage>, expected: Value) {
        let messages = given.into_iter().map(SharedMessage::from).collect();
        let request = ChatRequest { messages, ..ChatRequest::default() };
        for time in ["written", "as it was written"] {
            assert_eq!(sent(&request, profile)["messages"], expected, "{time}");
        }
    }

    fn sent(request: &ChatRequest, profile: &Profile) -> Value {
        serde_json::from_slice(&body(request, &Recipient { model: "m", origin: "here", profile }, false)).unwrap()
    }

    fn result(content: &str) -> ChatMessage {
        ChatMessage::Tool { call_id: "c1".into(), content: content.into() }
    }

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }
}
