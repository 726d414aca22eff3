//! Changing sessions: all or nothing, one at a time, and only by who may.

use crate::drafts::{
    Draft, answer, command, commit, commit_with, fact, is_conflict, lease, owner, release, replica, running, say,
    start, stored, trouble,
};
use futures_util::future::join_all;
use quarterdeck_api::{Answer, UserMessage};
use quarterdeck_core::{Command, Fact};
use quarterdeck_store::{CommitLease, Store};
use serde_json::json;

pub(crate) async fn of_two_commits_on_one_version_one_wins(store: &dyn Store) {
    let session = running(store, Draft::new()).await;
    commit(store, trouble(&session, "first")).await;
    let second = commit_with(store, trouble(&session, "second"), CommitLease::Leave).await;
    assert!(is_conflict(&second), "{second:?}");
    assert_eq!(stored(store, session.id).await.session.version, session.version + 1);
}

pub(crate) async fn of_twenty_commits_at_once_on_one_version_one_wins(store: &dyn Store) {
    let session = running(store, Draft::new()).await;
    let commits = (0..20).map(|number| trouble(&session, &format!("number {number}")));
    let results = join_all(commits.map(|commit| commit_with(store, commit, CommitLease::Leave))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), 19);
    assert_eq!(stored(store, session.id).await.session.log_length, session.log_length + 1);
}

pub(crate) async fn a_refused_commit_leaves_nothing_behind(store: &dyn Store) {
    let session = Draft::new().create(store).await;
    let after = commit(store, command(&session, Command::Pause)).await;
    // Decided on what the pause replaced: two messages for the inbox, and a cancel with its event.
    for late in [say(&session, &["one", "two"]), command(&session, Command::Cancel)] {
        assert!(is_conflict(&commit_with(store, late, CommitLease::Leave).await));
    }
    assert_eq!(stored(store, session.id).await.session, after);
    assert_eq!(store.inbox(session.id, 0).await.unwrap(), []);
    assert_eq!(store.events(session.id, 0, 100).await.unwrap().len() as u64, after.log_length);
}

