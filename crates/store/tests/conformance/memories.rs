//! What agents remember.

use crate::drafts::{after_s, fresh};
use futures_util::future::join_all;
use quarterdeck_api::OrganizationId;
use quarterdeck_store::{Memory, Remembered, Store};

const MANY: u32 = 1_000;

pub(crate) async fn a_value_stays_until_it_is_replaced_or_removed(store: &dyn Store) {
    let memory = memory("n");
    assert_eq!(store.recall(&memory, "k").await.unwrap(), None);
    assert!(!store.forget(&memory, "k").await.unwrap());
    for value in ["1", r#"{"nul":"\u0000","quote":"\""}"#] {
        assert_eq!(remember(store, &memory, "k", value, MANY).await, Remembered::Stored);
        assert_eq!(store.recall(&memory, "k").await.unwrap().as_deref(), Some(value));
    }
    assert!(store.forget(&memory, "k").await.unwrap());
    assert!(!store.forget(&memory, "k").await.unwrap());
    assert_eq!(store.recall(&memory, "k").await.unwrap(), None);
}

pub(crate) async fn each_namespace_of_each_organization_is_its_own(store: &dyn Store) {
    let one = memory("n");
    let others = [Memory { namespace: "m".into(), ..one.clone() }, memory("n")];
    remember(store, &one, "k", "1", MANY).await;
    for other in &others {
        assert_eq!(store.recall(other, "k").await.unwrap(), None);
        assert!(!store.forget(other, "k").await.unwrap());
        assert_eq!(keys(store, other, "", None, 9).await, Vec::<String>::new());
    }
    assert_eq!(store.recall(&one, "k").await.unwrap().as_deref(), Some("1"));
}

pub(crate) async fn keys_are_listed_by_their_bytes_behind_a_prefix(store: &dyn Store) {
    let memory = memory("n");
    for key in ["b", "a_", "a%", "é", "ab", "B", "aé", "a"] {
        remember(store, &memory, key, "1", MANY).await;
    }
    assert_eq!(keys(store, &memory, "", None, 99).await, ["B", "a", "a%", "a_", "ab", "aé", "b", "é"]);
    assert_eq!(keys(store, &memory, "a", None, 99).await, ["a", "a%", "a_", "ab", "aé"]);
    assert_eq!(keys(store, &memory, "a_", None, 99).await, ["a_"]);
    assert_eq!(keys(store, &memory, "a", Some("a%"), 2).await, ["a_", "ab"]);
    assert_eq!(keys(store, &memory, "c", None, 99).await, Vec::<String>::new());
}

pub(crate) async fn a_full_memory_takes_no_new_key_and_still_replaces(store: &dyn Store) {
    let memory = memory("n");
    for key in ["a", "b"] {
        assert_eq!(remember(store, &memory, key, "1", 2).await, Remembered::Stored);
    }
    assert_eq!(remember(store, &memory, "c", "1", 2).await, Remembered::Full);
    assert_eq!(store.recall(&memory, "c").await.unwrap(), None);
    assert_eq!(remember(store, &memory, "a", "2", 2).await, Remembered::Stored);
    assert!(store.forget(&memory, "b").await.unwrap());
    assert_eq!(remember(store, &memory, "c", "3", 2).await, Remembered::Stored);
    assert_eq!(keys(store, &memory, "", None, 9).await, ["a", "c"]);
}

pub(crate) async fn of_many_new_keys_at_once_no_more_are_stored_than_fit(store: &dyn Store) {
    let memory = &memory("n");
    let writes = (0..30).map(|number| async move { remember(store, memory, &number.to_string(), "1", 10).await });
    let stored = join_all(writes).await.into_iter().filter(|outcome| *outcome == Remembered::Stored).count();
    assert_eq!((stored, keys(store, memory, "", None, 99).await.len()), (10, 10));
}

fn memory(namespace: &str) -> Memory {
    Memory { organization: OrganizationId(fresh()), namespace: namespace.into() }
}

async fn remember(store: &dyn Store, memory: &Memory, key: &str, value: &str, entries_max: u32) -> Remembered {
    store.remember(memory, key, value, entries_max, after_s(1)).await.unwrap()
}

async fn keys(store: &dyn Store, memory: &Memory, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
    store.memory_keys(memory, prefix, after, limit).await.unwrap()
}
