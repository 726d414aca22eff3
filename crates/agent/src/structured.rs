//! Replies as one JSON object, for models that were trained to reply so and make no calls in the way of their host: a
//! note to itself, a thought, and one call. Between the loop and a client, both ways: calls and results of the
//! conversation are written as such objects and in words, and the object that comes back is read as a call.

use crate::{
    loose,
    model::{ChatCall, ChatMessage, ChatReply, ChatRequest, ModelClient, ModelError, Part, RawCall},
};
use async_trait::async_trait;
use quarterdeck_api::ToolDefinition;
use serde_json::{Map, Value, json};
use std::{fmt::Write, sync::Arc};

/// The member of a call that names its tool; its arguments stand beside it.
const TOOL: &str = "tool_name";
/// Arguments in a member of their own, where one of them would have the name of [`TOOL`].
const ARGUMENTS: &str = "arguments";

/// Asks a client for such replies.
pub struct StructuredReplies {
    client: Arc<dyn ModelClient>,
    whom: Whom,
}

/// Which models are asked so.
enum Whom {
    All,
    /// Those whose names tell.
    ByName,
}

impl StructuredReplies {
    /// Asks every model of `client` so.
    pub fn of_all(client: Arc<dyn ModelClient>) -> Self {
        Self { client, whom: Whom::All }
    }

    /// Asks those models so whose names tell that they were trained for nothing else.
    pub fn by_name(client: Arc<dyn ModelClient>) -> Self {
        Self { client, whom: Whom::ByName }
    }

    fn asks_so(&self, request: &ChatRequest) -> bool {
        match &self.whom {
            Whom::All => true,
            Whom::ByName => {
                let answering = self.client.answers_to(request.model.as_deref());
                answering.or_else(|| request.model.clone()).is_some_and(|model| makes_no_calls(&model))
            }
        }
    }
}

/// Holo3 replies by such objects alone; Holo3.1 makes calls as well.
fn makes_no_calls(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let newer = [".1", "-1-", "-1."];
    name.strip_prefix("holo3").is_some_and(|rest| !newer.iter().any(|newer| rest.starts_with(newer)))
}

#[async_trait]
impl ModelClient for StructuredReplies {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        if request.tools.is_empty() || !self.asks_so(request) {
            return self.client.complete(request).await;
        }
        let reply = self.client.complete(&written(request)).await?;
        Ok(read(reply, &request.tools))
    }

    fn answers_to(&self, name: Option<&str>) -> Option<String> {
        self.client.answers_to(name)
    }

    fn context_tokens(&self, name: Option<&str>) -> Option<usize> {
        self.client.context_tokens(name)
    }
}

/// The request without tools, with the shape of the reply instead.
fn written(request: &ChatRequest) -> ChatRequest {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    let system = request.messages.iter().take_while(|message| matches!(***message, ChatMessage::System(_))).count();
    messages.extend(request.messages[..system].iter().cloned());
    messages.push(ChatMessage::System(instructions(&request.tools, request.tool_required)).into());
    let mut names = Map::new();
    for message in &request.messages[system..] {
        messages.push(in_words(message, &mut names).into());
    }
    ChatRequest {
        messages,
        tools: Vec::new(),
        tool_required: false,
        reply_schema: Some(schema(&request.tools, request.tool_required)),
        ..request.clone()
    }
}

fn instructions(tools: &[ToolDefinition], required: bool) -> String {
    let mut text = "Reply with one JSON object and nothing else: {\"note\": what you will need later, or null, \"thought\": \
                    what you think now, \"tool_call\": {\"tool_name\": name, and its arguments}}. Earlier thoughts are not \
                    shown to you again; notes are."
        .to_owned();
    if !required {
        text.push_str(" Without a call, `tool_call` is null and `thought` is what you say.");
    }
    text.push_str("\n\nThe tools:");
    for tool in tools {
        let _ = write!(
            text,
            "\n- {}: {} Arguments: {}",
            tool.name,
            tool.description,
            Value::Object(tool.input_schema.clone())
        );
    }
    text
}

/// The shape of a reply: any of the calls.
fn schema(tools: &[ToolDefinition], required: bool) -> Value {
    let mut calls: Vec<Value> = tools.iter().map(call_schema).collect();
    if !required {
        calls.push(json!({"type": "null"}));
    }
    json!({
        "type": "object",
        "properties": {
            "note": {"type": ["string", "null"]},
            "thought": {"type": "string"},
            "tool_call": {"anyOf": calls},
        },
        "required": ["note", "thought", "tool_call"],
        "additionalProperties": false,
    })
}

