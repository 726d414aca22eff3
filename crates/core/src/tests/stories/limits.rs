use crate::{
    AnswerGrace, Command, Fact, Next, Rejection, Reply, Report, SessionFailure, Settings, StepMode,
    tests::world::{self, Run, answered, awaiting, call, decided, noon, one_shot, result, results},
};
use chrono::TimeDelta;
use quarterdeck_api::{ErrorCode, Status};

#[test]
fn at_max_steps_an_answer_is_forced_and_without_one_the_session_fails() {
    let mut run = Run::start(at_most(2));
    run.fact(decided(&["click"]));
    run.fact(Fact::Reported(Report::Returned(result("click"))));
    assert_eq!(
        run.fact(decided(&["click"])),
        ["policy_event click", "MetricsUpdate", "flow_event force_answer server"]
    );
    run.fact(Fact::Reported(Report::Returned(result("click"))));
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));

    assert_eq!(
        run.fact(no_answer()),
        ["policy_event click", "MetricsUpdate", "error_event server click", "AgentError"]
    );
    assert_eq!((run.status(), run.session.error_code()), (Status::Failed, Some(ErrorCode::NoAnswer)));
}

#[test]
fn the_answer_forced_at_max_steps_completes_the_session() {
    let mut run = Run::start(at_most(1));
    run.fact(decided(&[]));
    run.fact(answered("19 €"));
    assert_eq!((run.status(), run.session.steps), (Status::Completed, 2));
}

#[test]
fn the_client_settles_the_calls_of_the_last_step_before_the_answer() {
    let mut run = Run::start(at_most(1));
    run.fact(decided(&["ask"]));
    assert_eq!(run.status(), Status::AwaitingToolResults);
    run.command(results(&["ask"]));
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn a_user_who_forces_an_answer_at_max_steps_does_not_wait_for_the_client() {
    let mut run = Run::start(at_most(1));
    run.fact(decided(&["click", "ask"]));
    assert_eq!(run.command(Command::ForceAnswer), ["flow_event force_answer user"]);
    assert_eq!(
        run.fact(Fact::Reported(Report::Returned(result("click")))),
        ["tool_result click", "error_event server ask"]
    );
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
}

#[test]
fn an_agent_that_never_answers_is_timed_out_when_its_time_was_up() {
    let never =
        || Fact::Reported(Report::Failed(SessionFailure::because(ErrorCode::NoAnswer, "three useless replies")));
    let mut run = Run::start(one_shot());
    run.wait_s(600).fact(Fact::TimePassed);
    assert_eq!(run.fact(never()), ["AgentCompletion timed_out"]);
    assert_eq!((run.status(), run.session.error_code()), (Status::TimedOut, Some(ErrorCode::Timeout)));

    let mut run = Run::start(at_most(1));
    run.fact(decided(&[]));
    assert_eq!(run.fact(never()), ["AgentError"]);
    assert_eq!((run.status(), run.session.error_code()), (Status::Failed, Some(ErrorCode::NoAnswer)));
}

#[test]
fn a_full_log_takes_no_message_and_no_pause_and_forces_an_answer() {
    for fill in
        [|run: &mut Run| run.session.log_length = 49_999, |run: &mut Run| run.session.log_bytes = (128 << 20) - 1]
    {
        let mut run = Run::start(world::interactive());
        fill(&mut run);
        run.command(world::say(&["The last that fits"]));
        run.deliver();
        for refused in [world::say(&["No more"]), Command::Pause] {
            assert!(matches!(run.try_command(refused), Err(Rejection::LogFull { .. })));
        }
        let forced = ["policy_event click", "MetricsUpdate", "flow_event force_answer server"];
        assert_eq!(run.fact(decided(&["click"])), forced);
        run.fact(Fact::Reported(Report::Returned(result("click"))));
        assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));

        let mut silent = run.clone();
        silent.fact(no_answer());
        let cause = silent.log.last().expect("it ended").json.get();
        assert!(cause.contains("its log is full"), "{cause}");
        assert!(matches!(silent.try_command(world::say(&["Again"])), Err(Rejection::LogFull { .. })));

        run.fact(answered("19 €"));
        assert!(matches!(run.try_command(world::say(&["And now?"])), Err(Rejection::LogFull { .. })));
        run.command(Command::Cancel);
        assert_eq!(run.status(), Status::Interrupted);
    }
}

