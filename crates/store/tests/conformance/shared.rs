//! What only a store for several processes does.

use crate::{
    drafts::{
        Draft, answer, command, commit, commit_for, commit_with, is_conflict, lease, limits, noon, organization, owner,
        replica, running, say, start, stored, trouble, troubles,
    },
    world::{open, postgres, within_a_minute},
};
use quarterdeck_api::Answer;
use quarterdeck_core::{Command, Session};
use quarterdeck_store::{CommitLease, CommitSlot, Creation, Notice, Store};
use quarterdeck_test_support::postgres::PostgresCluster;
use std::{collections::HashSet, sync::Arc, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_replica_keeps_its_sessions_and_a_dead_one_loses_them() {
    let world = postgres().await;
    let (store, living, dead) = (&*world.store, replica(), replica());
    store.renew(living, Duration::from_mins(10)).await.unwrap();
    store.renew(dead, Duration::from_millis(1)).await.unwrap();
    let kept = Draft::new().owned_by(living).create(store).await;
    let lost = Draft::new().owned_by(dead).create(store).await;
    let claimant = replica();
    within_a_minute(async {
        while stored(store, lost.id).await.owner.replica == Some(dead) {
            store.claim(claimant, noon(), 10).await.unwrap();
        }
    })
    .await;
    assert_eq!(stored(store, lost.id).await.owner, owner(Some(claimant), 2));
    assert_eq!(stored(store, kept.id).await.owner, owner(Some(living), 1));
    let late = start(&lost, &["late"]);
    let late = commit_with(store, late, CommitLease::Hold(lease(dead, 1))).await;
    assert!(is_conflict(&late));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_keeps_a_lease_alive() {
    let world = postgres().await;
    let (store, mine) = (&*world.store, replica());
    store.renew(mine, Duration::from_millis(1)).await.unwrap();
    store.renew(mine, Duration::from_mins(10)).await.unwrap();
    Draft::new().owned_by(mine).create(store).await;
    for _ in 0..20 {
        assert!(store.claim(replica(), noon(), 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_claim_at_once_never_get_the_same() {
    let world = postgres().await;
    for _ in 0..200 {
        Draft::new().create(&*world.store).await;
    }
    let mut claimants = Vec::new();
    for _ in 0..4 {
        let (store, mine) = (open(&world.url).await, replica());
        store.renew(mine, Duration::from_mins(10)).await.unwrap();
        claimants.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let claimed = store.claim(mine, noon(), 7).await.unwrap();
                if claimed.is_empty() {
                    store.close().await;
                    return ids;
                }
                ids.extend(claimed.into_iter().map(|claimed| claimed.session.id));
            }
        }));
    }
    let mut all = Vec::new();
    for claimant in claimants {
        all.extend(within_a_minute(claimant).await.unwrap());
    }
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_appends_from_two_stores_leave_no_gap() {
    let world = postgres().await;
    let other = open(&world.url).await;
    let session = running(&*world.store, Draft::new()).await;
    let before = session.log_length;
    let writers = [&world.store, &other].into_iter().flat_map(|store| {
        (0..4).map(|_| tokio::spawn(append(Arc::clone(store), session.clone(), 125))).collect::<Vec<_>>()
    });
    for writer in writers.collect::<Vec<_>>() {
        tokio::time::timeout(Duration::from_mins(3), writer).await.expect("the writers make progress").unwrap();
    }
    let log = other.events(session.id, 0, 100_000).await.unwrap();
    assert_eq!(log.len() as u64, before + 10_000);
    assert!(log.iter().enumerate().all(|(place, event)| event.index == place as u64));
    let texts: HashSet<&str> = log.iter().map(|event| event.json.get()).collect();
    assert_eq!(texts.len(), log.len(), "an append was written twice");
    assert_eq!(stored(&*other, session.id).await.session.log_length, before + 10_000);
    other.close().await;
}

/// Reads are grouped; a read that joined one sent before the commit would not see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_through_one_store_is_read_through_the_other_at_once() {
    let world = postgres().await;
    let other = open(&world.url).await;
    let readers: Vec<_> = (0..32)
        .map(|_| {
            let (store, other) = (Arc::clone(&world.store), Arc::clone(&other));
            tokio::spawn(async move {
                let mut session = running(&*store, Draft::new()).await;
                for _ in 0..30 {
                    session = commit(&*store, say(&session, &["hello"])).await;
                    assert_eq!(stored(&*other, session.id).await.session.version, session.version);
                }
            })
        })
        .collect();
    for reader in readers {
        within_a_minute(reader).await.unwrap();
    }
    other.close().await;
}

/// Sessions come, end and start again through two stores at once; each looks after each of its commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_for_all_stores_together_at_every_moment() {
    const SLOTS: u64 = 5;
    let world = postgres().await;
    let other = open(&world.url).await;
    let callers = [&world.store, &other].into_iter().flat_map(|store| (0..8).map(|_| Arc::clone(store)));
    let callers = callers.map(|store| {
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..40 {
                admitted += usize::from(come_and_go(&*store, SLOTS).await);
                let active = store.slot_usage(organization(1)).await.unwrap().active;
                assert!(active <= SLOTS, "{active} sessions hold one of {SLOTS} slots");
            }
            admitted
        })
    });
    let mut admitted = 0;
    for caller in callers.collect::<Vec<_>>() {
        admitted += tokio::time::timeout(Duration::from_mins(2), caller).await.expect("progress").unwrap();
    }
    assert!((40..640).contains(&admitted), "{admitted} of 640 got in");
    assert_eq!(other.slot_usage(organization(1)).await.unwrap().active, 0);
    other.close().await;
}

