//! Browsers that are signed in.

use crate::drafts::{after_s, fresh};
use quarterdeck_store::{KeyHash, NewKey, Proof, SIGN_INS_PER_KEY, Store, TokenHash};
use uuid::Uuid;

const DAY: i64 = 24 * 60 * 60;

pub(crate) async fn a_key_signs_in_until_it_is_revoked(store: &dyn Store) {
    let (id, hash) = add_key(store, 1).await;
    assert!(!store.sign_in(Proof::Key(KeyHash([9; 32])), token(1), after_s(0)).await.unwrap());
    assert!(store.sign_in(Proof::Key(hash), token(1), after_s(0)).await.unwrap());
    let found = store.signed_in(token(1), after_s(1)).await.unwrap().unwrap();
    assert_eq!(Some(found.caller), store.caller(hash).await.unwrap());
    assert_eq!(
        (found.key_id, found.key_prefix.as_str(), found.organization.as_str(), found.user.as_str()),
        (id, "hk-12", "acme", "ann")
    );
    assert_eq!(store.signed_in(token(2), after_s(1)).await.unwrap(), None);
    store.revoke_key(id, after_s(2)).await.unwrap();
    assert_eq!(store.signed_in(token(1), after_s(3)).await.unwrap(), None);
    assert!(!store.sign_in(Proof::Key(hash), token(3), after_s(3)).await.unwrap());
    assert!(!store.link_to_sign_in(id, token(4), after_s(3)).await.unwrap());
}

pub(crate) async fn a_link_signs_in_once_and_soon(store: &dyn Store) {
    let (id, _) = add_key(store, 1).await;
    assert!(store.link_to_sign_in(id, token(1), after_s(0)).await.unwrap());
    assert_eq!(store.signed_in(token(1), after_s(1)).await.unwrap(), None, "a link is no cookie");
    assert!(store.sign_in(Proof::Link(token(1)), token(2), after_s(1)).await.unwrap());
    assert!(!store.sign_in(Proof::Link(token(1)), token(3), after_s(2)).await.unwrap(), "it was used");
    assert!(!store.sign_in(Proof::Link(token(2)), token(3), after_s(2)).await.unwrap(), "a cookie is no link");
    assert!(store.signed_in(token(2), after_s(2)).await.unwrap().is_some());
    assert!(store.link_to_sign_in(id, token(4), after_s(0)).await.unwrap());
    assert!(!store.sign_in(Proof::Link(token(4)), token(5), after_s(601)).await.unwrap(), "it is too old");
}

pub(crate) async fn a_sign_in_ends_a_week_after_its_last_use_and_after_a_month(store: &dyn Store) {
    let (id, _) = add_key(store, 1).await;
    assert!(store.sign_in(Proof::Operator(id), token(1), after_s(0)).await.unwrap());
    assert_eq!(store.signed_in(token(1), after_s(7 * DAY)).await.unwrap(), None);
    for day in 1..30 {
        assert!(store.signed_in(token(1), after_s(day * DAY)).await.unwrap().is_some(), "day {day}");
    }
    assert_eq!(store.signed_in(token(1), after_s(30 * DAY)).await.unwrap(), None);
}

pub(crate) async fn signing_out_ends_one_or_all_of_a_key(store: &dyn Store) {
    let ((one, _), (other, _)) = (add_key(store, 1).await, add_key(store, 2).await);
    for (key, name) in [(one, 1), (one, 2), (one, 3), (other, 4)] {
        assert!(store.sign_in(Proof::Operator(key), token(name), after_s(0)).await.unwrap());
    }
    let is_in = async |name: u8| store.signed_in(token(name), after_s(1)).await.unwrap().is_some();
    store.sign_out(token(1)).await.unwrap();
    store.sign_out(token(99)).await.unwrap();
    assert!(!is_in(1).await && is_in(2).await && is_in(3).await);
    store.sign_out_everywhere(one).await.unwrap();
    assert!(!is_in(2).await && !is_in(3).await && is_in(4).await);
}

pub(crate) async fn of_too_many_sign_ins_the_one_used_longest_ago_goes(store: &dyn Store) {
    let (id, _) = add_key(store, 1).await;
    for name in 0..=SIGN_INS_PER_KEY {
        let (name, second) = (u8::try_from(name).unwrap(), i64::from(name));
        assert!(store.sign_in(Proof::Operator(id), token(name), after_s(second)).await.unwrap());
    }
    assert_eq!(store.signed_in(token(0), after_s(100)).await.unwrap(), None);
    assert!(store.signed_in(token(1), after_s(100)).await.unwrap().is_some());
}

fn token(name: u8) -> TokenHash {
    TokenHash([name; 32])
}

async fn add_key(store: &dyn Store, number: u8) -> (Uuid, KeyHash) {
    let key = NewKey {
        ids: [fresh(), fresh(), fresh()],
        organization: "acme".into(),
        user: "ann".into(),
        hash: KeyHash([number; 32]),
        prefix: "hk-12".into(),
        created_at: after_s(0),
    };
    let added = (key.ids[0], key.hash);
    store.create_key(key).await.unwrap();
    added
}