#[test]
fn a_session_that_kills_its_workers_fails_after_three_recoveries() {
    for mut run in [Run::create(one_shot()), Run::start(one_shot())] {
        let before = run.status();
        for _ in 0..3 {
            assert_eq!(taken_over(&mut run), Vec::<String>::new());
            assert_eq!(run.status(), before);
        }
        assert_eq!(taken_over(&mut run), ["AgentError"]);
        assert_eq!((run.status(), run.session.error_code()), (Status::Failed, Some(ErrorCode::Internal)));
        let cause = run.log.last().expect("it ended").json.get();
        assert!(cause.contains("4 servers in a row ended while they ran this session"), "{cause}");
    }
}

#[test]
fn a_step_and_a_new_turn_forgive_the_workers_that_died() {
    let mut run = Run::start(one_shot());
    for fact in [decided(&[]), decided(&["click"])] {
        (0..3).for_each(|_| drop(taken_over(&mut run)));
        run.fact(fact);
        assert_eq!((run.session.recoveries, run.status()), (0, Status::Running));
    }
    (0..3).for_each(|_| drop(taken_over(&mut run)));
    run.fact(Fact::Reported(Report::Returned(result("click"))));
    assert_eq!(run.session.recoveries, 3, "the result of a call is not a step");
    taken_over(&mut run);
    run.command(world::say(&["Try again"]));
    assert_eq!((run.session.recoveries, run.status()), (0, Status::Running));
}

#[test]
fn who_waits_killed_nobody() {
    let mut run = awaiting();
    (0..9).for_each(|_| drop(taken_over(&mut run)));
    assert_eq!((run.session.recoveries, run.status()), (0, Status::AwaitingToolResults));
}

#[test]
fn a_client_that_never_sends_its_results_is_not_waited_for_for_ever() {
    let mut run = Run::start(one_shot().waiting_for_client(60));
    run.fact(decided(&["ask", "look"]));
    assert_eq!(
        (run.status(), run.session.due_at()),
        (Status::AwaitingToolResults, Some(noon() + TimeDelta::seconds(60)))
    );
    run.wait_s(40).command(world::say(&["I am still here"]));
    assert_eq!(run.wait_s(59).fact(Fact::TimePassed), [""; 0]);
    assert_eq!(run.wait_s(1).next(), Next::TimePassed);
    assert_eq!(run.fact(Fact::TimePassed), ["error_event server ask", "error_event server look", "AgentError"]);
    assert_eq!((run.status(), run.session.error_code()), (Status::Failed, Some(ErrorCode::NoAnswer)));
    let cause = run.log.last().expect("it ended").json.get();
    assert!(cause.contains("the results of its 2 calls within 60 s"), "{cause}");
}

#[test]
fn a_wait_for_a_message_is_no_longer_than_one_for_the_client() {
    let mut run = Run::create(Settings { idle_timeout_s: Some(u64::MAX), ..one_shot() }.waiting_for_client(60));
    run.fact(world::started(&[]));
    assert_eq!((run.status(), run.session.due_at()), (Status::Idle, Some(noon() + TimeDelta::seconds(60))));
    run.wait_s(60).fact(Fact::TimePassed);
    assert_eq!(run.status(), Status::Completed);
}

#[test]
fn sessions_of_earlier_versions_wait_for_their_client_without_end() {
    let mut run = Run::start(one_shot());
    run.fact(decided(&["ask"]));
    assert_eq!((run.session.due_at(), run.wait_s(1_000_000_000).next()), (None, Next::Release));
}

#[test]
fn a_rejected_answer_is_asked_for_again() {
    let mut run = Run::start(at_most(1));
    run.fact(decided(&[]));
    let rejected = Fact::Reported(Report::Decided {
        mode: StepMode::AnswerOnly,
        reply: Reply::default(),
        calls: Vec::new(),
        validation_errors: vec!["price is missing".into()],
    });
    for _ in 0..3 {
        run.fact(rejected.clone());
        assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
    }
}

