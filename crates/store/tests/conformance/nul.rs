//! The character that no text column takes. In JSON it is written `\u0000`, which any column takes.

use crate::drafts::{Draft, answer, commit, is_conflict, organization, running, say, trouble};
use futures_util::future::join_all;
use quarterdeck_api::Answer;
use quarterdeck_store::{Creation, SessionFilter, Store};
use serde_json::json;

pub(crate) async fn nul_in_messages_and_results_survives(store: &dyn Store) {
    let draft = Draft::of(json!({"messages": "a\0b"}));
    let request = (*draft.new.request).clone();
    let session = running(store, draft).await;
    let session = commit(store, say(&session, &["c\0d"])).await;
    let session = commit(store, trouble(&session, "e\0f")).await;
    let session = commit(store, answer(&session, Answer::Text("g\0h".into()))).await;
    assert_eq!(*store.record(session.id).await.unwrap().unwrap().request, request);
    assert_eq!(store.inbox(session.id, 0).await.unwrap()[0].message, "c\0d");
    let events = store.events(session.id, 0, 100).await.unwrap();
    assert!(events.iter().any(|event| event.json.get().contains("e\\u0000f")));
    let read = store.session(session.id).await.unwrap().unwrap();
    assert_eq!(read.session.answer, Some(Answer::Text("g\0h".into())));
}

pub(crate) async fn nul_in_a_message_does_not_disturb_search(store: &dyn Store) {
    Draft::of(json!({"messages": "before\0AFTER"})).create(store).await;
    for (search, found) in [("before", 1), ("after", 1), ("nothing", 0), ("b\0", 0)] {
        let filter = SessionFilter { search: Some(search.into()), limit: 10, ..SessionFilter::default() };
        assert_eq!(store.sessions(organization(1), filter).await.unwrap().total, found, "{search:?}");
    }
}

/// The server refuses such a label; should one come this far, it must not take others down with it.
pub(crate) async fn nul_in_a_label_fails_alone_and_crashes_nothing(store: &dyn Store) {
    let drafts: Vec<Draft> = (0..40)
        .map(|number| match number % 10 {
            7 => Draft::of(json!({"group_id": "a\0b"})),
            _ => Draft::new(),
        })
        .collect();
    let bad: Vec<bool> = drafts.iter().map(|draft| draft.new.request.group_id.is_some()).collect();
    let outcomes = join_all(drafts.into_iter().map(|draft| store.create(draft.new))).await;
    for (outcome, bad) in outcomes.iter().zip(bad) {
        assert!(!is_conflict(outcome));
        match outcome {
            Ok(outcome) => assert!(*outcome == Creation::Created && (!bad || !store.is_shared())),
            Err(error) => assert!(bad, "a good session failed with its neighbours: {error}"),
        }
    }
    assert_eq!(store.create(Draft::new().new).await.unwrap(), Creation::Created);
}
