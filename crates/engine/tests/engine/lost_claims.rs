//! Sessions that nobody looks after, although nobody has died.

use crate::{
    runner::{Act, FakeRunner},
    world::{World, caller, in_time, quick, say},
};
use quarterdeck_api::Status;
use quarterdeck_core::{Command, Effect};
use quarterdeck_engine::EngineSettings;
use quarterdeck_store::{Commit, CommitLease, CommitSlot};
use serde_json::json;
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

fn short_lease() -> EngineSettings {
    EngineSettings { lease: Duration::from_millis(200), ..quick() }
}

/// As when the answer to a claim or a commit was lost: the store says that we own it, and no worker knows.
#[tokio::test]
async fn a_session_that_is_ours_and_has_no_worker_is_run_after_all() {
    let world = World::with(FakeRunner::doing([Act::Answer("one"), Act::Hang]), short_lease()).await;
    let lost = world.create(json!({"idle_timeout_s": 600})).await;
    world.until(lost, Status::Idle).await;
    let busy = world.create(json!({})).await;
    in_time(world.runner.begun(2)).await;
    let us = world.stored(busy).await.owner.replica.expect("it is at work");
    let stored = world.stored(lost).await;
    let Ok(Effect::Changed(transition)) = stored.session.command(say("two"), stored.session.last_activity_at) else {
        panic!("an idle session takes a message")
    };
    let commit = Commit { transition: *transition, lease: CommitLease::Take(us), slot: CommitSlot::Keep };
    world.store.commit(commit).await.unwrap();
    let answered = async {
        while world.words(lost).await.last().is_none_or(|word| !word.contains("idle")) || world.runner.steps() < 3 {
            tokio::task::yield_now().await;
        }
    };
    in_time(answered).await;
    assert_eq!(world.runner.heard_by(2), ["Go", "two"]);
    assert_eq!(world.stored(busy).await.owner.replica, Some(us), "what has a worker is left alone");
    world.submit(busy, Command::Cancel).await;
    in_time(world.engine.stop()).await;
}

/// A client that hangs up while its request is committed.
#[tokio::test]
async fn a_command_whose_caller_hangs_up_is_still_done_and_told() {
    let world = World::new(FakeRunner::doing([Act::Answer("one"), Act::Hang])).await;
    let id = world.create(json!({"idle_timeout_s": 600})).await;
    world.until(id, Status::Idle).await;
    {
        let mut command = pin!(world.sessions.submit(caller(), id, say("two")));
        // Far enough to be committed, and no further.
        poll_fn(|context| {
            assert!(command.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    world.until(id, Status::Running).await;
    in_time(world.runner.begun(2)).await;
    world.submit(id, Command::Cancel).await;
    in_time(world.engine.stop()).await;
}