#[test]
fn at_max_time_an_answer_is_forced_and_after_its_grace_the_session_is_timed_out() {
    let mut run = Run::start(one_shot());
    assert_eq!(run.session.step_deadline(), Some(noon() + TimeDelta::seconds(600)));
    assert_eq!(run.wait_s(599).fact(Fact::TimePassed), [""; 0]);
    assert_eq!(run.wait_s(1).next(), Next::TimePassed);
    assert_eq!(run.fact(Fact::TimePassed), ["flow_event force_answer server"]);
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));

    assert_eq!(run.wait_s(i64::from(AnswerGrace::default().0) - 1).fact(Fact::TimePassed), [""; 0]);
    assert_eq!(run.wait_s(1).fact(Fact::TimePassed), ["AgentCompletion timed_out"]);
    assert_eq!((run.status(), run.session.error_code()), (Status::TimedOut, Some(ErrorCode::Timeout)));
}

#[test]
fn the_grace_is_a_setting() {
    let mut run = Run::start(one_shot().with_answer_grace(AnswerGrace(5)));
    run.wait_s(600).fact(Fact::TimePassed);
    assert_eq!(run.wait_s(4).fact(Fact::TimePassed), [""; 0]);
    assert_eq!(run.wait_s(1).fact(Fact::TimePassed), ["AgentCompletion timed_out"]);
}

#[test]
fn a_reply_without_an_answer_in_the_grace_is_a_timeout() {
    let mut run = Run::start(one_shot());
    run.wait_s(600).fact(Fact::TimePassed);
    let words = run.fact(no_answer());
    assert_eq!(words.last().map(String::as_str), Some("AgentCompletion timed_out"));
}

#[test]
fn the_time_limit_counts_neither_pauses_nor_the_clients_work() {
    let mut run = awaiting();
    run.wait_s(3_600).command(results(&["ask", "look"]));
    run.wait_s(100).command(Command::Pause);
    run.wait_s(3_600).command(Command::Resume);
    assert_eq!(run.session.turn.worked_ms(run.now), 100_000);
    assert_eq!(run.session.step_deadline(), Some(run.now + TimeDelta::seconds(500)));
}

#[test]
fn a_pause_does_not_use_up_the_grace_for_a_forced_answer() {
    let mut run = Run::start(one_shot());
    run.wait_s(600).fact(Fact::TimePassed);
    run.command(Command::Pause);
    run.wait_s(3_600).command(Command::Resume);
    assert_eq!(run.next(), Next::Step(StepMode::AnswerOnly));
    run.fact(answered("19 €"));
    assert_eq!(run.status(), Status::Completed);
}

#[test]
fn the_time_limit_gives_a_grace_to_an_answer_forced_by_the_user() {
    let mut run = Run::start(one_shot());
    run.command(Command::ForceAnswer);
    assert_eq!(run.wait_s(600).fact(Fact::TimePassed), ["flow_event force_answer server"]);
    assert_eq!(run.status(), Status::Running);
    assert_eq!(run.wait_s(60).fact(Fact::TimePassed), ["AgentCompletion timed_out"]);
}

#[test]
fn a_limit_beyond_the_end_of_time_is_no_limit() {
    let mut run = Run::start(Settings { max_time_ms: Some(u64::MAX), idle_timeout_s: Some(u64::MAX), ..one_shot() });
    assert_eq!(run.session.step_deadline(), None);
    run.fact(answered("19 €"));
    assert_eq!((run.session.due_at(), run.next()), (None, Next::Release));
}

fn at_most(steps: u64) -> Settings {
    Settings { max_steps: Some(steps), ..one_shot() }
}

/// Asked only for an answer, the model calls a tool.
fn no_answer() -> Fact {
    Fact::Reported(Report::Decided {
        mode: StepMode::AnswerOnly,
        reply: Reply::default(),
        calls: vec![call("click")],
        validation_errors: Vec::new(),
    })
}

/// By the next worker.
fn taken_over(run: &mut Run) -> Vec<String> {
    let epoch = run.session.recovered_in + 1;
    run.fact(Fact::TakenOver { epoch })
}

#[test]
fn a_worker_that_says_twice_that_it_took_over_is_counted_once() {
    let mut run = Run::start(one_shot());
    for _ in 0..9 {
        run.fact(Fact::TakenOver { epoch: 2 });
    }
    assert_eq!(run.session.recoveries, 1);
}
