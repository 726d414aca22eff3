use super::*;
use crate::{offer, testing::agent};
use futures_util::FutureExt;
use serde_json::json;

#[test]
fn calls_of_known_tools_are_made() {
    check(StepMode::Act, &[("look", "{\"at\": 1}"), ("look", "{}")], &Expected::Calls(&["look", "look"]));
}

#[test]
fn an_answer_beside_other_calls_waits_for_them() {
    check(StepMode::Act, &[("answer", "{\"answer\": \"a\"}"), ("look", "{}")], &Expected::Calls(&["look"]));
}

#[test]
fn an_answer_counts_alone() {
    check(StepMode::Act, &[("answer", "{\"answer\": \"a\", \"outcome\": \"odd\"}")], &Expected::Answer("a"));
}

#[test]
fn when_forced_only_the_answer_counts() {
    check(StepMode::AnswerOnly, &[("look", "{"), ("answer", "{\"answer\": \"a\"}")], &Expected::Answer("a"));
    check(StepMode::AnswerOnly, &[("look", "{}")], &Expected::Invalid("only `answer` may be called now"));
}

#[test]
fn a_faulty_call_spoils_the_reply() {
    let check = |call, fault| check(StepMode::Act, &[("look", "{}"), call], &Expected::Invalid(fault));
    check(("gone", "{}"), "there is no tool \"gone\"; there are: look, answer");
    check(("nul\0", "{}"), "there is no tool \"nul\\0\"; there are: look, answer");
    check(("look", "{\"a\""), "the arguments of \"look\" are not a JSON object: EOF while parsing");
    check(("look", "[1]"), "the arguments of \"look\" are not a JSON object: invalid type");
    check(("look", "{\"a\": [\"\\u0000\"]}"), "the arguments of \"look\" hold a NUL character");
}

#[test]
fn an_answer_without_words_is_no_answer() {
    check(StepMode::Act, &[("answer", "{}")], &Expected::Invalid("the call of `answer` has no argument `answer`"));
    check(StepMode::Act, &[("answer", "{\"answer\": \" \"}")], &Expected::Invalid("the answer is empty"));
    check(StepMode::Act, &[], &Expected::Invalid("the reply is empty: call a tool, or answer"));
}

#[test]
fn words_that_were_cut_off_are_no_answer() {
    let reply = ChatReply { content: Some("half a sen".into()), finish: Finish::CutOff, ..ChatReply::default() };
    assert!(matches!(judge(StepMode::Act, &reply), Verdict::Invalid(_)));
}

#[test]
fn what_is_too_much_is_refused() {
    let words = ChatReply { content: Some("a".repeat(WORDS_MAX_BYTES + 1)), ..ChatReply::default() };
    assert!(matches!(judge(StepMode::Act, &words), Verdict::Invalid(_)));
    let calls = ChatReply { calls_left_out: 9_872, calls: vec![RawCall::default(); 128], ..ChatReply::default() };
    let expected = Verdict::Invalid(vec!["the reply makes 10000 calls; at most 128 can be taken".into()]);
    assert_eq!(judge(StepMode::Act, &calls), expected);
}

#[test]
fn every_call_gets_an_id_that_tells_it_apart() {
    let call = |id: Option<&str>| RawCall {
        id: id.map(str::to_owned),
        name: "look".into(),
        arguments: "{}".into(),
        ..RawCall::default()
    };
    let calls =
        [call(Some("fresh")), call(Some("fresh")), call(None), call(Some("")), call(Some("old")), call(Some("\n"))];
    let Verdict::Act(calls) = judge(StepMode::Act, &ChatReply { calls: calls.into(), ..ChatReply::default() }) else {
        panic!("calls");
    };
    let ids: Vec<_> = calls.iter().map(|call| call.id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["fresh", "call.7.1", "call.7.2", "call.7.3", "call.7.4", "call.7.5"]);
}

#[test]
fn a_useless_reply_is_shown_without_nul() {
    let call = RawCall { id: None, name: "f\0".into(), arguments: "{".into(), ..RawCall::default() };
    let reply = ChatReply { content: Some("hm".into()), calls: vec![call], ..ChatReply::default() };
    assert_eq!(shown(&reply).as_deref(), Some("hm\nf\u{fffd}({)"));
    assert_eq!(shown(&ChatReply::default()), None);
}

enum Expected<'a> {
    Calls(&'a [&'a str]),
    Answer(&'a str),
    /// How the last fault begins.
    Invalid(&'a str),
}

fn check(mode: StepMode, calls: &[(&str, &str)], expected: &Expected<'_>) {
    let raw = |(name, arguments): &(&str, &str)| RawCall {
        name: (*name).into(),
        arguments: (*arguments).into(),
        ..RawCall::default()
    };
    let verdict = judge(mode, &ChatReply { calls: calls.iter().map(raw).collect(), ..ChatReply::default() });
    match (expected, &verdict) {
        (Expected::Calls(names), Verdict::Act(calls)) => {
            assert_eq!(calls.iter().map(|call| call.tool_name.as_str()).collect::<Vec<_>>(), *names);
        }
        (Expected::Answer(text), Verdict::Answer { answer, outcome, .. }) => {
            assert_eq!((answer, outcome), (&Answer::Text((*text).into()), &None));
        }
        (Expected::Invalid(start), Verdict::Invalid(faults)) => {
            assert!(faults.last().unwrap().starts_with(start), "{faults:?}");
        }
        _ => panic!("{verdict:?}"),
    }
}

fn judge(mode: StepMode, reply: &ChatReply) -> Verdict {
    let agent = agent(json!({"tools": [{"name": "look", "description": "Looks."}]}));
    let tools = offer::tools(&agent, Vec::new(), mode, None);
    let judge = Judge { mode, tools: &tools, format: None, taken_ids: HashSet::from(["old"]), replies: 7 };
    judge.judge(&mut reply.clone()).now_or_never().unwrap()
}
