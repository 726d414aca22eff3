use crate::{
    Ending, Fact, LoggedEvent, Next, Rejection, Report, SessionFailure, State,
    tests::world::{
        Run, answered, decided, failed, interactive, messages, noon, one_shot, result, running, say, started,
    },
};
use chrono::TimeDelta;
use quarterdeck_api::{AgentEvent, Answer, ErrorCode, FileContent, Outcome, SourceType, Status};
use serde_json::{Value, json};

#[test]
fn a_one_shot_session_writes_its_events_in_the_contracts_order() {
    let mut run = Run::create(one_shot());
    assert_eq!(run.next(), Next::Start);
    run.fact(started(&["Find the price"]));
    run.fact(decided(&["click"]));
    run.fact(Fact::Reported(Report::Returned(result("click"))));
    run.fact(answered("19 €"));

    let expected = [
        "RequestStart",
        "RequestStartDispatched pending",
        "AgentStarted",
        "ActiveStateChange running",
        "message_event Find the price",
        "policy_event click",
        "MetricsUpdate",
        "tool_result click",
        "policy_event",
        "answer_event 19 €",
        "MetricsUpdate",
        "AgentCompletion finished",
    ];
    assert_eq!(run.words(), expected);
    assert_eq!(run.session.state, State::Ended(Ending::Completed));
    assert_eq!(run.session.answer, Some(Answer::Text("19 €".into())));
    assert_eq!(run.session.outcome, Some(Outcome::Success));
    assert_eq!((run.session.steps, run.session.usage[0].input_tokens), (2, 20));
    assert_eq!(run.session.finished_at, Some(noon()));
}

#[test]
fn three_turns_of_a_conversation_each_start_with_fresh_budgets_and_keep_the_last_answer() {
    let mut run = Run::start(interactive());
    for turn in ["one", "two", "three"] {
        assert_eq!(run.fact(decided(&["click"])), ["policy_event click", "MetricsUpdate"]);
        run.fact(Fact::Reported(Report::Returned(result("click"))));
        let words = run.wait_s(60).fact(answered(turn));
        assert_eq!(words.last().map(String::as_str), Some("ActiveStateChange idle"));
        assert_eq!((run.session.turn.steps, run.session.turn.worked_ms), (2, 60_000));

        assert_eq!(run.wait_s(60).command(say(&["and then?"])), ["ActiveStateChange running"]);
        assert_eq!(run.session.answer, Some(Answer::Text(turn.into())), "it stays until the next one");
        assert_eq!((run.session.turn.steps, run.session.turn.worked_ms(run.now)), (0, 0));
        assert_eq!(run.next(), Next::Deliver);
        assert_eq!(run.deliver(), ["message_event and then?"]);
    }
    assert_eq!(run.session.steps, 6);
    assert_eq!(run.session.finished_at, None);
}

#[test]
fn files_follow_their_message_in_the_log_and_the_agent_sees_that_they_are_there() {
    let mut run = Run::create(interactive());
    let mut messages = messages(&["Read these"]);
    messages[0].files = vec![file("a.txt", SourceType::Url), file("b.txt", SourceType::Base64)];
    let words = run.fact(Fact::Started { messages, inbox_through: 0 });
    assert_eq!(words[words.len() - 2..], ["message_event Read these", "Attachment user"], "only what has an address");
    let seen = run.log.last().and_then(LoggedEvent::agent_event);
    let Some(AgentEvent::ObservationEvent { source, metadata, .. }) = seen else { panic!("it is an observation") };
    assert_eq!(source, "attachment");
    assert_eq!(Value::Object(metadata), json!({"name": "a.txt", "media_type": "text/plain", "size_bytes": 5}));
}

fn file(name: &str, source_type: SourceType) -> FileContent {
    let (source, media_type) = ("/somewhere".into(), Some("text/plain".into()));
    FileContent { source_type, source, name: name.into(), media_type, size_bytes: Some(5) }
}

#[test]
fn an_idle_session_completes_when_its_wait_is_over_and_not_before() {
    let mut run = Run::start(interactive());
    run.fact(answered("19 €"));
    assert_eq!(run.session.due_at(), Some(noon() + TimeDelta::seconds(300)));
    assert_eq!(run.wait_s(299).fact(Fact::TimePassed), [""; 0]);
    assert_eq!(run.next(), Next::Release);

    assert_eq!(run.wait_s(1).next(), Next::TimePassed);
    assert_eq!(run.fact(Fact::TimePassed), ["AgentCompletion finished"]);
    assert_eq!(run.status(), Status::Completed);
    assert_eq!(run.session.answer, Some(Answer::Text("19 €".into())));
}

