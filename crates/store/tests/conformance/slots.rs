//! Slots: counted where they are taken, so that a limit holds whoever comes at once.

use crate::drafts::{
    Draft, after_s, answered, command, commit, commit_for, fact, fresh, is_conflict, limits, noon, organization, owner,
    replica, running, say, stored,
};
use futures_util::future::join_all;
use quarterdeck_api::{OrganizationId, SessionId, Status};
use quarterdeck_core::{Command, Fact, Session};
use quarterdeck_store::{CommitSlot, Creation, Error, NewOrganization, Refusal, SlotUsage, Store};
use serde_json::json;

pub(crate) async fn of_a_hundred_creations_at_once_as_many_get_in_as_there_are_slots(store: &dyn Store) {
    let outcomes = join_all((0..100).map(|_| store.create(Draft::new().asking(10).new))).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Ok(Creation::Created))).count(), 10);
    assert_eq!(outcomes.iter().filter(|outcome| no_slot(outcome, 10)).count(), 90);
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 10, queued: 0, limit: None });
}

pub(crate) async fn of_a_hundred_that_would_wait_as_many_do_as_there_are_places(store: &dyn Store) {
    let outcomes = join_all((0..100).map(|_| store.create(Draft::new().queueing(10, 30).new))).await;
    let count =
        |wanted: fn(&Result<Creation, Error>) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, Ok(Creation::Created))), 10);
    assert_eq!(count(|outcome| matches!(outcome, Ok(Creation::Queued))), 30);
    assert_eq!(count(|outcome| matches!(outcome, Err(Error::Refused(Refusal::QueueFull { limit: 30 })))), 60);
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 10, queued: 30, limit: None });
}

pub(crate) async fn a_queued_session_is_nobodys_and_has_one_event(store: &dyn Store) {
    let draft = Draft::new().owned_by(replica()).queueing(0, 1);
    let id = draft.id();
    assert_eq!(store.create(draft.new).await.unwrap(), Creation::Queued);
    let queued = stored(store, id).await;
    assert_eq!((queued.session.state.status(), queued.owner), (Status::Queued, owner(None, 0)));
    assert_eq!(store.events(id, 0, 10).await.unwrap().len(), 1);
    assert!(store.claim(replica(), after_s(1_000), 10).await.unwrap().is_empty());
    assert_eq!(store.record(id).await.unwrap().unwrap().session, queued.session);
}

pub(crate) async fn a_refused_creation_leaves_nothing_behind_and_its_key_free(store: &dyn Store) {
    let refused = Draft::new().keyed("k", 1, "refused").asking(0);
    let id = refused.id();
    assert!(no_slot(&store.create(refused.new).await, 0));
    assert!(store.session(id).await.unwrap().is_none());
    assert!(store.events(id, 0, 10).await.unwrap().is_empty());
    Draft::new().keyed("k", 2, "created").asking(1).create(store).await;
    let repeated = store.create(Draft::new().keyed("k", 2, "again").asking(1).new).await.unwrap();
    assert_eq!(repeated, Creation::Replayed("created".into()), "a replay needs no slot");
}

pub(crate) async fn a_key_repeats_that_its_session_was_queued(store: &dyn Store) {
    assert_eq!(store.create(Draft::new().keyed("k", 1, "running").queueing(0, 1).new).await.unwrap(), Creation::Queued);
    let repeated = store.create(Draft::new().keyed("k", 1, "running").queueing(9, 1).new).await.unwrap();
    assert_eq!(repeated, Creation::Replayed("queued".into()));
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 0, queued: 1, limit: None });
}

pub(crate) async fn a_free_slot_belongs_to_those_who_wait(store: &dyn Store) {
    let first = Draft::new().asking(1).create(store).await;
    let waiting = queue(store, 1).await;
    commit(store, command(&first, Command::Cancel)).await;
    assert!(no_slot(&store.create(Draft::new().asking(1).new).await, 1));
    promote(store, &waiting, 1).await.unwrap();
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 1, queued: 0, limit: None });
    assert_eq!(store.create(Draft::new().asking(2).new).await.unwrap(), Creation::Created);
}

pub(crate) async fn of_promotions_at_once_as_many_go_through_as_there_are_slots(store: &dyn Store) {
    let waiting = [queue(store, 0).await, queue(store, 0).await, queue(store, 0).await];
    let results = join_all(waiting.iter().map(|session| promote(store, session, 2))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    assert_eq!(results.iter().filter(|result| no_slot(result, 2)).count(), 1);
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 2, queued: 1, limit: None });
}

pub(crate) async fn a_promotion_that_comes_too_late_takes_no_slot(store: &dyn Store) {
    let (cancelled, waiting) = (queue(store, 0).await, queue(store, 0).await);
    commit(store, command(&cancelled, Command::Cancel)).await;
    // Together they are one batch: the first must not have taken the slot that the second gets.
    let (late, promoted) = tokio::join!(promote(store, &cancelled, 1), promote(store, &waiting, 1));
    assert!(is_conflict(&late), "{late:?}");
    promoted.unwrap();
    assert_eq!(slot_usage(store, 1).await, SlotUsage { active: 1, queued: 0, limit: None });
}

