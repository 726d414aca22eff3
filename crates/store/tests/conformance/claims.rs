//! Who runs what: claims, timers, leases.

use crate::drafts::{
    Draft, after_s, answered, command, commit, fresh, lease, noon, organization, owner, release, replica, running,
    stored,
};
use quarterdeck_api::SessionId;
use quarterdeck_core::{Command, Session};
use quarterdeck_store::{Claimed, Owned, Store};
use serde_json::json;
use std::{collections::HashSet, time::Duration};

pub(crate) async fn only_what_is_due_is_claimed(store: &dyn Store) {
    let due = Draft::new().create(store).await;
    let later = Draft::at(after_s(60), organization(1), json!({})).create(store).await;
    let paused = commit(store, command(&Draft::new().create(store).await, Command::Pause)).await;
    answered(store, Draft::new(), "over").await;
    let idle = answered(store, Draft::of(json!({"idle_timeout_s": 30})), "waits").await;
    assert_eq!(claim(store, 0).await, HashSet::from([due.id]));
    assert_eq!(claim(store, 29).await, HashSet::from([due.id]), "of another replica, which does not live");
    assert_eq!(claim(store, 60).await, HashSet::from([due.id, idle.id, later.id]));
    assert_eq!(stored(store, paused.id).await.owner, owner(None, 0));
}

pub(crate) async fn the_longest_due_is_claimed_first(store: &dyn Store) {
    let mut ids = Vec::new();
    for seconds in [50, 10, 40, 20, 30] {
        ids.push((seconds, Draft::at(after_s(seconds), organization(1), json!({})).create(store).await.id));
    }
    ids.sort_by_key(|(seconds, _)| *seconds);
    let replica = living(store).await;
    let claimed = store.claim(replica, after_s(100), 3).await.unwrap();
    let first: HashSet<_> = ids[..3].iter().map(|(_, id)| *id).collect();
    assert_eq!(ids_of(&claimed), first);
}

pub(crate) async fn a_claim_takes_no_more_than_its_limit(store: &dyn Store) {
    for _ in 0..7 {
        Draft::new().create(store).await;
    }
    let replica = living(store).await;
    let mut taken = Vec::new();
    for limit in [0, 3, 3, 3, 3] {
        taken.push(store.claim(replica, noon(), limit).await.unwrap().len());
    }
    assert_eq!(taken, [0, 3, 3, 1, 0]);
}

pub(crate) async fn a_claimed_session_is_not_claimed_again_by_its_owner(store: &dyn Store) {
    let session = Draft::new().create(store).await;
    let replica = living(store).await;
    let claimed = store.claim(replica, noon(), 10).await.unwrap();
    assert_eq!(claimed[0].lease, lease(replica, 1));
    assert_eq!(claimed[0].session, stored(store, session.id).await.session);
    assert!(store.claim(replica, noon(), 10).await.unwrap().is_empty());
}

pub(crate) async fn two_claims_at_once_never_get_the_same(store: &dyn Store) {
    for _ in 0..60 {
        Draft::new().create(store).await;
    }
    let (one, two) = (living(store).await, living(store).await);
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let (a, b) = tokio::join!(store.claim(one, noon(), 5), store.claim(two, noon(), 5));
        for claimed in a.unwrap().into_iter().chain(b.unwrap()) {
            // An engine for one process takes what another owned, as a past life of it; never in the same epoch.
            assert!(seen.insert((claimed.session.id, claimed.lease.epoch)), "claimed twice");
        }
    }
    let sessions: HashSet<_> = seen.iter().map(|(id, _)| *id).collect();
    assert!(!store.is_shared() || sessions.len() == seen.len());
}

pub(crate) async fn a_timer_beyond_the_year_9999_is_not_due(store: &dyn Store) {
    let session = answered(store, Draft::of(json!({"idle_timeout_s": 1_000_000_000_000_i64})), "waits long").await;
    assert_eq!(claim(store, 3_600).await, HashSet::new());
    assert_eq!(stored(store, session.id).await.session, session);
    let next = store.next_due().await.unwrap();
    assert!(next.is_none_or(|due| due > after_s(1_000_000_000)), "{next:?}");
}

pub(crate) async fn a_released_session_can_be_claimed_again(store: &dyn Store) {
    let session = Draft::new().create(store).await;
    let (one, two) = (living(store).await, living(store).await);
    let claimed = store.claim(one, noon(), 10).await.unwrap();
    assert!(release(store, session.id, claimed[0].lease).await);
    assert_eq!(stored(store, session.id).await.owner, owner(None, 1));
    let again = store.claim(two, noon(), 10).await.unwrap();
    assert_eq!(again[0].lease, lease(two, 2));
}

