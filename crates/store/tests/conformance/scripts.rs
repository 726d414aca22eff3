//! Scripts, and clean slates.

use crate::drafts::{Draft, noon, organization};
use quarterdeck_store::Store;

pub(crate) async fn a_script_is_kept_under_its_hash(store: &dyn Store) {
    assert_eq!(store.script("a").await.unwrap(), None);
    store.keep_script("a", "one").await.unwrap();
    store.keep_script("a", "one").await.unwrap();
    assert_eq!(store.script("a").await.unwrap().as_deref(), Some("one"));
}

pub(crate) async fn the_sessions_of_one_organization_are_removed_and_no_others(store: &dyn Store) {
    let mine = Draft::new().keyed("key", 1, "answer").create(store).await;
    let others = Draft::at(noon(), organization(2), serde_json::json!({})).create(store).await;
    assert_eq!(store.remove_sessions(mine.organization).await.unwrap(), [mine.id]);
    assert!(store.session(mine.id).await.unwrap().is_none());
    assert!(store.record(mine.id).await.unwrap().is_none());
    assert!(store.events(mine.id, 0, 10).await.unwrap().is_empty());
    assert!(store.session(others.id).await.unwrap().is_some());
    assert_eq!(store.remove_sessions(mine.organization).await.unwrap(), []);
    let again = store.answered(mine.organization, "key", [1; 32], noon()).await.unwrap();
    assert!(again.is_none(), "the key is free again");
}
