//! Creating sessions, and creating them only once.

use crate::drafts::{Draft, after_s, answered, fresh, noon, organization, owner, replica, running, stored};
use chrono::TimeDelta;
use futures_util::future::join_all;
use quarterdeck_api::SessionId;
use quarterdeck_store::{Creation, SessionFilter, Store};
use serde_json::json;

pub(crate) async fn a_created_session_reads_back(store: &dyn Store) {
    let draft = Draft::of(json!({"group_id": "g", "idle_timeout_s": 30}));
    let request = (*draft.new.request).clone();
    let session = draft.create(store).await;
    let read = stored(store, session.id).await;
    assert_eq!(read.session, session);
    assert_eq!(read.owner, owner(None, 0));
    let record = store.record(session.id).await.unwrap().unwrap();
    assert_eq!((record.session, &*record.request), (session, &request));
}

pub(crate) async fn an_unknown_session_is_none(store: &dyn Store) {
    let id = SessionId(fresh());
    assert!(store.session(id).await.unwrap().is_none());
    assert!(store.record(id).await.unwrap().is_none());
}

pub(crate) async fn a_session_cannot_be_created_twice(store: &dyn Store) {
    let draft = Draft::new();
    let again = draft.new.clone();
    let session = draft.create(store).await;
    assert!(store.create(again).await.is_err());
    assert_eq!(stored(store, session.id).await.session, session);
}

pub(crate) async fn a_session_created_with_an_owner_is_its_own_from_the_first_epoch(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().owned_by(replica).create(store).await;
    assert_eq!(stored(store, session.id).await.owner, owner(Some(replica), 1));
}

pub(crate) async fn a_key_with_the_same_body_repeats_the_first_answer(store: &dyn Store) {
    Draft::new().keyed("k", 1, r#"{"id": "the  first"}"#).create(store).await;
    let second = Draft::new().keyed("k", 1, "the second");
    let id = second.id();
    assert_eq!(store.create(second.new).await.unwrap(), Creation::Replayed(r#"{"id": "the  first"}"#.into()));
    assert!(store.session(id).await.unwrap().is_none());
}

pub(crate) async fn a_key_with_another_body_creates_nothing(store: &dyn Store) {
    Draft::new().keyed("k", 1, "").create(store).await;
    assert_eq!(store.create(Draft::new().keyed("k", 2, "").new).await.unwrap(), Creation::KeyReused);
    assert_eq!(count(store, 1).await, 1);
}

pub(crate) async fn a_key_of_another_organization_is_another_key(store: &dyn Store) {
    Draft::new().keyed("k", 1, "").create(store).await;
    Draft::at(noon(), organization(2), json!({})).keyed("k", 2, "").create(store).await;
    assert_eq!((count(store, 1).await, count(store, 2).await), (1, 1));
}

pub(crate) async fn a_key_is_free_again_after_a_day_and_not_before(store: &dyn Store) {
    let at = |seconds| Draft::at(after_s(seconds), organization(1), json!({})).keyed("k", 1, "first");
    at(0).create(store).await;
    let day = TimeDelta::days(1).num_seconds();
    assert_eq!(store.create(at(day - 1).new).await.unwrap(), Creation::Replayed("first".into()));
    at(day).create(store).await;
    assert_eq!(count(store, 1).await, 2);
}

pub(crate) async fn what_a_key_was_answered_can_be_asked_for(store: &dyn Store) {
    Draft::new().keyed("k", 1, "first").create(store).await;
    let day = TimeDelta::days(1).num_seconds();
    for (of, key, body, at, answered) in [
        (1, "k", 1, day - 1, Some(Creation::Replayed("first".into()))),
        (1, "k", 2, 0, Some(Creation::KeyReused)),
        (1, "k", 1, day, None),
        (1, "other", 1, 0, None),
        (2, "k", 1, 0, None),
    ] {
        let asked = store.answered(organization(of), key, [body; 32], after_s(at)).await;
        assert_eq!(asked.unwrap(), answered, "{of} {key} {body} {at}");
    }
}

pub(crate) async fn a_sweep_removes_keys_past_their_day_and_no_others(store: &dyn Store) {
    let at = |seconds| Draft::at(after_s(seconds), organization(1), json!({})).keyed("k", 1, "first");
    at(0).create(store).await;
    let day = TimeDelta::days(1).num_seconds();
    store.sweep(after_s(day - 1)).await.unwrap();
    assert_eq!(store.create(at(10).new).await.unwrap(), Creation::Replayed("first".into()));
    store.sweep(after_s(day)).await.unwrap();
    assert_eq!(store.create(at(20).new).await.unwrap(), Creation::Created, "within the day of a key that is gone");
}

pub(crate) async fn of_fifty_creations_at_once_with_one_key_one_creates(store: &dyn Store) {
    let drafts = (0..50).map(|number| Draft::new().keyed("k", 1, &format!("answer {number}")));
    let outcomes = join_all(drafts.map(|draft| store.create(draft.new))).await;
    let outcomes: Vec<Creation> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Creation::Created).count(), 1);
    let winner = outcomes.iter().position(|outcome| *outcome == Creation::Created).unwrap();
    let replay = Creation::Replayed(format!("answer {winner}"));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == replay).count(), 49);
    assert_eq!(count(store, 1).await, 1);
}

pub(crate) async fn many_creations_at_once_all_arrive(store: &dyn Store) {
    let outcomes = join_all((0..600).map(|_| store.create(Draft::new().new))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == Creation::Created));
    assert_eq!(count(store, 1).await, 600);
}

pub(crate) async fn active_sessions_are_those_that_hold_a_slot(store: &dyn Store) {
    Draft::new().create(store).await;
    running(store, Draft::new()).await;
    answered(store, Draft::of(json!({"idle_timeout_s": 9})), "idle now").await;
    answered(store, Draft::new(), "completed").await;
    running(store, Draft::at(noon(), organization(2), json!({}))).await;
    assert_eq!(store.slot_usage(organization(1)).await.unwrap().active, 3);
    assert_eq!(store.slot_usage(organization(3)).await.unwrap().active, 0);
    let mut live = store.live_sessions(None).await.unwrap();
    live.sort_unstable();
    assert_eq!(live, [("idle".to_owned(), 1), ("pending".to_owned(), 1), ("running".to_owned(), 2)]);
    assert_eq!(store.live_sessions(Some(organization(2))).await.unwrap(), [("running".to_owned(), 1)]);
    assert_eq!(store.live_sessions(Some(organization(3))).await.unwrap(), []);
}

async fn count(store: &dyn Store, number: u128) -> u64 {
    let filter = SessionFilter { limit: 1, ..SessionFilter::default() };
    store.sessions(organization(number), filter).await.unwrap().total
}