fn call_schema(tool: &ToolDefinition) -> Value {
    let own = tool.input_schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut required = vec![Value::from(TOOL)];
    let mut properties = Map::from_iter([(TOOL.to_owned(), json!({"const": tool.name}))]);
    if own.contains_key(TOOL) || tool.input_schema.contains_key("$defs") {
        properties.insert(ARGUMENTS.into(), tool.input_schema.clone().into());
        required.push(ARGUMENTS.into());
    } else {
        properties.extend(own);
        required.extend(tool.input_schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    json!({"type": "object", "properties": properties, "required": required})
}

/// A message without calls and results. `names` keeps which tool each call was of.
fn in_words(message: &ChatMessage, names: &mut Map<String, Value>) -> ChatMessage {
    match message {
        ChatMessage::Assistant { content, calls, .. } => {
            names.extend(calls.iter().map(|call| (call.id.clone(), Value::from(call.name.as_str()))));
            let content =
                calls.first().map_or_else(|| content.clone(), |call| Some(as_object(content.as_deref(), call)));
            ChatMessage::Assistant { content, calls: Vec::new(), kept: None }
        }
        ChatMessage::Tool { call_id, content } => {
            let name = names.get(call_id).and_then(Value::as_str).unwrap_or("the call");
            ChatMessage::Note(vec![Part::Text(format!("Result of {name}: {content}"))])
        }
        ChatMessage::System(_) | ChatMessage::User(_) | ChatMessage::Note(_) => message.clone(),
    }
}

/// A reply of before. What was said is its note: thoughts are not shown again.
fn as_object(said: Option<&str>, call: &ChatCall) -> String {
    let mut members = Map::from_iter([(TOOL.to_owned(), Value::from(call.name.as_str()))]);
    if call.arguments.contains_key(TOOL) {
        members.insert(ARGUMENTS.into(), call.arguments.clone().into());
    } else {
        members.extend(call.arguments.clone());
    }
    json!({"note": said, "thought": "", "tool_call": members}).to_string()
}

/// A reply with its call taken out of the object. One that is no such object is the loop's to judge, as it came.
fn read(mut reply: ChatReply, tools: &[ToolDefinition]) -> ChatReply {
    let object = reply.content.as_deref().and_then(loose::value);
    let Some(mut object) = object.as_ref().and_then(Value::as_object).cloned() else { return reply };
    if !object.contains_key("tool_call") && !object.contains_key("thought") {
        return reply;
    }
    let mut text = |name: &str| object.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let (note, thought) = (text("note"), text("thought"));
    let call = object.remove("tool_call").filter(|call| !call.is_null());
    let Some(call) = call else {
        reply.content = thought.or(note);
        return reply;
    };
    reply.content = note.filter(|note| !note.trim().is_empty());
    reply.reasoning = thought.filter(|thought| !thought.is_empty()).or(reply.reasoning);
    reply.calls.push(raw_call(call, tools));
    reply
}

fn raw_call(call: Value, tools: &[ToolDefinition]) -> RawCall {
    let Value::Object(mut members) = call else {
        return RawCall { arguments: call.to_string(), ..RawCall::default() };
    };
    let name = [TOOL, "name", "tool"].into_iter().find_map(|member| {
        let name = members.get(member)?.as_str()?.to_owned();
        tools.iter().any(|tool| tool.name == name).then(|| {
            members.remove(member);
            name
        })
    });
    let holder = [ARGUMENTS, "args", "parameters"]
        .into_iter()
        .find(|holder| members.len() == 1 && members.get(*holder).is_some_and(Value::is_object));
    let arguments = holder.and_then(|holder| members.remove(holder)).unwrap_or_else(|| Value::Object(members.clone()));
    // A name that nobody knows is shown back, as it was written.
    let name = name.or_else(|| members.get(TOOL).and_then(|name| name.as_str().map(str::to_owned)));
    RawCall { name: name.unwrap_or_default(), arguments: arguments.to_string(), ..RawCall::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quarterdeck_api::JsonObject;
    use std::sync::Mutex;

    /// A model that says one thing, and keeps what it was asked.
    struct Says(&'static str, Mutex<Vec<ChatRequest>>);

    #[async_trait]
    impl ModelClient for Says {
        async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
            self.1.lock().unwrap().push(request.clone());
            Ok(ChatReply { content: Some(self.0.into()), ..ChatReply::default() })
        }
    }

    fn object(value: &Value) -> JsonObject {
        value.as_object().cloned().unwrap()
    }

    fn tools() -> Vec<ToolDefinition> {
        let schema =
            json!({"type": "object", "properties": {"x": {"type": "number"}, "element": {}}, "required": ["x"]});
        let tool = |name: &str, schema: Value| ToolDefinition {
            name: name.into(),
            description: "Does it.".into(),
            input_schema: object(&schema),
        };
        vec![tool("click_web", schema), tool("odd", json!({"type": "object", "properties": {"tool_name": {}}}))]
    }

    fn conversation() -> Vec<ChatMessage> {
        let arguments = object(&json!({"x": 5}));
        let call = ChatCall { id: "c".into(), name: "click_web".into(), arguments };
        vec![
            ChatMessage::System("Be good.".into()),
            ChatMessage::User(vec![Part::Text("Click.".into())]),
            ChatMessage::Assistant { content: Some("price is 3".into()), calls: vec![call], kept: None },
            ChatMessage::Tool { call_id: "c".into(), content: "done".into() },
        ]
    }

    async fn ask(said: &'static str, required: bool) -> (ChatReply, ChatRequest) {
        let model = Arc::new(Says(said, Mutex::default()));
        let client = StructuredReplies::of_all(Arc::clone(&model) as Arc<dyn ModelClient>);
        let request = ChatRequest {
            messages: conversation().into_iter().map(Into::into).collect(),
            tools: tools(),
            tool_required: required,
            ..ChatRequest::default()
        };
        let reply = client.complete(&request).await.unwrap();
        let asked = model.1.lock().unwrap().remove(0);
        (reply, asked)
    }

    #[test]
    fn a_name_tells_whether_a_model_makes_calls() {
        for (name, makes_none) in [
            ("Hcompany/Holo3-35B-A3B", true),
            ("holo3", true),
            ("Hcompany/Holo3.1-35B-A3B", false),
            ("holo3-1-35b", false),
            ("Holo2-8B", false),
            ("", false),
        ] {
            assert_eq!(makes_no_calls(name), makes_none, "{name}");
        }
    }

    #[tokio::test]
    async fn the_call_of_the_object_is_made_and_the_note_is_kept() {
        let said = r#"{"note": "Ink is 9", "thought": "go on", "tool_call": {"tool_name": "click_web", "element": "it", "x": 7}}"#;
        let (reply, _) = ask(said, true).await;
        assert_eq!((reply.content.as_deref(), reply.reasoning.as_deref()), (Some("Ink is 9"), Some("go on")));
        assert_eq!(reply.calls[0].name, "click_web");
        assert_eq!(serde_json::from_str::<Value>(&reply.calls[0].arguments).unwrap(), json!({"element": "it", "x": 7}));
        let nested = r#"{"note": null, "thought": "", "tool_call": {"name": "odd", "arguments": {"tool_name": "x"}}}"#;
        let (reply, _) = ask(nested, true).await;
        assert_eq!((reply.calls[0].name.as_str(), reply.calls[0].arguments.as_str()), ("odd", r#"{"tool_name":"x"}"#));
    }

    #[tokio::test]
    async fn what_is_no_call_is_left_as_it_is_or_said() {
        assert_eq!(ask("just words", true).await.0.content.as_deref(), Some("just words"));
        assert_eq!(ask(r#"{"price": 3}"#, true).await.0.content.as_deref(), Some(r#"{"price": 3}"#));
        let (reply, _) = ask(r#"{"note": null, "thought": "It is 3.", "tool_call": null}"#, false).await;
        assert_eq!((reply.content.as_deref(), reply.calls.len()), (Some("It is 3."), 0));
        let unknown = ask(r#"{"note": "", "thought": "", "tool_call": {"tool_name": "fly"}}"#, true).await.0;
        assert_eq!(unknown.calls[0].name, "fly");
    }

    #[tokio::test]
    async fn the_model_is_asked_for_the_shape_and_sees_calls_and_results_in_it() {
        let (_, asked) = ask("{}", true).await;
        assert!(asked.tools.is_empty() && !asked.tool_required);
        let schema = asked.reply_schema.unwrap();
        let calls = schema["properties"]["tool_call"]["anyOf"].as_array().unwrap();
        assert_eq!(calls.len(), 2, "a call is owed");
        assert_eq!(calls[0]["required"], json!(["tool_name", "x"]));
        assert!(calls[1]["properties"]["arguments"].is_object());
        let ChatMessage::System(told) = &*asked.messages[1] else { panic!("{:?}", asked.messages) };
        assert!(told.contains("click_web: Does it."), "{told}");
        let expected = json!({"note": "price is 3", "thought": "", "tool_call": {"tool_name": "click_web", "x": 5}});
        assert!(matches!(&*asked.messages[3], ChatMessage::Assistant { content: Some(content), calls, .. }
            if calls.is_empty() && serde_json::from_str::<Value>(content).unwrap() == expected));
        let result = vec![Part::Text("Result of click_web: done".into())];
        assert_eq!(asked.messages[4], ChatMessage::Note(result));
        let (_, asked) = ask("{}", false).await;
        assert_eq!(asked.reply_schema.unwrap()["properties"]["tool_call"]["anyOf"][2], json!({"type": "null"}));
    }
}
