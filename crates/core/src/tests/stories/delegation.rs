use crate::{
    ChildCall, ChildOrder, Command, Fact, Next, Report, Session, Settings, Steering, StepMode,
    tests::world::{
        Run, after, answered, call, child, decided, delegated, delegating, error_of, failed, one_shot, paused, reply,
        result, results, say, started, steered,
    },
};
use quarterdeck_api::{Status, ToolRequest};

#[test]
fn several_subagents_work_at_once_and_the_step_ends_with_the_last() {
    let mut run = Run::start(one_shot());
    run.fact(decide(2));
    assert_eq!(run.next(), Next::Delegate(vec![delegate(0), delegate(1)]));
    assert_eq!(run.fact(allot(0)), [""; 0]);
    assert_eq!(run.next(), Next::Delegate(vec![delegate(1)]));
    run.fact(allot(1));
    assert_eq!(run.session.status_record().subagent_session_ids, [child(0), child(1)]);
    assert_eq!(run.next(), Next::Await(vec![child_call(delegate(0), 0), child_call(delegate(1), 1)]));
    run.fact(Fact::Reported(Report::Returned(error_of(delegate(1)))));
    assert_eq!(run.next(), Next::Await(vec![child_call(delegate(0), 0)]));
    run.fact(Fact::Reported(Report::Returned(error_of(delegate(0)))));
    assert_eq!(run.next(), Next::Step(StepMode::Act));
}

#[test]
fn an_allotted_id_stays_and_may_be_reported_again() {
    let mut run = delegating();
    let before = run.session.clone();
    assert_eq!(run.fact(delegated("delegate", 1)), [""; 0]);
    assert_eq!(run.session, before);
    assert!(run.try_fact(delegated("delegate", 2)).is_err());
}

#[test]
fn without_subagents_the_name_delegate_is_a_tool_like_others() {
    let settings = Settings { client_tools: vec!["delegate".into()], delegates: false, ..one_shot() };
    let mut run = Run::start(settings.clone());
    run.fact(decided(&["delegate"]));
    assert_eq!(run.status(), Status::AwaitingToolResults);
    let mut run = Run::start(Settings { delegates: true, ..settings });
    run.fact(decided(&["delegate"]));
    assert_eq!(run.next(), Next::Delegate(vec![call("delegate")]));
}

#[test]
fn the_clients_calls_come_after_the_subagents_have_returned() {
    let mut run = Run::start(one_shot());
    run.fact(decided(&["ask", "delegate"]));
    run.fact(delegated("delegate", 1));
    assert_eq!(run.status(), Status::Running);
    let words = run.fact(Fact::Reported(Report::Returned(result("delegate"))));
    assert_eq!(words, ["tool_result delegate", "ActiveStateChange awaiting_tool_results ask"]);
    run.command(results(&["ask"]));
    assert_eq!(run.next(), Next::Step(StepMode::Act));
}

#[test]
fn more_subagents_than_may_work_at_once_are_refused_one_by_one() {
    let mut run = Run::start(one_shot());
    let words = run.fact(decide(Session::DELEGATIONS_OPEN_MAX + 2));
    assert_eq!(words.iter().filter(|word| *word == "error_event server delegate").count(), 2);
    let Next::Delegate(calls) = run.next() else { panic!("{:?}", run.next()) };
    assert_eq!(calls.len(), Session::DELEGATIONS_OPEN_MAX);
}

#[test]
fn a_session_starts_so_many_subagents_in_its_life_and_then_no_more() {
    let mut run = Run::start(one_shot());
    for _ in 0..Session::SUBAGENTS_MAX {
        run.fact(decided(&["delegate"]));
        let number = run.session.subagents.len() as u128;
        run.fact(delegated("delegate", number));
        run.fact(Fact::Reported(Report::Returned(result("delegate"))));
    }
    assert_eq!(run.fact(decided(&["delegate"])).last().unwrap(), "error_event server delegate");
    assert_eq!(run.next(), Next::Step(StepMode::Act), "it is told, and goes on");
}

#[test]
fn the_innermost_session_cannot_delegate() {
    let settings = (0..Session::DEPTH_MAX).fold(one_shot(), |parent, _| one_shot().below(&parent));
    let mut run = Run::start(settings);
    assert_eq!(run.fact(decided(&["delegate"])).last().unwrap(), "error_event server delegate");
}

