//! API keys, and who they belong to.

use crate::drafts::{after_s, fresh};
use quarterdeck_store::{Caller, KeyHash, NewKey, Store};

pub(crate) async fn a_key_names_its_caller_until_it_is_revoked(store: &dyn Store) {
    let key = key("acme", "ann", 1);
    let (id, hash) = (key.ids[0], key.hash);
    assert_eq!(store.caller(hash).await.unwrap(), None);
    store.create_key(key).await.unwrap();
    assert!(store.caller(hash).await.unwrap().is_some());
    assert_eq!(store.caller(KeyHash([9; 32])).await.unwrap(), None);
    assert!(store.revoke_key(id, after_s(5)).await.unwrap());
    assert_eq!(store.caller(hash).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap()[0].revoked_at, Some(after_s(5)));
    assert!(!store.revoke_key(id, after_s(9)).await.unwrap(), "it is revoked already");
    assert_eq!(store.keys().await.unwrap()[0].revoked_at, Some(after_s(5)));
}

pub(crate) async fn keys_of_the_same_names_share_organization_and_user(store: &dyn Store) {
    let ann = caller(store, key("acme", "ann", 1)).await;
    let ann_again = caller(store, key("acme", "ann", 2)).await;
    let bob = caller(store, key("acme", "bob", 3)).await;
    let other = caller(store, key("other", "ann", 4)).await;
    assert_eq!(ann, ann_again);
    assert!(ann.organization == bob.organization && ann.user != bob.user);
    assert!(ann.organization != other.organization && ann.user != other.user);
}

pub(crate) async fn the_same_hash_again_changes_nothing(store: &dyn Store) {
    let first = caller(store, key("acme", "ann", 1)).await;
    assert_eq!(caller(store, key("other", "eve", 1)).await, first);
    assert_eq!(store.keys().await.unwrap().len(), 1);
}

pub(crate) async fn keys_are_listed_oldest_first(store: &dyn Store) {
    for (number, second) in [(1, 30), (2, 10), (3, 20)] {
        let key = NewKey { created_at: after_s(second), prefix: format!("hk-{number}"), ..key("acme", "ann", number) };
        store.create_key(key).await.unwrap();
    }
    let keys = store.keys().await.unwrap();
    let prefixes: Vec<_> = keys.iter().map(|key| key.prefix.as_str()).collect();
    assert_eq!(prefixes, ["hk-2", "hk-3", "hk-1"]);
    assert_eq!((keys[0].organization.as_str(), keys[0].user.as_str()), ("acme", "ann"));
}

pub(crate) async fn an_unknown_key_cannot_be_revoked(store: &dyn Store) {
    assert!(!store.revoke_key(fresh(), after_s(0)).await.unwrap());
}

fn key(organization: &str, user: &str, number: u8) -> NewKey {
    NewKey {
        ids: [fresh(), fresh(), fresh()],
        organization: organization.into(),
        user: user.into(),
        hash: KeyHash([number; 32]),
        prefix: "hk-12".into(),
        created_at: after_s(0),
    }
}

async fn caller(store: &dyn Store, key: NewKey) -> Caller {
    let hash = key.hash;
    store.create_key(key).await.unwrap();
    store.caller(hash).await.unwrap().unwrap()
}