/// A session that ends, starts again and ends, as far as it is let in.
async fn come_and_go(store: &dyn Store, slots: u64) -> bool {
    let draft = Draft::new().asking(slots);
    let session = draft.new.transition.session.clone();
    if store.create(draft.new).await.is_err() {
        return false;
    }
    let session = commit(store, start(&session, &["Go"])).await;
    let ended = commit(store, answer(&session, Answer::Text("done".into()))).await;
    let again = say(&ended, &["Again"]);
    let running = again.session.clone();
    if commit_for(store, again, CommitSlot::Take(limits(slots, 0))).await.is_ok() {
        commit(store, command(&running, Command::Cancel)).await;
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_through_one_store_is_heard_by_the_other() {
    let world = postgres().await;
    let other = open(&world.url).await;
    let mut notices = other.listen().await.unwrap();
    let session = running(&*world.store, Draft::new()).await;
    let last = commit(&*world.store, say(&session, &["hello"])).await;
    let mut heard = Vec::new();
    within_a_minute(async {
        while heard.last() != Some(&Notice::Changed(last.id, last.version)) {
            heard.extend(notices.recv().await);
        }
    })
    .await;
    assert_eq!(heard.len(), 3, "creation, start, message: {heard:?}");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_commits_in_one_batch_are_all_heard() {
    let world = postgres().await;
    let mut notices = world.store.listen().await.unwrap();
    let drafts = (0..500).map(|_| Draft::new()).collect::<Vec<_>>();
    let mut missing: HashSet<_> = drafts.iter().map(Draft::id).collect();
    futures_util::future::join_all(drafts.into_iter().map(|draft| draft.create(&*world.store))).await;
    within_a_minute(async {
        while !missing.is_empty() {
            if let Some(Notice::Changed(id, _)) = notices.recv().await {
                missing.remove(&id);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_go_on_after_the_connections_are_cut() {
    let database = tokio::task::spawn_blocking(quarterdeck_test_support::postgres::shared).await.unwrap().unwrap();
    let store = open(database.url()).await;
    let mut notices = store.listen().await.unwrap();
    database.terminate_connections().unwrap();
    // What was sent meanwhile may be lost, but not silently.
    within_a_minute(async { while notices.recv().await != Some(Notice::Lost) {} }).await;
    within_a_minute(async {
        loop {
            let session = Draft::new().create(&*store).await;
            let heard = tokio::time::timeout(Duration::from_secs(1), heard(&mut notices, session.id)).await;
            if heard.is_ok() {
                return;
            }
        }
    })
    .await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_survives_the_loss_of_its_connection() {
    let database = tokio::task::spawn_blocking(quarterdeck_test_support::postgres::shared).await.unwrap().unwrap();
    let store = open(database.url()).await;
    let mut session = running(&*store, Draft::new()).await;
    for round in 0..3 {
        database.terminate_connections().unwrap();
        session = commit(&*store, trouble(&session, &format!("round {round}"))).await;
    }
    let log = store.events(session.id, 0, 100).await;
    // A read is not repeated by the store; its pooled connection may be one of those cut.
    if let Ok(log) = log {
        assert_eq!(log.len() as u64, session.log_length);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_never_answers_counts_as_away_until_it_does() {
    let cluster = PostgresCluster::new().unwrap();
    let database = cluster.create_database("frozen").unwrap();
    let store = open(database.url()).await;
    let session = Draft::new().create(&*store).await;
    cluster.pause().unwrap();
    within_a_minute(async {
        let read = store.session(session.id).await;
        assert!(read.is_err_and(|error| error.is_transient()));
        let written = commit_with(&*store, start(&session, &["lost"]), CommitLease::Leave).await;
        assert!(written.is_err_and(|error| error.is_transient()));
    })
    .await;
    cluster.resume().unwrap();
    within_a_minute(async { while store.session(session.id).await.is_err() {} }).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_open_one_empty_database_at_once_all_come_up() {
    let database = tokio::task::spawn_blocking(quarterdeck_test_support::postgres::shared).await.unwrap().unwrap();
    let stores = within_a_minute(futures_util::future::join_all((0..4).map(|_| open(database.url())))).await;
    for store in stores {
        assert_eq!(store.create(Draft::new().new).await.unwrap(), Creation::Created);
        store.close().await;
    }
}

async fn heard(notices: &mut quarterdeck_store::Notices, id: quarterdeck_api::SessionId) {
    while !matches!(notices.recv().await, Some(Notice::Changed(changed, _)) if changed == id) {}
}

/// Appends ten at a time, as handlers do: read, decide, commit, and again when somebody was first.
async fn append(store: Arc<dyn Store>, mut session: Session, count: usize) {
    for number in 0..count {
        loop {
            let next = troubles(&session, &format!("{number} of {:p}", &raw const session), 10);
            let after = next.session.clone();
            match commit_with(&*store, next, CommitLease::Leave).await {
                Ok(()) => break session = after,
                error if is_conflict(&error) => session = stored(&*store, session.id).await.session,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