#[test]
fn a_pause_stops_the_subagents_and_a_resume_lets_them_go_on() {
    let mut run = delegating();
    run.command(Command::Pause);
    assert!(run.session.due_at().is_some(), "whoever claims it has something to do");
    check_steering(&mut run, ChildOrder::Pause);
    assert_eq!((run.next(), run.session.due_at()), (Next::Release, None));
    run.command(Command::Resume);
    check_steering(&mut run, ChildOrder::Resume);
    assert_eq!(run.next(), Next::Await(vec![child_call(call("delegate"), 1)]));
}

#[test]
fn a_call_that_waits_for_its_subagent_gets_it_after_a_pause() {
    let mut run = Run::start(one_shot());
    run.fact(decided(&["delegate"]));
    run.command(Command::Pause);
    assert_eq!(run.next(), Next::Release);
    assert!(run.try_fact(delegated("delegate", 1)).is_err());
    run.command(say(&["Go on"]));
    assert_eq!(run.next(), Next::Delegate(vec![call("delegate")]));
}

#[test]
fn an_end_settles_the_call_and_stops_the_subagent() {
    let timed_out = |run: &mut Run| {
        run.wait_s(600).fact(Fact::TimePassed);
        run.wait_s(60).fact(Fact::TimePassed)
    };
    let ends: [End<'_>; 3] = [
        ("AgentCompletion stopped", &|run| run.command(Command::Cancel)),
        ("AgentError", &|run| run.fact(failed())),
        ("AgentCompletion timed_out", &timed_out),
    ];
    for (last, end) in ends {
        let mut run = delegating();
        assert_eq!(end(&mut run), ["error_event server delegate", last]);
        assert!(run.session.due_at().is_some_and(|due| due <= run.now));
        check_steering(&mut run, ChildOrder::Cancel);
        assert_eq!((run.next(), run.session.due_at()), (Next::Release, None));
    }
}

#[test]
fn a_subagent_whose_parent_was_restarted_is_stopped_first() {
    let mut run = after(delegating(), [failed()]);
    run.command(say(&["Again"]));
    check_steering(&mut run, ChildOrder::Cancel);
    assert_eq!(run.next(), Next::Deliver);
}

