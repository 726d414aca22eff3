use super::*;
use crate::model::HostMembers;
use quarterdeck_api::{JsonObject, ReasoningEffort};

fn sent(messages: Vec<ChatMessage>, profile: &Profile) -> Value {
    let tools = vec![ToolDefinition { name: "t".into(), description: "d".into(), input_schema: JsonObject::new() }];
    let effort = Some(ReasoningEffort::Low);
    let messages = messages.into_iter().map(Into::into).collect();
    let request =
        ChatRequest { messages, tools, tool_required: true, reasoning_effort: effort, ..ChatRequest::default() };
    body(&request, &Recipient { model: "m", origin: "o", profile }, true)
}

fn look(id: &str) -> ChatCall {
    ChatCall { id: id.into(), name: "look".into(), arguments: JsonObject::from_iter([("at".into(), 1.into())]) }
}

#[test]
fn a_conversation_is_a_list_of_items() {
    let body = sent(
        vec![
            ChatMessage::System("s".into()),
            ChatMessage::User(vec![Part::Text("u".into()), Part::Image("data:x".into())]),
            ChatMessage::Assistant { content: Some("w".into()), calls: vec![look("c")], kept: None },
            ChatMessage::Tool { call_id: "c".into(), content: "r".into() },
        ],
        &Profile::default(),
    );
    assert_eq!(
        body["input"],
        json!([
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "input_text", "text": "u"}, {"type": "input_image", "image_url": "data:x"},
            ]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "w"}]},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{\"at\":1}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ])
    );
    assert_eq!((&body["store"], &body["tool_choice"]), (&json!(false), &json!("required")));
    assert_eq!(body["reasoning"]["effort"], "low");
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    let plain =
        sent(Vec::new(), &Profile { no_include: true, no_tool_choice: true, no_effort: true, ..Profile::default() });
    for absent in ["include", "tool_choice", "reasoning"] {
        assert_eq!(plain.get(absent), None, "{absent}");
    }
}

#[test]
fn sealed_thoughts_go_back_word_for_word_to_where_they_came_from() {
    let thought = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "SEALED",
        "summary": [{"type": "summary_text", "text": "hm"}]});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "So.", "annotations": []}]});
    let call =
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{\"at\":1}"});
    let body = json!({"status": "completed", "error": null, "output": [thought, message, call], "usage": {
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3},
    }});
    let reply = read(&body, "m").unwrap();
    assert_eq!((reply.content.as_deref(), reply.reasoning.as_deref()), (Some("So."), Some("hm")));
    assert_eq!(reply.calls[0].id.as_deref(), Some("call_1"));
    assert_eq!(reply.usage, Some(TokenUsage { input: 9, cached: 4, output: 5, reasoning: 3 }));
    let calls: Vec<_> = reply.calls.iter().map(|call| call.extra.clone()).collect();
    let back = |origin: &str| {
        let kept = HostMembers { origin: origin.into(), calls: calls.clone(), ..reply.kept.clone().unwrap() };
        let content = Some("So.".into());
        let said = ChatMessage::Assistant { content, calls: vec![look("c")], kept: Some(kept) };
        sent(vec![said], &Profile::default())["input"].take()
    };
    let ours = json!({"type": "function_call", "call_id": "c", "name": "look", "arguments": "{\"at\":1}"});
    assert_eq!(back("o"), json!([thought, message, ours]));
    assert!(!back("p").to_string().contains("SEALED"));
}

#[test]
fn what_is_no_answer_is_none() {
    let of = |status: &str, reason: Option<&str>| {
        let output = json!([{"type": "message", "content": [{"type": "output_text", "text": "The price is"}]}]);
        read(&json!({"status": status, "incomplete_details": {"reason": reason}, "output": output}), "m")
    };
    assert_eq!(of("completed", None).unwrap().finish, Finish::Done);
    assert_eq!(of("incomplete", Some("max_output_tokens")).unwrap().finish, Finish::CutOff);
    assert_eq!(of("incomplete", None).unwrap().finish, Finish::CutOff);
    assert_eq!(of("incomplete", Some("content_filter")).unwrap().finish, Finish::Stopped("content_filter".into()));
    for status in ["failed", "cancelled", "in_progress", "queued", "something_new"] {
        assert_eq!(of(status, None), Err(ReplyFault::BrokenOff(status.into())));
    }
    assert_eq!(read(&json!({"choices": []}), "m"), Err(ReplyFault::NoMessage));
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []});
    assert_eq!(read(&failed, "m"), Err(ReplyFault::Error(ErrorInside { status: Some(500), words: "no".into() })));
}

#[test]
fn the_last_event_of_a_stream_is_the_response() {
    let item = json!({"type": "message", "content": [{"type": "output_text", "text": "Paris"}]});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let end =
        |output: Value| json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
    for events in [vec![done.clone(), end(json!([item]))], vec![done.clone(), end(json!([]))]] {
        assert_eq!(read(&assembled(&events).unwrap(), "m").unwrap().content.as_deref(), Some("Paris"));
    }
    assert_eq!(assembled(std::slice::from_ref(&done)), None, "it ended too early");
    let error = json!({"type": "error", "code": "rate_limit_exceeded", "message": "no"});
    let inside = ErrorInside { status: Some(429), words: "no".into() };
    assert_eq!(read(&assembled(&[done, error]).unwrap(), "m"), Err(ReplyFault::Error(inside)));
}

fn assembled(events: &[Value]) -> Option<Value> {
    let mut assembly = Assembly::default();
    for event in events {
        assembly.take("", &event.to_string());
    }
    assembly.finish()
}
