//! Commands that come in while a session runs.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, caller, in_time, say},
};
use quarterdeck_api::{Answer, SessionId, Status};
use quarterdeck_core::{Command, Rejection, StepMode};
use quarterdeck_engine::SubmitError;
use quarterdeck_store::Caller;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn a_cancel_drops_the_step_in_progress() {
    let world = World::new(FakeRunner::doing([Act::Hang])).await;
    let id = running(&world).await;
    world.submit(id, Command::Cancel).await;
    in_time(world.runner.dropped(1)).await;
    assert_eq!(world.session(id).await.state.status(), Status::Interrupted);
    assert_eq!(world.words(id).await.last().unwrap(), "AgentCompletion stopped");
    world.submit(id, Command::Cancel).await;
    let refused = world.try_submit(id, say("come back")).await;
    assert!(matches!(refused, Err(SubmitError::Rejected(Rejection::Ended { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_pause_drops_the_step_and_a_resume_takes_it_again() {
    let world = World::new(FakeRunner::doing([Act::Hang, Act::Answer("at last")])).await;
    let id = running(&world).await;
    world.submit(id, Command::Pause).await;
    in_time(world.runner.dropped(1)).await;
    assert_eq!(world.session(id).await.state.status(), Status::Paused);
    assert_eq!(world.runner.steps(), 1);
    world.submit(id, Command::Resume).await;
    let session = world.until(id, Status::Completed).await;
    assert_eq!((session.answer.clone(), session.steps), (Some(Answer::Text("at last".into())), 1));
}

#[tokio::test]
async fn a_session_paused_and_resumed_many_times_still_answers() {
    let world = World::new(FakeRunner::doing((0..20).map(|_| Act::Hang))).await;
    let id = world.create(json!({})).await;
    for step in 1..=20 {
        in_time(world.runner.begun(step)).await;
        world.submit(id, Command::Pause).await;
        world.submit(id, Command::Resume).await;
    }
    world.until(id, Status::Completed).await;
}

#[tokio::test]
async fn a_forced_answer_drops_the_step_and_asks_for_nothing_else() {
    let world = World::new(FakeRunner::doing([Act::Hang, Act::Answer("what I have")])).await;
    let id = running(&world).await;
    world.submit(id, Command::ForceAnswer).await;
    in_time(world.runner.dropped(1)).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.runner.modes(), [StepMode::Act, StepMode::AnswerOnly]);
}

#[tokio::test]
async fn a_message_while_running_is_delivered_before_the_next_step() {
    let world = World::new(FakeRunner::doing([Act::Gated(Box::new(Act::Mumble))])).await;
    let id = running(&world).await;
    world.submit(id, say("one more thing")).await;
    world.submit(id, say("and another")).await;
    world.runner.open_gate();
    world.until(id, Status::Completed).await;
    assert_eq!(world.runner.heard_by(0), ["Go"]);
    assert_eq!(world.runner.heard_by(1), ["Go", "one more thing", "and another"]);
    assert_eq!(world.store.inbox(id, 0).await.unwrap(), []);
}

#[tokio::test]
async fn a_message_that_comes_with_the_answer_opens_another_turn() {
    let early = Act::Gated(Box::new(Act::Answer("too early")));
    let world = World::new(FakeRunner::doing([early, Act::Answer("complete")])).await;
    let id = running(&world).await;
    world.submit(id, say("wait, also this")).await;
    world.runner.open_gate();
    let session = world.until(id, Status::Completed).await;
    assert_eq!(session.answer, Some(Answer::Text("complete".into())));
    assert_eq!(world.runner.heard_by(1), ["Go", "wait, also this"]);
    let answers = world.words(id).await.into_iter().filter(|word| word.starts_with("answer_event"));
    assert_eq!(answers.collect::<Vec<_>>(), ["answer_event too early", "answer_event complete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_messages_at_once_none_is_lost() {
    let world = World::new(FakeRunner::doing([Act::Gated(Box::new(Act::Mumble))])).await;
    let id = running(&world).await;
    let texts: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    futures_util::future::join_all(texts.iter().map(|text| world.submit(id, say(text)))).await;
    world.runner.open_gate();
    world.until(id, Status::Completed).await;
    let mut heard = world.runner.heard_by(1).split_off(1);
    heard.sort_by_key(|text| texts.iter().position(|known| known == text));
    assert_eq!(heard, texts);
}

#[tokio::test]
async fn another_organization_is_told_that_there_is_no_session() {
    let world = World::new(FakeRunner::doing([Act::Hang])).await;
    let id = running(&world).await;
    let other = Caller { organization: quarterdeck_api::OrganizationId(Uuid::from_u128(9)), ..caller() };
    let result = world.sessions.submit(other, id, Command::Cancel).await;
    assert!(matches!(result, Err(SubmitError::NotFound(_))));
    for nobody in [Some(other), None] {
        assert!(matches!(world.sessions.session(nobody, id).await, Err(SubmitError::NotFound(_))));
        assert!(matches!(world.sessions.record(nobody, id).await, Err(SubmitError::NotFound(_))));
    }
    assert_eq!(world.session(id).await.state.status(), Status::Running);
}

#[tokio::test]
async fn a_command_to_an_unknown_session_finds_nothing() {
    let world = World::new(FakeRunner::doing([])).await;
    let result = world.try_submit(SessionId(Uuid::from_u128(404)), Command::Pause).await;
    assert!(matches!(result, Err(SubmitError::NotFound(_))));
}

/// A session whose first step has begun.
async fn running(world: &World) -> SessionId {
    let id = world.create(json!({})).await;
    in_time(world.runner.begun(1)).await;
    id
}
