//! Feedback and shares.

use crate::drafts::{after_s, fresh};
use futures_util::future::join_all;
use quarterdeck_api::{Feedback, SessionId, UserId};
use quarterdeck_store::{Rated, Rating, Share, Store};
use uuid::Uuid;

const ANN: UserId = UserId(Uuid::from_u128(1));

pub(crate) async fn the_last_word_on_a_session_counts(store: &dyn Store) {
    let session = Rated::Session(SessionId(fresh()));
    assert_eq!(store.rating(session).await.unwrap(), None);
    let (first, last) = (rating(false, Some("Wrong.")), rating(true, None));
    for said in [first, last] {
        store.rate(session, said.clone()).await.unwrap();
        assert_eq!(store.rating(session).await.unwrap(), Some(said));
    }
}

pub(crate) async fn every_event_has_its_own_rating(store: &dyn Store) {
    let id = SessionId(fresh());
    let said = [rating(true, Some("a")), rating(false, Some("b")), rating(true, Some("nul: \0, quote: \""))];
    for (index, rating) in (0..).zip(&said) {
        store.rate(Rated::Event(id, index), rating.clone()).await.unwrap();
    }
    for (index, rating) in (0..).zip(&said) {
        assert_eq!(store.rating(Rated::Event(id, index)).await.unwrap().as_ref(), Some(rating));
    }
    assert_eq!(store.rating(Rated::Event(id, 9)).await.unwrap(), None);
    assert_eq!(store.rating(Rated::Session(id)).await.unwrap(), None);
    assert_eq!(store.rating(Rated::Event(SessionId(fresh()), 0)).await.unwrap(), None);
}

pub(crate) async fn a_shared_session_keeps_its_first_token(store: &dyn Store) {
    let id = SessionId(fresh());
    assert!(!store.is_public(id).await.unwrap());
    assert_eq!(store.share(share(id, "one")).await.unwrap(), "one");
    assert_eq!(store.share(share(id, "two")).await.unwrap(), "one");
    assert!(store.is_public(id).await.unwrap());
    assert_eq!(store.session_of_share("one").await.unwrap(), Some(id));
    assert_eq!(store.session_of_share("two").await.unwrap(), None);
}

pub(crate) async fn an_ended_share_is_gone_with_its_token(store: &dyn Store) {
    let (id, other) = (SessionId(fresh()), SessionId(fresh()));
    store.unshare(id).await.unwrap();
    store.share(share(id, "one")).await.unwrap();
    store.share(share(other, "other")).await.unwrap();
    store.unshare(id).await.unwrap();
    store.unshare(id).await.unwrap();
    assert!(!store.is_public(id).await.unwrap());
    assert_eq!(store.session_of_share("one").await.unwrap(), None);
    assert_eq!(store.share(share(id, "two")).await.unwrap(), "two");
    assert_eq!(store.session_of_share("one").await.unwrap(), None);
    assert_eq!(store.session_of_share("other").await.unwrap(), Some(other));
}

pub(crate) async fn of_twenty_shares_at_once_all_get_one_token(store: &dyn Store) {
    let id = SessionId(fresh());
    let tokens = join_all((0..20).map(|number| store.share(share(id, &number.to_string())))).await;
    let tokens: Vec<_> = tokens.into_iter().map(Result::unwrap).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(store.session_of_share(&tokens[0]).await.unwrap(), Some(id));
}

fn rating(success: bool, message: Option<&str>) -> Rating {
    Rating { feedback: Feedback { success, message: message.map(str::to_owned) }, author: ANN, at: after_s(3) }
}

fn share(session: SessionId, token: &str) -> Share {
    Share { session, token: token.into(), author: ANN, at: after_s(1) }
}
