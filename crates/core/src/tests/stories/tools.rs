use crate::{
    Command, Fact, Next, Rejection, Report, StepMode,
    tests::world::{
        Run, after, answered, awaiting, call, decided, error_of, failed, one_shot, result, result_of, results, running,
        say,
    },
};
use quarterdeck_api::{JsonObject, Status, ToolRequest, ToolResultItem};

#[test]
fn a_custom_tool_makes_the_round_trip_with_the_survivors_published_again() {
    let mut run = Run::start(one_shot());
    assert_eq!(
        run.fact(decided(&["ask", "look"])),
        ["policy_event ask+look", "MetricsUpdate", "ActiveStateChange awaiting_tool_results ask+look"]
    );
    assert_eq!(run.next(), Next::Release);

    assert_eq!(
        run.command(results(&["look", "guess"])),
        ["tool_result look", "ActiveStateChange awaiting_tool_results ask"]
    );
    assert_eq!(run.session.status_record().pending_tool_calls, [call("ask")]);

    let duplicate = run.try_command(results(&["look"]));
    assert_eq!(duplicate, Err(Rejection::NothingPending { pending: 1 }));

    let error = Command::ToolResults(vec![error_of(call("ask"))]);
    assert_eq!(run.command(error), ["error_event client ask", "ActiveStateChange running"]);
    assert_eq!(run.session.state, running());
    assert_eq!(run.next(), Next::Step(StepMode::Act));
    run.fact(answered("19 €"));
}

#[test]
fn the_clients_calls_come_after_the_servers_have_returned() {
    let mut run = Run::start(one_shot());
    assert_eq!(run.fact(decided(&["ask", "click"])), ["policy_event ask+click", "MetricsUpdate"]);
    assert_eq!(run.next(), Next::Settle(vec![call("click")]));
    assert_eq!(
        run.fact(Fact::Reported(Report::Returned(result("click")))),
        ["tool_result click", "ActiveStateChange awaiting_tool_results ask"]
    );
}

#[test]
fn a_result_without_an_id_answers_the_call_of_that_name_and_those_arguments() {
    let arguments = |page: u64| Some(JsonObject::from_iter([("page".to_owned(), page.into())]));
    let of = |args, id: Option<&str>| ToolRequest { tool_name: "ask".into(), args, id: id.map(str::to_owned) };
    let first = of(arguments(1), Some("c1"));
    let calls = vec![first.clone(), of(arguments(2), Some("c2")), of(None, None)];
    let mut run = Run::start(one_shot());
    run.fact(Fact::Reported(Report::Decided {
        mode: StepMode::Act,
        reply: crate::Reply::default(),
        calls,
        validation_errors: Vec::new(),
    }));

    let answer = |call| Command::ToolResults(vec![ToolResultItem::Result(result_of(call))]);
    run.command(answer(of(arguments(2), None)));
    run.command(answer(of(Some(JsonObject::new()), None)));
    assert_eq!(run.session.state.pending_tool_calls(), [first]);
    assert!(run.log.iter().any(|event| event.json.get().contains(r#""args":{"page":2},"id":"c2""#)));
}

#[test]
fn a_call_id_may_come_again_in_a_later_step() {
    let mut run = awaiting();
    run.command(results(&["ask", "look"]));
    run.fact(decided(&["ask"]));
    run.command(results(&["ask"]));
    let states: Vec<_> = run.words().into_iter().filter(|word| word.starts_with("ActiveStateChange")).collect();
    assert_eq!(
        states[1..],
        [
            "ActiveStateChange awaiting_tool_results ask+look",
            "ActiveStateChange running",
            "ActiveStateChange awaiting_tool_results ask",
            "ActiveStateChange running",
        ]
    );
}

#[test]
fn a_forced_answer_drops_the_calls_that_are_waited_for() {
    let mut run = awaiting();
    assert_eq!(
        run.command(Command::ForceAnswer),
        [
            "error_event server ask",
            "error_event server look",
            "ActiveStateChange running",
            "flow_event force_answer user",
        ]
    );
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
    assert_eq!(run.try_command(results(&["ask"])), Err(Rejection::NothingPending { pending: 0 }));
    run.fact(answered("19 €"));
    assert_eq!(run.status(), Status::Completed);
}

#[test]
fn an_answer_forced_while_the_model_thinks_drops_the_calls_it_then_makes() {
    let mut run = Run::start(one_shot());
    run.command(Command::ForceAnswer);
    assert_eq!(
        run.fact(decided(&["click", "ask"])),
        ["policy_event click+ask", "MetricsUpdate", "error_event server click", "error_event server ask"]
    );
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn an_answer_forced_during_the_servers_calls_drops_the_clients() {
    let mut run = after(Run::start(one_shot()), [decided(&["click", "ask"])]);
    run.command(Command::ForceAnswer);
    assert_eq!(
        run.fact(Fact::Reported(Report::Returned(result("click")))),
        ["tool_result click", "error_event server ask"]
    );
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn a_message_during_the_wait_for_results_is_delivered_after_them() {
    let mut run = awaiting();
    assert_eq!(run.command(say(&["hurry"])), [""; 0]);
    assert_eq!(run.next(), Next::Release);
    run.command(results(&["ask", "look"]));
    assert_eq!(run.next(), Next::Deliver);
}

#[test]
fn a_step_cannot_begin_before_the_last_ones_calls_have_returned() {
    let mut run = after(Run::start(one_shot()), [decided(&["click"])]);
    run.command(say(&["hurry"]));
    for early in [decided(&["click"]), answered("19 €")] {
        assert_eq!(run.try_fact(early), Err(Rejection::MovedOn { status: Status::Running }));
    }
    let delivery = Fact::Delivered { messages: run.inbox.clone(), inbox_through: 1 };
    assert_eq!(run.try_fact(delivery), Err(Rejection::MovedOn { status: Status::Running }));
    assert_eq!(run.next(), Next::Settle(vec![call("click")]));
}

#[test]
fn a_session_that_ends_settles_its_open_calls_first() {
    let mut run = after(Run::start(one_shot()), [decided(&["click", "ask"])]);
    assert_eq!(run.fact(failed()), ["error_event server click", "error_event server ask", "AgentError"]);

    let mut run = awaiting();
    assert_eq!(
        run.command(Command::Cancel),
        ["error_event server ask", "error_event server look", "AgentCompletion stopped"]
    );
}