#[test]
fn a_session_without_messages_goes_idle_and_works_once_it_is_told_what_to_do() {
    let mut run = Run::create(interactive());
    assert_eq!(run.fact(started(&[])), ["AgentStarted", "ActiveStateChange idle"]);
    assert_eq!(run.command(say(&["Find the price"])), ["ActiveStateChange running"]);
    assert_eq!(run.deliver(), ["message_event Find the price"]);
    run.fact(answered("19 €"));
    assert_eq!(run.status(), Status::Idle);
}

#[test]
fn a_one_shot_session_that_never_gets_its_message_fails_for_want_of_an_answer() {
    let mut run = Run::create(one_shot());
    run.fact(started(&[]));
    assert_eq!(run.wait_s(600).fact(Fact::TimePassed), ["AgentError"]);
    assert_eq!(run.session.error_code(), Some(ErrorCode::NoAnswer));
}

#[test]
fn a_message_that_comes_between_reading_the_inbox_and_starting_is_not_slept_through() {
    let mut run = Run::create(interactive());
    run.command(say(&["Find the price"]));
    let words = run.fact(started(&[]));
    assert_eq!(words.last().map(String::as_str), Some("ActiveStateChange running"));
    assert_eq!(run.next(), Next::Deliver);
}

#[test]
fn a_start_that_shows_messages_nobody_sent_is_refused() {
    let mut run = Run::create(one_shot());
    run.command(say(&["Find the price"]));
    for inbox_through in [1, 2] {
        let shown = if inbox_through == 1 { Vec::new() } else { messages(&["one", "two"]) };
        let start = Fact::Started { messages: shown, inbox_through };
        assert_eq!(run.try_fact(start), Err(Rejection::MovedOn { status: Status::Pending }));
    }
}

#[test]
fn a_message_too_late_for_the_answer_opens_the_next_turn_at_once() {
    let mut run = Run::start(one_shot());
    assert_eq!(run.command(say(&["And in dollars?"])), [""; 0]);
    let words = run.fact(answered("19 €"));
    assert_eq!(words, ["policy_event", "answer_event 19 €", "MetricsUpdate", "ActiveStateChange running"]);
    assert_eq!(run.next(), Next::Deliver);
    run.deliver();
    run.fact(answered("21 $"));
    assert_eq!(run.status(), Status::Completed);
}

#[test]
fn a_completed_session_is_restarted_by_a_message_on_the_same_log() {
    let mut run = Run::start(one_shot());
    run.fact(answered("19 €"));
    let (length, started_at) = (run.session.log_length, run.session.started_at);

    assert_eq!(run.wait_s(60).command(say(&["And in dollars?"])), ["ActiveStateChange running"]);
    assert_eq!(run.session.state, running());
    assert_eq!((run.session.finished_at, run.session.started_at), (None, started_at));
    assert_eq!(run.session.log_length, length + 1);
    run.deliver();
    assert_eq!(run.fact(answered("21 $")).last().map(String::as_str), Some("AgentCompletion finished"));
    assert_eq!(run.session.finished_at, Some(run.now));
}

#[test]
fn a_session_that_failed_before_it_started_is_dispatched_again() {
    let mut run = Run::create(one_shot());
    assert_eq!(run.fact(failed()), ["AgentError"]);
    assert_eq!(run.command(say(&["Try again"])), ["RequestStartDispatched pending"]);
    assert_eq!((run.status(), run.session.error()), (Status::Pending, None));
    let both = Fact::Started { messages: messages(&["Find the price", "Try again"]), inbox_through: 1 };
    run.fact(both);
    assert_eq!(run.session.inbox.waiting(), 0);
}

#[test]
fn a_queued_session_has_one_event_until_it_is_promoted() {
    let mut run = Run::queue(one_shot());
    assert_eq!(run.words(), ["RequestStart"]);
    assert_eq!((run.session.due_at(), run.session.state.holds_slot()), (None, false));
    assert_eq!(run.fact(Fact::Promoted), ["RequestStartDispatched pending"]);
    assert!(run.session.state.holds_slot());
}

#[test]
fn a_failed_session_tells_its_code_and_keeps_the_cause_for_its_owner() {
    let mut run = Run::start(one_shot());
    run.fact(Fact::Reported(Report::Failed(SessionFailure::because(ErrorCode::Internal, "disk full"))));
    let last = run.log.last().expect("an event");
    assert!(last.json.get().contains(r#""trace":"","info":{"cause":"disk full"}"#), "{}", last.json);
    let sentence = run.session.status_record().error.expect("a sentence");
    assert!(sentence.contains("disk full"), "{sentence}");
    assert!(!crate::sentence_without_cause(&sentence).contains("disk"), "{sentence}");
}

#[test]
fn the_inbox_takes_what_it_has_room_for_and_refuses_a_batch_whole() {
    let mut run = Run::start(one_shot());
    run.command(say(&["x"; 999]));
    assert!(run.try_command(say(&["x"; 2])).is_err());
    run.command(say(&["x"]));
    assert!(run.try_command(say(&["x"])).is_err());
    assert_eq!(run.session.inbox.waiting(), 1_000);
}
