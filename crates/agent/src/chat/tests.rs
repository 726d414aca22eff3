use super::*;
use crate::testing::events;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{HashSet, VecDeque};

#[test]
fn a_conversation_reads_as_it_went() {
    check(
        &[
            user("hi"),
            calls(&[("look", "1")]),
            result("look", "1", &json!({"a": 1})),
            said("done"),
            answer("done"),
            user("on"),
        ],
        "system\nuser hi\nassistant [look c00000000]\ntool c00000000 {\"a\":1}\nassistant done\nuser on",
    );
}

#[test]
fn a_message_between_a_call_and_its_result_comes_after_it() {
    check(
        &[
            user("hi"),
            calls(&[("a", "1"), ("b", "2")]),
            user("wait"),
            result("b", "2", &json!("B")),
            result("a", "1", &json!("A")),
        ],
        "system\nuser hi\nassistant [a c00000000] [b c00000001]\ntool c00000000 A\ntool c00000001 B\nuser wait",
    );
}

#[test]
fn a_call_without_a_result_gets_a_note() {
    check(
        &[calls(&[("a", "1"), ("b", "2")]), result("b", "2", &json!("B")), user("hi"), said("so")],
        "system\nassistant [a c00000000] [b c00000001]\ntool c00000000 There is no result: the call was never finished.\n\
         tool c00000001 B\nuser hi\nassistant so",
    );
}

#[test]
fn ids_of_the_log_may_be_missing_or_come_again() {
    let bare =
        json!({"kind": "policy_event", "tool_reqs": [{"tool_name": "a"}, {"tool_name": "a"}], "validation_errors": []});
    let back = json!({"kind": "tool_result", "tool_req": {"tool_name": "a"}, "result": "r"});
    check(
        &[bare, back.clone(), back, calls(&[("a", "1")]), result("a", "1", &json!("r"))],
        "system\nassistant [a c00000000] [a c00000001]\ntool c00000000 r\ntool c00000001 r\n\
         assistant [a c00001000]\ntool c00001000 r",
    );
}

#[test]
fn a_failed_call_is_told_as_failed() {
    let error = json!({"kind": "error_event", "error": "boom", "origin": "client", "tool_req": request("a", "1")});
    check(&[calls(&[("a", "1")]), error], "system\nassistant [a c00000000]\ntool c00000000 The call failed. boom");
}

#[test]
fn a_useless_reply_is_followed_by_its_faults() {
    let bad = json!({"kind": "policy_event", "content": "hm", "tool_reqs": [], "validation_errors": ["x is wrong"]});
    check(
        &[user("hi"), bad],
        "system\nuser hi\nassistant hm\n\
         note Your last reply could not be used, and nothing of it was done: - x is wrong Reply again without this fault.",
    );
}

#[test]
fn an_answer_settles_the_call_that_gave_it() {
    check(
        &[user("hi"), calls(&[("answer", "1")]), answer("done"), user("more")],
        "system\nuser hi\nassistant [answer c00000000]\ntool c00000000 The answer was given to the user.\nuser more",
    );
}

#[test]
fn an_answer_that_no_reply_gave_is_told() {
    check(&[user("hi"), answer("done")], "system\nuser hi\nassistant \"done\"");
}

#[test]
fn an_observation_is_marked_as_data() {
    let seen = json!({"kind": "observation_event", "type": "web", "text": "page", "metadata": {"url": "u"}});
    check(&[seen], "system\nnote {\"url\":\"u\"} page");
    let seen = json!({"kind": "observation_event", "type": "web", "text": "page", "metadata": {}});
    let (messages, _) = build(&[seen]);
    let ChatMessage::Note(parts) = &*messages[1] else { panic!("{messages:?}") };
    assert!(matches!(&parts[..], [Part::Text(text)] if text.starts_with("<data-")), "{parts:?}");
}

#[test]
fn only_pictures_that_are_here_are_shown() {
    check_picture(json!({"type": "base64", "source": "/9j/x"}), &Part::Image("data:image/jpeg;base64,/9j/x".into()));
    check_picture(
        json!({"type": "base64", "source": "x", "media_type": "image/webp"}),
        &Part::Image("data:image/webp;base64,x".into()),
    );
    check_picture(
        json!({"type": "url", "source": "http://169.254.169.254/"}),
        &Part::Text("(a picture that you cannot see, at \"http://169.254.169.254/\")".into()),
    );
}