#[test]
fn a_forced_answer_gives_the_subagents_time_and_then_no_more() {
    let mut run = delegating();
    run.command(Command::ForceAnswer);
    check_steering(&mut run, ChildOrder::Answer);
    run.wait_s(Session::CHILD_ANSWER_GRACE_S - 1);
    assert_eq!(run.next(), Next::Await(vec![child_call(call("delegate"), 1)]));
    run.wait_s(1);
    check_steering(&mut run, ChildOrder::Cancel);
    run.fact(Fact::Reported(Report::Returned(result("delegate"))));
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn what_clients_create_for_a_session_is_named_whatever_its_state() {
    for (name, mut run) in crate::tests::world::every_state() {
        let (status, before) = (run.status(), run.session.subagents.clone());
        assert_eq!(run.command(Command::Adopt(child(90))), [""; 0], "{name}: its log says nothing of it");
        run.command(Command::Adopt(child(90)));
        let named = run.session.status_record().subagent_session_ids;
        assert_eq!((run.status(), named), (status, [before, vec![child(90)]].concat()), "{name}");
    }
    let mut run = Run::start(one_shot());
    for number in 0..=Session::ADOPTED_MAX {
        run.command(Command::Adopt(child(number as u128)));
    }
    assert_eq!(run.session.adopted.len(), Session::ADOPTED_MAX);
}

#[test]
fn a_pause_does_not_use_up_the_time_of_the_subagents() {
    let mut run = delegating();
    run.command(Command::ForceAnswer);
    check_steering(&mut run, ChildOrder::Answer);
    run.wait_s(10).command(Command::Pause);
    check_steering(&mut run, ChildOrder::Pause);
    run.wait_s(1_000).command(Command::Resume);
    check_steering(&mut run, ChildOrder::Answer);
    run.wait_s(Session::CHILD_ANSWER_GRACE_S);
    check_steering(&mut run, ChildOrder::Cancel);
}

#[test]
fn nobody_is_started_once_an_answer_is_forced() {
    let mut run = Run::start(one_shot());
    run.fact(decide(2));
    run.fact(allot(0));
    assert_eq!(run.command(Command::ForceAnswer), ["error_event server delegate", "flow_event force_answer user"]);
    assert!(run.try_fact(allot(1)).is_err());
    assert_eq!(run.next(), Next::Steer(vec![(child_call(delegate(0), 0), ChildOrder::Answer)]));
}

#[test]
fn a_forced_answer_before_anybody_was_started_does_not_wait_for_the_client_either() {
    let mut run = Run::start(one_shot());
    run.fact(decided(&["delegate", "ask"]));
    let dropped = ["error_event server delegate", "error_event server ask", "flow_event force_answer user"];
    assert_eq!(run.command(Command::ForceAnswer), dropped);
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn the_time_limit_makes_the_subagents_answer() {
    let mut run = delegating();
    run.wait_s(600);
    assert_eq!(run.next(), Next::TimePassed);
    run.fact(Fact::TimePassed);
    check_steering(&mut run, ChildOrder::Answer);
}

#[test]
fn at_max_steps_the_subagents_of_the_last_step_go_on() {
    let mut run = Run::start(Settings { max_steps: Some(1), ..one_shot() });
    run.fact(decided(&["delegate"]));
    run.fact(delegated("delegate", 1));
    assert_eq!(run.next(), Next::Await(vec![child_call(call("delegate"), 1)]));
    run.fact(Fact::Reported(Report::Returned(result("delegate"))));
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn a_subagent_does_what_its_parent_orders_and_nothing_that_was_overtaken() {
    let mut run = Run::start(one_shot());
    assert_eq!(run.command(order(5, ChildOrder::Pause)), ["AgentRunStatusChange paused"]);
    assert_eq!(run.command(order(4, ChildOrder::Resume)), [""; 0]);
    assert_eq!(run.command(order(5, ChildOrder::Pause)), [""; 0]);
    assert_eq!(run.status(), Status::Paused);
    assert_eq!(run.command(order(6, ChildOrder::Resume)), ["AgentRunStatusChange running"]);
    assert_eq!(run.command(order(7, ChildOrder::Resume)), [""; 0], "it works already");
    assert_eq!(run.command(order(6, ChildOrder::Cancel)), [""; 0], "and that is newer");
    assert_eq!(run.command(order(8, ChildOrder::Answer)), ["flow_event force_answer user"]);
    assert_eq!(run.command(order(9, ChildOrder::Cancel)), ["AgentCompletion stopped"]);
}

#[test]
fn a_later_order_of_the_same_version_is_the_more_final_one() {
    let mut run = Run::start(one_shot());
    run.command(order(5, ChildOrder::Answer));
    assert_eq!(run.command(order(5, ChildOrder::Pause)), [""; 0]);
    assert_eq!(run.command(order(5, ChildOrder::Cancel)), ["AgentCompletion stopped"]);
}

#[test]
fn a_subagent_that_ended_obeys_nobody() {
    let mut run = after(Run::start(one_shot()), [answered("19 €")]);
    let before = run.session.clone();
    assert_eq!(run.command(order(5, ChildOrder::Cancel)), [""; 0]);
    assert_eq!(run.session, before);
}

#[test]
fn a_subagent_can_be_paused_before_it_starts() {
    let mut run = Run::create(one_shot());
    run.command(order(1, ChildOrder::Pause));
    run.command(order(2, ChildOrder::Resume));
    run.fact(started(&["Find the price"]));
    assert_eq!(run.status(), Status::Running);
}

#[test]
fn what_a_subagent_says_during_a_pause_is_taken() {
    let mut run = paused(delegating());
    assert_eq!(run.fact(Fact::Reported(Report::Returned(result("delegate")))), ["tool_result delegate"]);
    assert_eq!(run.next(), Next::Release);
    run.command(Command::Resume);
    assert_eq!(run.next(), Next::Step(StepMode::Act));
}

/// The last event of an end, and what brings it about.
type End<'a> = (&'a str, &'a dyn Fn(&mut Run) -> Vec<String>);

/// Its one child is to be told this; then it is.
fn check_steering(run: &mut Run, wanted: ChildOrder) {
    assert_eq!(run.next(), Next::Steer(vec![(child_call(call("delegate"), 1), wanted)]));
    assert_eq!(run.fact(steered(1, wanted)), [""; 0]);
}

fn order(version: u64, order: ChildOrder) -> Command {
    Command::Steer(Steering { version, order })
}

fn decide(count: usize) -> Fact {
    let calls = (0..count).map(delegate).collect();
    Fact::Reported(Report::Decided { mode: StepMode::Act, reply: reply(), calls, validation_errors: Vec::new() })
}

fn delegate(number: usize) -> ToolRequest {
    ToolRequest { id: Some(format!("c{number}")), ..call("delegate") }
}

fn child_call(call: ToolRequest, number: u128) -> ChildCall {
    ChildCall { call, child: child(number) }
}

fn allot(number: usize) -> Fact {
    Fact::Delegated { call: delegate(number), child: child(number as u128) }
}
