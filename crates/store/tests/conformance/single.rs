//! What only the embedded engine does: one process, one file.

use crate::{
    drafts::{Draft, answered, commit, commit_with, is_conflict, running, say, stored, trouble},
    world::{open, sqlite_file, sqlite_in_memory, within_a_minute},
};
use futures_util::{FutureExt, future::join_all};
use quarterdeck_store::{CommitLease, Creation, Error, OpenError};
use std::{future::poll_fn, task::Poll};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_opened_again_holds_everything() {
    let world = sqlite_file().await;
    let over = answered(&*world.store, Draft::new(), "done").await;
    let waiting = commit(&*world.store, say(&running(&*world.store, Draft::new()).await, &["hello"])).await;
    Draft::new().keyed("k", 1, "first").create(&*world.store).await;
    let world = world.reopened().await;
    let store = &*world.store;
    assert_eq!(stored(store, over.id).await.session, over);
    assert_eq!(stored(store, waiting.id).await.session, waiting);
    assert_eq!(store.inbox(waiting.id, 0).await.unwrap()[0].message, "hello");
    assert_eq!(store.events(over.id, 0, 100).await.unwrap().len() as u64, over.log_length);
    let repeated = store.create(Draft::new().keyed("k", 1, "second").new).await.unwrap();
    assert_eq!(repeated, Creation::Replayed("first".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_use_is_locked() {
    let world = sqlite_file().await;
    let second = quarterdeck_store::open(&world.url).await;
    let Err(OpenError::Locked { path }) = second else { panic!("a second server got in") };
    assert!(world.url.ends_with(path.to_str().unwrap()));
    Draft::new().create(&*world.store).await;
    world.reopened().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_when_the_store_is_closed_is_committed_or_refused_but_never_lost() {
    let world = sqlite_file().await;
    let sessions = join_all((0..300).map(|_| running(&*world.store, Draft::new()))).await;
    let mut commits = join_all(
        sessions.iter().map(|session| commit_with(&*world.store, trouble(session, "waits"), CommitLease::Leave)),
    );
    // All of them are queued now, and none is answered.
    poll_fn(|context| {
        assert!(commits.poll_unpin(context).is_pending());
        Poll::Ready(())
    })
    .await;
    let (results, ()) = within_a_minute(async { tokio::join!(commits, world.store.close()) }).await;
    assert!(results.iter().all(Result::is_ok), "closing commits what waits");
    let world = world.reopened().await;
    for session in &sessions {
        assert_eq!(stored(&*world.store, session.id).await.session.version, session.version + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_refuses_politely() {
    let world = sqlite_file().await;
    let session = running(&*world.store, Draft::new()).await;
    world.store.close().await;
    let refused = within_a_minute(commit_with(&*world.store, trouble(&session, "late"), CommitLease::Leave)).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(!is_conflict(&refused));
    within_a_minute(world.store.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_in_memory_are_apart() {
    let (one, two) = (sqlite_in_memory().await, sqlite_in_memory().await);
    let session = Draft::new().create(&*one.store).await;
    assert!(two.store.session(session.id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_store_hears_nothing_and_goes_on_listening() {
    let world = sqlite_file().await;
    let mut notices = world.store.listen().await.unwrap();
    running(&*world.store, Draft::new()).await;
    assert!(notices.recv().now_or_never().is_none());
}

#[tokio::test]
async fn a_url_of_no_engine_is_refused_without_its_secrets() {
    let Err(error) = quarterdeck_store::open("mysql://name:CANARY@h/d").await else { panic!("it opened") };
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("postgres://") && !shown.contains("CANARY"), "{shown}");
    open("sqlite::memory:").await.close().await;
}
