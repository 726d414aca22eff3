//! Reading the log.

use crate::drafts::{Draft, command, commit, fact, fresh, running, trouble};
use quarterdeck_api::{SessionId, UserMessage};
use quarterdeck_core::{Command, Fact, Session};
use quarterdeck_store::{EventFilter, ListPage, Store};
use serde_json::{Value, value::RawValue};
use std::sync::Arc;

/// Events of a session before the first numbered one: request, dispatch, start, running, message.
const OPENING: usize = 5;

pub(crate) async fn indexes_are_dense_over_many_commits(store: &dyn Store) {
    let session = with_log(store, 60).await;
    let events = store.events(session.id, 0, 1_000).await.unwrap();
    let indexes: Vec<u64> = events.iter().map(|event| event.index).collect();
    assert_eq!(indexes, (0..session.log_length).collect::<Vec<_>>());
}

pub(crate) async fn events_read_back_word_for_word(store: &dyn Store) {
    let session = running(store, Draft::new()).await;
    let transition = trouble(&session, "déjà vu \u{1F600} \"quoted\" \\ \u{7} end");
    let written = transition.events[0].clone();
    commit(store, transition).await;
    let read = store.events(session.id, written.index, 1).await.unwrap();
    assert_eq!((read[0].json.get(), &read[0].type_name), (written.json.get(), &written.type_name));
}

pub(crate) async fn events_from_an_index_stop_at_the_limit_and_at_the_end(store: &dyn Store) {
    let session = with_log(store, 10).await;
    let last = session.log_length - 1;
    for (from, limit, expected) in [
        (0, 3, vec![0, 1, 2]),
        (last, 5, vec![last]),
        (last + 1, 5, vec![]),
        (0, 0, vec![]),
        (u64::MAX, u64::MAX, vec![]),
    ] {
        let events = store.events(session.id, from, limit).await.unwrap();
        assert_eq!(events.iter().map(|event| event.index).collect::<Vec<_>>(), expected, "{limit} from {from}");
    }
}

pub(crate) async fn large_events_are_read_in_portions(store: &dyn Store) {
    let mut session = running(store, Draft::new()).await;
    let from = session.log_length;
    for _ in 0..3 {
        let messages = vec![UserMessage::text("x".repeat(9_000_000))];
        session = commit(store, command(&session, Command::Message(messages.clone()))).await;
        let inbox_through = session.inbox.next;
        session = commit(store, fact(&session, Fact::Delivered { messages, inbox_through })).await;
    }
    for (from, expected) in [(from, 1), (from + 1, 1), (from + 2, 1), (from + 3, 0)] {
        assert_eq!(store.events(session.id, from, 10).await.unwrap().len(), expected, "{from}");
    }
}

pub(crate) async fn pages_count_from_both_ends(store: &dyn Store) {
    let session = with_log(store, 25).await;
    let total = session.log_length;
    check_page(store, &session, false, 5, 3, &["number 0", "number 1", "number 2"], total).await;
    check_page(store, &session, true, 0, 2, &["number 24", "number 23"], total).await;
    check_page(store, &session, false, 28, 10, &["number 23", "number 24"], total).await;
    check_page(store, &session, true, 24, 3, &["number 0", "Find the price", "ActiveStateChangeEvent"], total).await;
    check_page(store, &session, true, 28, 10, &["RequestStartDispatchedEvent", "RequestStartEvent"], total).await;
}

pub(crate) async fn a_page_past_the_end_is_empty_and_still_counts(store: &dyn Store) {
    let session = with_log(store, 3).await;
    for (descending, offset) in [(false, 8), (true, 8), (false, i64::MAX), (true, i64::MAX)] {
        check_page(store, &session, descending, offset, 50, &[], session.log_length).await;
    }
}

pub(crate) async fn a_type_filter_counts_only_its_type(store: &dyn Store) {
    let session = with_log(store, 12).await;
    let page = |descending, offset| {
        let type_name = Some("AgentEvent".to_owned());
        store.events_page(session.id, EventFilter { type_name, descending, offset, limit: 2 })
    };
    check(&page(false, 0).await.unwrap(), &["Find the price", "number 0"], 13);
    check(&page(true, 1).await.unwrap(), &["number 10", "number 9"], 13);
    check(&page(false, 13).await.unwrap(), &[], 13);
    let type_name = Some("agentevent".to_owned());
    let filter = EventFilter { type_name, limit: 9, ..EventFilter::default() };
    check(&store.events_page(session.id, filter).await.unwrap(), &[], 0);
}

pub(crate) async fn an_unknown_session_has_no_events(store: &dyn Store) {
    let id = SessionId(fresh());
    assert!(store.events(id, 0, 10).await.unwrap().is_empty());
    check(&store.events_page(id, EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap(), &[], 0);
}

/// A session with this many numbered events after its opening.
async fn with_log(store: &dyn Store, count: usize) -> Session {
    let mut session = running(store, Draft::new()).await;
    assert_eq!(session.log_length, OPENING as u64);
    for number in 0..count {
        session = commit(store, trouble(&session, &format!("number {number}"))).await;
    }
    session
}

async fn check_page(
    store: &dyn Store,
    session: &Session,
    descending: bool,
    offset: i64,
    limit: i64,
    expected: &[&str],
    total: u64,
) {
    let filter = EventFilter { type_name: None, descending, offset, limit };
    check(&store.events_page(session.id, filter).await.unwrap(), expected, total);
}

fn check(page: &ListPage<Arc<RawValue>>, expected: &[&str], total: u64) {
    let words: Vec<String> = page.items.iter().map(|event| word(event)).collect();
    assert_eq!((words, page.total), (expected.iter().copied().map(str::to_owned).collect(), total));
}

/// An event's text, else its type.
fn word(event: &RawValue) -> String {
    let event: Value = serde_json::from_str(event.get()).unwrap();
    let text = event["data"]["error"].as_str().or(event["data"]["content"][0].as_str());
    text.or(event["type"].as_str()).unwrap().to_owned()
}