pub(crate) async fn a_release_under_an_old_lease_changes_nothing(store: &dyn Store) {
    let (first, second) = (replica(), replica());
    let session = Draft::new().owned_by(first).create(store).await;
    assert!(release(store, session.id, lease(first, 1)).await);
    store.claim(second, noon(), 1).await.unwrap();
    let before = stored(store, session.id).await;
    for old in [lease(first, 1), lease(first, 2), lease(second, 1)] {
        assert!(!release(store, session.id, old).await);
    }
    assert!(!store.release(SessionId(fresh()), lease(second, 2), 1).await.unwrap());
    let after = stored(store, session.id).await;
    assert_eq!((after.owner, after.session), (before.owner, before.session));
}

pub(crate) async fn a_session_that_moved_on_is_not_released(store: &dyn Store) {
    let replica = replica();
    let session = Draft::new().owned_by(replica).create(store).await;
    commit(store, command(&session, Command::Pause)).await;
    assert!(!store.release(session.id, lease(replica, 1), session.version).await.unwrap());
    assert_eq!(stored(store, session.id).await.owner, owner(Some(replica), 1));
}

pub(crate) async fn a_retired_replica_owns_nothing(store: &dyn Store) {
    let (leaving, staying) = (living(store).await, living(store).await);
    let mine = Draft::new().owned_by(leaving).create(store).await;
    let other = Draft::new().owned_by(staying).create(store).await;
    store.retire(leaving).await.unwrap();
    assert_eq!(stored(store, mine.id).await.owner, owner(None, 1));
    assert_eq!(stored(store, other.id).await.owner, owner(Some(staying), 1));
}

pub(crate) async fn the_next_due_is_the_earliest_that_nobody_owns(store: &dyn Store) {
    assert_eq!(store.next_due().await.unwrap(), None);
    Draft::new().owned_by(replica()).create(store).await;
    answered(store, Draft::new(), "over").await;
    assert_eq!(store.next_due().await.unwrap(), None);
    answered(store, Draft::of(json!({"idle_timeout_s": 90})), "waits").await;
    answered(store, Draft::of(json!({"idle_timeout_s": 30})), "waits").await;
    assert_eq!(store.next_due().await.unwrap(), Some(after_s(30)));
    running(store, Draft::new()).await;
    assert_eq!(store.next_due().await.unwrap(), Some(noon()));
}

pub(crate) async fn whatever_moves_the_owner_moves_the_version(store: &dyn Store) {
    let session = Draft::new().create(store).await;
    let replica = living(store).await;
    let claimed = store.claim(replica, noon(), 1).await.unwrap();
    assert_eq!(claimed[0].session.version, session.version + 1);
    assert!(release(store, session.id, claimed[0].lease).await);
    store.claim(replica, noon(), 1).await.unwrap();
    store.retire(replica).await.unwrap();
    assert_eq!(stored(store, session.id).await.session.version, session.version + 4);
}

pub(crate) async fn only_a_claim_from_an_owner_who_had_not_let_go_takes_over(store: &dyn Store) {
    let (dead, gone) = (replica(), replica());
    let orphan = Draft::new().owned_by(dead).create(store).await;
    let (free, left, released) = (Draft::new(), Draft::new().owned_by(gone), Draft::new().owned_by(dead));
    let (free, left) = (free.create(store).await, left.create(store).await);
    let released = released.create(store).await;
    assert!(release(store, released.id, lease(dead, 1)).await);
    store.retire(gone).await.unwrap();
    let claimed = store.claim(living(store).await, noon(), 10).await.unwrap();
    assert_eq!(ids_of(&claimed), HashSet::from([orphan.id, free.id, left.id, released.id]));
    for claimed in claimed {
        assert_eq!(claimed.taken_over, claimed.session.id == orphan.id);
    }
}

pub(crate) async fn a_replica_is_told_what_it_owns_and_must_look_at(store: &dyn Store) {
    let (mine, other) = (replica(), replica());
    let work = Draft::new().owned_by(mine).create(store).await;
    let timer = answered(store, Draft::of(json!({"idle_timeout_s": 30})).owned_by(mine), "waits").await;
    Draft::new().owned_by(other).create(store).await;
    Draft::new().create(store).await;
    answered(store, Draft::new().owned_by(mine), "over").await;
    let owned = |session: &Session| Owned { session: session.id, lease: lease(mine, 1), version: session.version };
    assert_eq!(store.owned(mine).await.unwrap(), [owned(&work), owned(&timer)]);
    assert!(release(store, work.id, lease(mine, 1)).await);
    assert_eq!(store.owned(mine).await.unwrap(), [owned(&timer)]);
}

/// What a new replica, which dies at once, gets some seconds after noon.
async fn claim(store: &dyn Store, seconds: i64) -> HashSet<SessionId> {
    ids_of(&store.claim(replica(), after_s(seconds), 100).await.unwrap())
}

async fn living(store: &dyn Store) -> quarterdeck_store::ReplicaId {
    let replica = replica();
    store.renew(replica, Duration::from_mins(10)).await.unwrap();
    replica
}

fn ids_of(claimed: &[Claimed]) -> HashSet<SessionId> {
    claimed.iter().map(|claimed| claimed.session.id).collect()
}