#[test]
fn long_output_is_cut() {
    let (messages, _) = build(&[calls(&[("a", "1")]), result("a", "1", &json!("x".repeat(500)))]);
    let ChatMessage::Tool { content, .. } = &*messages[2] else { panic!("{messages:?}") };
    assert!(content.contains(&"x".repeat(100)) && !content.contains(&"x".repeat(101)));
}

#[test]
fn progress_tells_the_turn_and_the_failures() {
    let trouble = json!({"kind": "error_event", "error": "e", "origin": "model"});
    let (_, progress) =
        build(&[user("a"), trouble.clone(), said("b"), answer("b"), user("c"), trouble.clone(), trouble]);
    assert_eq!((progress.turn_start, progress.failures), (3, vec![2, 4, 4]));
}

#[test]
fn older_pictures_and_pages_are_only_named() {
    let seen = |number: usize| {
        let image = json!({"type": "base64", "source": "aGk=", "media_type": "image/png"});
        let metadata = json!({"url": format!("https://a/{number}"), "tabs": [1], "chunk": 2});
        json!({"kind": "observation_event", "type": "web", "text": "words", "image": image, "metadata": metadata})
    };
    let gallery = Gallery { sees: true, first_picture: 1, first_page: 1, ..Gallery::default() };
    let (messages, _) = build_with(gallery, &[seen(0), seen(1)]);
    let lines: Vec<_> = messages[1..].iter().map(|message| line(message)).collect();
    let left_out = "(picture 1, left out: only the latest are shown)";
    let expected = [
        format!(r#"note {{"chunk":2,"url":"https://a/0"}} {left_out}"#),
        r#"note {"chunk":2,"tabs":[1],"url":"https://a/1"} words data:image/png;base64,aGk="#.to_owned(),
    ];
    assert_eq!(lines.iter().map(|line| sorted(line)).collect::<Vec<_>>(), expected.map(|line| sorted(&line)));
}

/// The characters of a line: members of JSON objects may stand in any order.
fn sorted(line: &str) -> Vec<char> {
    let mut characters: Vec<char> = line.chars().collect();
    characters.sort_unstable();
    characters
}

#[test]
fn a_model_that_reads_text_only_is_shown_no_picture() {
    let image = json!({"type": "base64", "source": "aGk=", "media_type": "image/png"});
    let said = json!({"kind": "message_event", "caller_id": "u", "content": [image]});
    let (messages, _) = build_with(Gallery::default(), &[said]);
    assert_eq!(line(&messages[1]), "user (a picture, which you cannot see)");
}

proptest! {
    /// Whatever the steps at which it was taken up again.
    #[test]
    fn a_conversation_that_grew_is_the_one_that_is_built_anew(
        kinds in proptest::collection::vec(0..9_usize, 0..40),
        steps in proptest::collection::vec(0..40_usize, 0..6),
    ) {
        let transcript = events(kinds.iter().map(|kind| any_event(*kind)).collect::<Vec<_>>().iter());
        let shown = || shown(Gallery { sees: true, ..Gallery::default() });
        let mut steps: Vec<_> = steps.into_iter().map(|step| step.min(transcript.len())).collect();
        steps.sort_unstable();
        let mut chat = None;
        for step in steps.into_iter().chain([transcript.len()]) {
            let grown = Chat::after(chat.take(), shown(), &transcript[..step]);
            let anew = Chat::of(shown(), &transcript[..step]).closed().into_parts();
            prop_assert!(grown.clone().closed().into_parts() == anew);
            chat = Some(grown);
        }
    }

    #[test]
    fn any_transcript_makes_a_sound_conversation(kinds in proptest::collection::vec(0..9_usize, 0..40)) {
        let transcript: Vec<_> = kinds.iter().map(|kind| any_event(*kind)).collect();
        let replies = transcript.iter().filter(|event| event["kind"] == "policy_event").count();
        let (messages, _) = build(&transcript);
        assert_sound(&messages);
        let told = messages.iter().filter(|message| matches!(***message, ChatMessage::Assistant { .. })).count();
        assert!(told >= replies);
    }
}

fn any_event(kind: usize) -> Value {
    match kind {
        0 => user("hi"),
        1 => calls(&[("a", "1"), ("a", "1"), ("b", "2")]),
        2 => calls(&[("answer", "1")]),
        3 => result("a", "1", &json!("r")),
        4 => result("b", "2", &json!("r")),
        5 => answer("done"),
        6 => said("so"),
        7 => json!({"kind": "error_event", "error": "e", "origin": "model"}),
        _ => json!({"kind": "policy_event", "content": null, "tool_reqs": [], "validation_errors": ["bad"]}),
    }
}

/// Each call is followed at once by its one result, and no id comes twice.
fn assert_sound(messages: &[SharedMessage]) {
    let mut owed = VecDeque::new();
    let mut ids = HashSet::new();
    for message in messages {
        if let ChatMessage::Tool { call_id, .. } = &**message {
            assert_eq!(owed.pop_front().as_ref(), Some(call_id));
        } else {
            assert!(owed.is_empty(), "{owed:?}");
        }
        if let ChatMessage::Assistant { calls, .. } = &**message {
            owed.extend(calls.iter().map(|call| call.id.clone()));
            assert!(calls.iter().all(|call| ids.insert(call.id.clone())));
        }
    }
    assert!(owed.is_empty(), "{owed:?}");
}

fn check(transcript: &[Value], expected: &str) {
    let (messages, _) = build(transcript);
    assert_eq!(messages.iter().map(|message| line(message)).collect::<Vec<_>>().join("\n"), expected);
}

#[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
fn check_picture(image: Value, expected: &Part) {
    let (messages, _) = build(&[json!({"kind": "message_event", "caller_id": "u", "content": [image]})]);
    assert_eq!(messages[1], ChatMessage::User(vec![expected.clone()]));
}

fn build(transcript: &[Value]) -> (Vec<SharedMessage>, Progress) {
    build_with(Gallery { sees: true, ..Gallery::default() }, transcript)
}

fn build_with(gallery: Gallery, transcript: &[Value]) -> (Vec<SharedMessage>, Progress) {
    Chat::of(shown(gallery), &events(transcript)).closed().into_parts()
}

fn shown(gallery: Gallery) -> Shown {
    Shown { system: "s".into(), output_max_chars: 100, gallery: Arc::new(gallery) }
}

/// A message in one line, without the marks around data.
fn line(message: &ChatMessage) -> String {
    match message {
        ChatMessage::System(_) => "system".into(),
        ChatMessage::User(parts) => format!("user {}", words(parts)),
        ChatMessage::Note(parts) => format!("note {}", words(parts)),
        ChatMessage::Assistant { content, calls, .. } => {
            let calls = calls.iter().map(|call| format!("[{} {}]", call.name, call.id));
            let words: Vec<_> = content.clone().into_iter().chain(calls).collect();
            format!("assistant {}", words.join(" "))
        }
        ChatMessage::Tool { call_id, content } => format!("tool {call_id} {}", unmarked(content)),
    }
}

fn words(parts: &[Part]) -> String {
    let words = parts.iter().map(|part| match part {
        Part::Text(text) => unmarked(text),
        Part::Image(uri) => uri.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn unmarked(text: &str) -> String {
    let mark = |line: &&str| !line.starts_with("<data-") && !line.starts_with("</data-");
    text.lines().filter(mark).collect::<Vec<_>>().join(" ")
}

fn user(text: &str) -> Value {
    json!({"kind": "message_event", "caller_id": "user", "content": [text]})
}

fn said(text: &str) -> Value {
    json!({"kind": "policy_event", "content": text, "tool_reqs": [], "validation_errors": []})
}

fn calls(calls: &[(&str, &str)]) -> Value {
    let requests: Vec<_> = calls.iter().map(|(name, id)| request(name, id)).collect();
    json!({"kind": "policy_event", "tool_reqs": requests, "validation_errors": []})
}

fn request(name: &str, id: &str) -> Value {
    json!({"tool_name": name, "args": {}, "id": id})
}

fn result(name: &str, id: &str, result: &Value) -> Value {
    json!({"kind": "tool_result", "tool_req": request(name, id), "result": result})
}

fn answer(text: &str) -> Value {
    json!({"kind": "answer_event", "answer": text, "outcome": null})
}
