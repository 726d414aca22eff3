use super::*;
use crate::model::HostMembers;
use quarterdeck_api::JsonObject;

fn object(value: &Value) -> JsonObject {
    value.as_object().cloned().unwrap_or_default()
}

fn sent(request: &ChatRequest, profile: &Profile) -> Value {
    body(request, &Recipient { model: "m", origin: "o", profile }, false)
}

fn said(messages: Vec<ChatMessage>) -> Value {
    let profile = Profile { no_cache_marks: true, ..Profile::default() };
    let messages = messages.into_iter().map(Into::into).collect();
    sent(&ChatRequest { messages, ..ChatRequest::default() }, &profile)["messages"].take()
}

fn look(id: &str) -> ChatCall {
    ChatCall { id: id.into(), name: "look".into(), arguments: object(&json!({"at": 1})) }
}

fn note(words: &str) -> ChatMessage {
    ChatMessage::Note(vec![Part::Text(words.into())])
}

#[test]
fn turns_alternate_and_results_come_first() {
    let assistant = |content: Option<&str>, calls| ChatMessage::Assistant {
        content: content.map(str::to_owned),
        calls,
        kept: None,
    };
    let result = |id: &str| ChatMessage::Tool { call_id: id.into(), content: "r".into() };
    let messages = said(vec![
        ChatMessage::System("s".into()),
        assistant(Some("so "), vec![look("a"), look("b")]),
        result("a"),
        result("b"),
        note("n"),
        ChatMessage::User(vec![Part::Text(" ".into()), Part::Image("data:image/png;base64,QUJD".into())]),
        assistant(Some("  "), vec![]),
        note("m"),
    ]);
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {"at": 1}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}});
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("Go on.")]},
            {"role": "assistant", "content": [text("so"), call("a"), call("b")]},
            {"role": "user", "content": [result("a"), result("b"), text("n"), image, text("m")]},
        ])
    );
}

#[test]
fn what_is_worth_keeping_is_marked_and_thinking_gives_way_to_a_call_that_is_owed() {
    let asked = ChatRequest {
        messages: vec![ChatMessage::System("s".into()).into(), note("n").into()],
        tools: vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: JsonObject::new() }],
        reasoning_effort: Some(ReasoningEffort::Medium),
        ..ChatRequest::default()
    };
    let body = sent(&asked, &Profile::default());
    assert_eq!(body["system"][0]["cache_control"]["type"], "ephemeral");
    assert_eq!(body["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
    assert_eq!(body["tools"], json!([{"name": "t", "description": "d", "input_schema": {}}]));
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 4_096}));
    let owed = sent(&ChatRequest { tool_required: true, ..asked.clone() }, &Profile::default());
    assert_eq!((&owed["tool_choice"], &owed["thinking"]), (&json!({"type": "any"}), &Value::Null));
    let adaptive = sent(&asked, &Profile { adaptive: true, ..Profile::default() });
    assert_eq!(adaptive["thinking"], json!({"type": "adaptive"}));
    assert_eq!(adaptive["output_config"]["effort"], "medium");
}

#[test]
fn thoughts_go_back_word_for_word_to_where_they_came_from() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "S1"},
        {"type": "redacted_thinking", "data": "R"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    ]);
    let body = json!({"content": content, "stop_reason": "tool_use", "usage": {
        "input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": 2,
    }});
    let reply = read(&body, "m").unwrap();
    assert_eq!((reply.content.as_deref(), reply.reasoning.as_deref()), (Some("Let me see."), Some("hm")));
    assert_eq!(reply.finish, Finish::Calls);
    assert_eq!(reply.usage, Some(TokenUsage { input: 18, cached: 10, output: 2, reasoning: 0 }));
    let calls = reply.calls.iter().map(|call| call.extra.clone()).collect();
    let kept = |origin: &str| HostMembers { origin: origin.into(), calls, ..reply.kept.clone().unwrap() };
    let assistant =
        |kept| ChatMessage::Assistant { content: Some("Let me see.".into()), calls: vec![look("c")], kept: Some(kept) };
    let back = said(vec![note("n"), assistant(kept("o"))]);
    let mut expected = content.clone();
    expected[3]["id"] = "c".into();
    assert_eq!(back[1]["content"], expected);
    let calls = Vec::new();
    let elsewhere = said(vec![note("n"), assistant(HostMembers { origin: "p".into(), calls, ..reply.kept.unwrap() })]);
    assert_eq!(elsewhere[1]["content"].as_array().unwrap().len(), 2);
    assert!(!elsewhere.to_string().contains("S1"));
}

#[test]
fn what_is_no_answer_is_none() {
    let finish = |reason: &str| read(&json!({"content": [text("x")], "stop_reason": reason}), "m").unwrap().finish;
    assert_eq!(finish("end_turn"), Finish::Done);
    assert_eq!(finish("max_tokens"), Finish::CutOff);
    assert_eq!(finish("model_context_window_exceeded"), Finish::CutOff);
    for reason in ["refusal", "pause_turn", "something_new"] {
        assert_eq!(finish(reason), Finish::Stopped(reason.into()));
    }
    assert_eq!(read(&json!({"choices": []}), "m"), Err(ReplyFault::NoMessage));
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let inside = ErrorInside { status: Some(529), words: "Overloaded".into() };
    assert_eq!(read(&error, "m"), Err(ReplyFault::Error(inside)));
}

#[test]
fn a_stream_becomes_the_message() {
    let events = [
        json!({"type": "message_start", "message": {"id": "x", "content": [], "usage": {"input_tokens": 7}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S"}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Pa"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "ris"}}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"at\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": " 1}"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ];
    let whole = assembled(&events).unwrap();
    assert_eq!(whole["content"][0], json!({"type": "thinking", "thinking": "hm", "signature": "S"}));
    let reply = read(&whole, "m").unwrap();
    assert_eq!((reply.content.as_deref(), reply.calls[0].arguments.as_str()), (Some("Paris"), "{\"at\": 1}"));
    assert_eq!(reply.usage, Some(TokenUsage { input: 7, output: 4, ..TokenUsage::default() }));
    assert_eq!(assembled(&events[..9]), None, "it ended too early");
    let mut failed = events[..9].to_vec();
    failed.push(json!({"type": "error", "error": {"type": "api_error", "message": "no"}}));
    assert!(
        matches!(read(&assembled(&failed).unwrap(), "m"), Err(ReplyFault::Error(error)) if error.status == Some(500))
    );
}

fn assembled(events: &[Value]) -> Option<Value> {
    let mut assembly = Assembly::default();
    for event in events {
        assembly.take("", &event.to_string());
    }
    assembly.finish()
}
