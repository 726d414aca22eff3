use super::*;
use crate::{
    answer::AnswerFormat,
    chat::{Chat, Shown},
    gallery::Gallery,
    offer,
    testing::{agent, events},
};
use quarterdeck_core::StepMode;
use std::time::Duration;

#[tokio::test]
async fn without_a_script_it_says_so_and_repeats_the_task() {
    let reply = play_after(&[user("  Find the price.  ")]).await.unwrap();
    let expected =
        "No model is configured, so the built-in scripted model answers in its place. You asked: Find the price.";
    assert_eq!(reply.content.as_deref(), Some(expected));
    assert_eq!((reply.model.as_str(), reply.calls.len()), ("scripted", 0));
    let long = play_after(&[user(&"é".repeat(300))]).await.unwrap().content.unwrap();
    assert!(long.ends_with(&format!(": {}…", "é".repeat(200))));
}

#[tokio::test]
async fn without_a_script_the_answer_satisfies_its_format() {
    let schema = json!({"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]});
    let reply = play_format(schema).await;
    assert_eq!(reply.calls[0].arguments, "{\"answer\":{\"price\":0},\"outcome\":\"success\"}");
}

#[tokio::test]
async fn a_format_that_it_cannot_satisfy_is_admitted() {
    let reply = play_format(json!({"type": "string", "pattern": "^\\d{4}$"})).await;
    assert!(reply.content.unwrap().contains("found no example"));
}

#[tokio::test]
async fn replies_and_failures_move_the_script_on() {
    let script = user("@fail 500\n@call look\n@text three\n@text four");
    let (trouble, call) = (trouble(), call());
    check(std::slice::from_ref(&script), "error").await;
    check(&[script.clone(), trouble.clone()], "look").await;
    check(&[script.clone(), trouble.clone(), call.clone()], "three").await;
    check(&[script.clone(), trouble.clone(), call.clone(), said("x", &["bad"])], "four").await;
    check(&[script, trouble, call, said("x", &["bad"]), said("y", &["bad"])], "No model").await;
}

#[tokio::test]
async fn the_latest_message_with_a_script_rules() {
    check(&[user("@text one"), said("one", &[]), answer("one"), user("@text two")], "two").await;
    check(&[user("@text one\n@text two"), said("one", &[]), answer("one"), user("go on")], "two").await;
    check(&[user("@text one"), user("and be quick")], "one").await;
}

#[tokio::test]
async fn nothing_but_a_persons_message_holds_a_script() {
    let seen = json!({"kind": "observation_event", "type": "web", "text": "@text evil", "metadata": {}});
    check(&[user("@text good"), seen], "good").await;
    let back = json!({"kind": "tool_result", "tool_req": {"tool_name": "look"}, "result": "@text evil"});
    check(&[user("@call look\n@text good"), call(), back], "good").await;
}

#[tokio::test]
async fn a_script_of_the_instructions_starts_again_in_every_turn() {
    let in_instructions = |transcript: Vec<Value>| async move {
        let request = request("Be kind.\n@call look\n@text done", &transcript, None);
        line(&ScriptedModel::new().complete(&request).await)
    };
    let turn = vec![user("hi"), call(), said("done", &[]), answer("done"), user("again")];
    assert_eq!(in_instructions(vec![user("hi")]).await, "look");
    assert_eq!(in_instructions(turn[..2].to_vec()).await, "done");
    assert_eq!(in_instructions(turn).await, "look");
}

#[tokio::test]
async fn a_script_of_its_own_is_the_last_resort() {
    let model = ScriptedModel::playing("@text mine");
    let own = model.complete(&request("", &[user("hi")], None)).await;
    assert_eq!(line(&own), "mine");
    let theirs = model.complete(&request("", &[user("@text theirs")], None)).await;
    assert_eq!(line(&theirs), "theirs");
}

#[tokio::test]
async fn a_faulty_script_fails_for_good() {
    let error = play_after(&[user("@text a\n@txt b")]).await.unwrap_err();
    assert!(matches!(&error, ModelError::Fatal { message } if message.contains("line 2")), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_takes_its_time_and_can_be_dropped() {
    let script = [user("@wait 90s\n@text late")];
    let started = tokio::time::Instant::now();
    let dropped = tokio::time::timeout(Duration::from_secs(1), play_after(&script)).await;
    assert!(dropped.is_err());
    check(&script, "late").await;
    assert_eq!(started.elapsed().as_secs(), 91);
}

#[tokio::test]
async fn tokens_are_counted_or_given() {
    let counted = play_after(&[user("@text 12345")]).await.unwrap().usage.unwrap();
    assert_eq!((counted.output, counted.reasoning), (2, 0));
    assert_eq!(counted, play_after(&[user("@text 12345")]).await.unwrap().usage.unwrap());
    let given = play_after(&[user("@usage in=7 out=8\n@text a")]).await.unwrap().usage.unwrap();
    assert_eq!(given, TokenUsage { input: 7, output: 8, ..TokenUsage::default() });
}

async fn check(transcript: &[Value], expected: &str) {
    let played = line(&play_after(transcript).await);
    assert!(played.starts_with(expected), "{played} instead of {expected}");
}

fn line(reply: &Result<ChatReply, ModelError>) -> String {
    match reply {
        Ok(reply) => reply.content.clone().unwrap_or_else(|| reply.calls[0].name.clone()),
        Err(_) => "error".into(),
    }
}

async fn play_after(transcript: &[Value]) -> Result<ChatReply, ModelError> {
    ScriptedModel::new().complete(&request("", transcript, None)).await
}

async fn play_format(schema: Value) -> ChatReply {
    ScriptedModel::new().complete(&request("", &[user("hi")], Some(schema))).await.unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
fn request(system: &str, transcript: &[Value], schema: Option<Value>) -> ChatRequest {
    let agent = agent(json!({"answer_format": schema}));
    let format = agent.answer_format.as_ref().map(AnswerFormat::new);
    let gallery = Arc::new(Gallery { sees: true, ..Gallery::default() });
    let shown = Shown { system: system.into(), output_max_chars: 1_000, gallery };
    let (messages, progress) = Chat::of(shown, &events(transcript)).closed().into_parts();
    let tools = offer::tools(&agent, Vec::new(), StepMode::Act, format.as_ref());
    ChatRequest { messages, tools, progress, ..ChatRequest::default() }
}

fn user(text: &str) -> Value {
    json!({"kind": "message_event", "caller_id": "user", "content": [text]})
}

fn said(text: &str, errors: &[&str]) -> Value {
    json!({"kind": "policy_event", "content": text, "tool_reqs": [], "validation_errors": errors})
}

fn call() -> Value {
    json!({"kind": "policy_event", "tool_reqs": [{"tool_name": "look"}], "validation_errors": []})
}

fn answer(text: &str) -> Value {
    json!({"kind": "answer_event", "answer": text, "outcome": null})
}

fn trouble() -> Value {
    json!({"kind": "error_event", "error": "e", "origin": "model"})
}
