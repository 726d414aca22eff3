use crate::{
    Command, Fact, Next, Rejection, Report, StepMode,
    tests::world::{
        Run, after, answered, awaiting, call, decided, one_shot, paused_while_running, result, results, say, started,
    },
};
use quarterdeck_api::Status;

#[test]
fn results_that_come_during_a_pause_are_taken_and_the_pause_stays() {
    let mut run = awaiting();
    assert_eq!(run.command(Command::Pause), ["AgentRunStatusChange paused"]);
    assert_eq!(run.session.status_record().pending_tool_calls, [call("ask"), call("look")]);

    assert_eq!(run.command(results(&["ask"])), ["tool_result ask", "ActiveStateChange awaiting_tool_results look"]);
    assert_eq!(run.status(), Status::Paused);
    assert_eq!(run.command(results(&["look"])), ["tool_result look", "ActiveStateChange running"]);
    assert_eq!(run.session.state, paused_while_running());
    assert_eq!(run.next(), Next::Release);

    assert_eq!(run.command(Command::Resume), ["AgentRunStatusChange running"]);
    assert_eq!(run.next(), Next::Step(StepMode::Act));
}

#[test]
fn a_resume_leads_back_to_the_calls_that_are_still_pending() {
    let mut run = awaiting();
    run.command(Command::Pause);
    run.command(results(&["ask"]));
    run.command(Command::Resume);
    assert_eq!(run.status(), Status::AwaitingToolResults);
    assert_eq!(run.session.state.pending_tool_calls(), [call("look")]);
}

#[test]
fn a_message_resumes_a_paused_session() {
    let mut run = Run::start(one_shot());
    run.command(Command::Pause);
    assert_eq!(run.command(say(&["go on"])), ["AgentRunStatusChange running"]);
    assert_eq!((run.status(), run.next()), (Status::Running, Next::Deliver));
}

#[test]
fn a_forced_answer_resumes_a_paused_session() {
    let mut run = awaiting();
    run.command(Command::Pause);
    assert_eq!(
        run.command(Command::ForceAnswer),
        [
            "AgentRunStatusChange running",
            "error_event server ask",
            "error_event server look",
            "ActiveStateChange running",
            "flow_event force_answer user",
        ]
    );
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn a_pause_before_the_start_holds_the_start() {
    let mut run = Run::create(one_shot());
    run.command(Command::Pause);
    assert_eq!(run.next(), Next::Release);
    assert_eq!(run.try_fact(started(&["x"])), Err(Rejection::MovedOn { status: Status::Paused }));
    run.command(Command::Resume);
    assert_eq!((run.status(), run.next()), (Status::Pending, Next::Start));
}

#[test]
fn a_call_that_ran_when_the_pause_came_may_return_and_a_thought_may_not() {
    let mut run = after(Run::start(one_shot()), [decided(&["click", "ask"])]);
    run.command(Command::Pause);
    assert_eq!(
        run.fact(Fact::Reported(Report::Returned(result("click")))),
        ["tool_result click", "ActiveStateChange awaiting_tool_results ask"]
    );
    assert_eq!(run.status(), Status::Paused);

    let mut run = Run::start(one_shot());
    run.command(Command::Pause);
    assert_eq!(run.try_fact(answered("19 €")), Err(Rejection::MovedOn { status: Status::Paused }));
}

#[test]
fn a_force_recorded_before_the_start_makes_the_first_step_answer() {
    let mut run = Run::create(one_shot());
    assert_eq!(run.command(Command::ForceAnswer), ["flow_event force_answer user"]);
    assert_eq!(run.command(Command::ForceAnswer), [""; 0]);
    run.fact(started(&["Find the price"]));
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}