pub(crate) async fn a_restart_needs_a_slot(store: &dyn Store) {
    let ended = answered(store, Draft::new(), "done").await;
    Draft::new().create(store).await;
    let again = say(&ended, &["Once more"]);
    assert!(no_slot(&commit_for(store, again.clone(), CommitSlot::Take(limits(1, 0))).await, 1));
    assert_eq!(stored(store, ended.id).await.session, ended);
    assert!(store.inbox(ended.id, 0).await.unwrap().is_empty());
    commit_for(store, again, CommitSlot::Take(limits(2, 0))).await.unwrap();
    assert_eq!(slot_usage(store, 1).await.active, 2);
}

pub(crate) async fn a_session_that_works_for_another_counts_and_is_never_refused(store: &dyn Store) {
    let parent = Draft::new().asking(1).create(store).await;
    let child = Draft::new().working_for(parent.id).create(store).await;
    assert_eq!(slot_usage(store, 1).await.active, 2);
    let child = commit(store, command(&child, Command::Cancel)).await;
    let child = answered(store, Draft::new().working_for(child.id), "done").await;
    commit_for(store, say(&child, &["Once more"]), CommitSlot::Take(limits(1, 0))).await.unwrap();
    assert_eq!(slot_usage(store, 1).await.active, 2);
}

pub(crate) async fn the_backlog_names_the_oldest_that_have_a_slot(store: &dyn Store) {
    assert_eq!(store.backlog(9, 10).await.unwrap().waiting, 0);
    let mut mine = Vec::new();
    for second in [30, 10, 20] {
        mine.push(queue_at(store, second, 1).await);
    }
    let theirs = queue_at(store, 15, 2).await;
    running(store, Draft::new()).await;
    for (slots, count, wanted) in [
        (0, 10, vec![]),
        (1, 10, vec![theirs]),
        (2, 10, vec![mine[1], theirs]),
        (3, 10, vec![mine[1], theirs, mine[2]]),
        (9, 10, vec![mine[1], theirs, mine[2], mine[0]]),
        (9, 2, vec![mine[1], theirs]),
    ] {
        let backlog = store.backlog(slots, count).await.unwrap();
        let next: Vec<SessionId> = backlog.next.iter().map(|stored| stored.session.id).collect();
        assert_eq!((backlog.waiting, next), (4, wanted), "{slots} slots");
    }
}

pub(crate) async fn a_limit_of_its_own_goes_before_the_servers(store: &dyn Store) {
    let id = OrganizationId(fresh());
    let new = NewOrganization { id: id.0, name: "acme".into(), limit: Some(1), created_at: noon() };
    assert!(store.create_organization(new.clone()).await.unwrap());
    assert!(!store.create_organization(NewOrganization { id: fresh(), ..new }).await.unwrap());
    let draft = || Draft::at(noon(), id, json!({}));
    draft().asking(9).create(store).await;
    assert!(no_slot(&store.create(draft().asking(9).new).await, 1));
    assert_eq!(store.create(draft().queueing(9, 9).new).await.unwrap(), Creation::Queued);
    assert!(store.backlog(9, 9).await.unwrap().next.is_empty());

    assert!(store.limit_organization("acme", Some(2)).await.unwrap());
    assert_eq!(store.backlog(0, 9).await.unwrap().next.len(), 1);
    assert_eq!(store.slot_usage(id).await.unwrap(), SlotUsage { active: 1, queued: 1, limit: Some(2) });
    assert!(store.limit_organization("acme", None).await.unwrap());
    draft().asking(3).create(store).await;
    assert!(!store.limit_organization("nobody", Some(2)).await.unwrap());

    let listed = store.organizations().await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].name.as_str()), (1, id, "acme"));
    assert_eq!((listed[0].users, listed[0].keys, listed[0].created_at), (0, 0, noon()));
    assert_eq!(listed[0].slot_usage, SlotUsage { active: 2, queued: 1, limit: None });
}

async fn slot_usage(store: &dyn Store, number: u128) -> SlotUsage {
    store.slot_usage(organization(number)).await.unwrap()
}

/// Creates a session that waits for one of so many slots.
async fn queue(store: &dyn Store, slots: u64) -> Session {
    let draft = Draft::new().queueing(slots, 100);
    let id = draft.id();
    assert_eq!(store.create(draft.new).await.unwrap(), Creation::Queued);
    stored(store, id).await.session
}

async fn queue_at(store: &dyn Store, second: i64, number: u128) -> SessionId {
    let draft = Draft::at(after_s(second), organization(number), json!({})).queueing(0, 100);
    let id = draft.id();
    assert_eq!(store.create(draft.new).await.unwrap(), Creation::Queued);
    id
}

async fn promote(store: &dyn Store, session: &Session, slots: u64) -> Result<(), Error> {
    commit_for(store, fact(session, Fact::Promoted), CommitSlot::Promote(limits(slots, 0))).await
}

fn no_slot<T>(result: &Result<T, Error>, slots: u64) -> bool {
    matches!(result, Err(Error::Refused(Refusal::NoSlot { limit })) if *limit == slots)
}