pub(crate) async fn a_commit_on_an_unknown_session_is_a_conflict(store: &dyn Store) {
    let unknown = Draft::new().new.transition.session;
    let result = commit_with(store, start(&unknown, &["hello"]), CommitLease::Leave).await;
    assert!(is_conflict(&result));
    assert!(store.events(unknown.id, 0, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_holder_commits_and_stays_owner(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().owned_by(replica).create(store).await;
    commit_with(store, start(&session, &["hello"]), CommitLease::Hold(lease(replica, 1))).await.unwrap();
    assert_eq!(stored(store, session.id).await.owner, owner(Some(replica), 1));
}

pub(crate) async fn a_commit_of_an_old_epoch_is_refused(store: &dyn Store) {
    let (first, second) = (replica(), replica());
    let session = Draft::new().owned_by(first).create(store).await;
    assert!(release(store, session.id, lease(first, 1)).await);
    let claimed = store.claim(second, session.created_at, 10).await.unwrap();
    let session = &claimed[0].session;
    for late in [CommitLease::Hold(lease(first, 1)), CommitLease::Release(lease(first, 1))] {
        assert!(is_conflict(&commit_with(store, start(session, &["late"]), late).await));
    }
    let now = stored(store, session.id).await;
    assert_eq!((now.owner, now.session.log_length), (owner(Some(second), 2), session.log_length));
    commit_with(store, start(session, &["in time"]), CommitLease::Hold(claimed[0].lease)).await.unwrap();
}

pub(crate) async fn a_commit_of_another_owner_is_refused(store: &dyn Store) {
    let (mine, other) = (replica(), replica());
    let session = Draft::new().owned_by(mine).create(store).await;
    for wrong in [lease(other, 1), lease(mine, 0), lease(mine, 2)] {
        let result = commit_with(store, start(&session, &["wrong"]), CommitLease::Hold(wrong)).await;
        assert!(is_conflict(&result), "{wrong:?}");
    }
}

pub(crate) async fn a_release_with_a_commit_lets_go(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().owned_by(replica).create(store).await;
    let started = start(&session, &["hello"]);
    let running = started.session.clone();
    commit_with(store, started, CommitLease::Hold(lease(replica, 1))).await.unwrap();
    let done = answer(&running, Answer::Text("done".into()));
    commit_with(store, done, CommitLease::Release(lease(replica, 1))).await.unwrap();
    let now = stored(store, session.id).await;
    assert_eq!((now.owner, now.session.answer), (owner(None, 1), Some(Answer::Text("done".into()))));
}

pub(crate) async fn a_take_makes_an_owner_in_a_new_epoch(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().create(store).await;
    commit_with(store, say(&session, &["hello"]), CommitLease::Take(replica)).await.unwrap();
    assert_eq!(stored(store, session.id).await.owner, owner(Some(replica), 1));
}

pub(crate) async fn a_handlers_commit_leaves_the_owner(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().owned_by(replica).create(store).await;
    let session = commit(store, say(&session, &["hello"])).await;
    assert_eq!(stored(store, session.id).await.owner, owner(Some(replica), 1));
    commit_with(store, start(&session, &["Find the price"]), CommitLease::Hold(lease(replica, 1))).await.unwrap();
}

pub(crate) async fn messages_wait_in_order_until_they_are_delivered(store: &dyn Store) {
    let session = running(store, Draft::new()).await;
    let session = commit(store, say(&session, &["one", "two"])).await;
    let session = commit(store, say(&session, &["three"])).await;
    let waiting = texts(&store.inbox(session.id, 0).await.unwrap());
    assert_eq!(waiting, ["one", "two", "three"]);
    assert_eq!(texts(&store.inbox(session.id, 1).await.unwrap()), ["two", "three"]);

    let messages = waiting.iter().map(UserMessage::text).collect();
    commit(store, fact(&session, Fact::Delivered { messages, inbox_through: 3 })).await;
    assert_eq!(store.inbox(session.id, 0).await.unwrap(), []);
}

pub(crate) async fn only_delivered_messages_leave_the_inbox(store: &dyn Store) {
    let other = commit(store, say(&running(store, Draft::new()).await, &["of another"])).await;
    let session = running(store, Draft::new()).await;
    let session = commit(store, say(&session, &["one", "two"])).await;
    let messages = vec![UserMessage::text("one")];
    commit(store, fact(&session, Fact::Delivered { messages, inbox_through: 1 })).await;
    assert_eq!(texts(&store.inbox(session.id, 0).await.unwrap()), ["two"]);
    assert_eq!(texts(&store.inbox(other.id, 0).await.unwrap()), ["of another"]);
}

pub(crate) async fn large_messages_are_read_in_portions(store: &dyn Store) {
    let (large, huge) = ("x".repeat(3_000_000), "y".repeat(5_000_000));
    let session = commit(store, say(&running(store, Draft::new()).await, &["one", &large, &large, &huge])).await;
    let mut read = Vec::new();
    while read.len() < 4 {
        let portion = store.inbox(session.id, read.len() as u64).await.unwrap();
        assert!(portion.len() == 1 || portion.iter().map(UserMessage::weight).sum::<usize>() < 5_000_000);
        read.extend(texts(&portion));
    }
    assert_eq!(read, ["one", &large, &large, &huge]);
}

pub(crate) async fn hundreds_of_commits_at_once_all_arrive(store: &dyn Store) {
    let sessions = join_all((0..600).map(|_| Draft::new().create(store))).await;
    let commits = sessions.iter().map(|session| say(session, &["hello"]));
    let results = join_all(commits.map(|commit| commit_with(store, commit, CommitLease::Leave))).await;
    assert!(results.iter().all(Result::is_ok));
    for session in sessions.iter().step_by(97) {
        assert_eq!(texts(&store.inbox(session.id, 0).await.unwrap()), ["hello"]);
    }
}

pub(crate) async fn a_commit_with_thousands_of_events_arrives_whole(store: &dyn Store) {
    let session = Draft::of(json!({"messages": null})).create(store).await;
    let texts: Vec<String> = (0..2_500).map(|number| format!("message {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let session = commit(store, start(&session, &texts)).await;
    assert_eq!(store.events(session.id, 0, 10_000).await.unwrap().len() as u64, session.log_length);
}

fn texts(messages: &[UserMessage]) -> Vec<String> {
    messages.iter().map(|message| message.message.clone()).collect()
}
