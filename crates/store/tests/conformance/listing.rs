//! Listing an organization's sessions.

use crate::drafts::{Draft, after_s, answer, answered, command, commit, noon, organization, running};
use quarterdeck_api::{Answer, SessionId, Status, UserId};
use quarterdeck_core::{Command, Session};
use quarterdeck_store::{SessionFilter, Store};
use serde_json::json;
use std::collections::HashSet;
use uuid::Uuid;

pub(crate) async fn the_newest_session_comes_first_unless_asked_otherwise(store: &dyn Store) {
    let mut ids = Vec::new();
    for seconds in 0..4 {
        ids.push(created_at(store, seconds).await.id);
    }
    assert_eq!(listed(store, SessionFilter { ascending: true, ..all() }).await, ids);
    ids.reverse();
    assert_eq!(listed(store, all()).await, ids);
}

pub(crate) async fn sessions_of_the_same_moment_have_one_order(store: &dyn Store) {
    for _ in 0..9 {
        Draft::new().create(store).await;
    }
    let mut down = listed(store, all()).await;
    down.reverse();
    assert_eq!(listed(store, SessionFilter { ascending: true, ..all() }).await, down);
}

pub(crate) async fn pages_part_the_list(store: &dyn Store) {
    for seconds in 0..7 {
        Draft::at(after_s(seconds), organization(1), json!({"messages": "go"})).create(store).await;
    }
    let far = Some(after_s(1_000));
    for ascending in [false, true] {
        let by = SessionFilter { ascending, ..all() };
        let pending = SessionFilter { statuses: vec![Status::Pending], ..by.clone() };
        let counted = SessionFilter { search: Some("go".into()), created_before: far, ..by.clone() };
        for filter in [by, pending, counted] {
            let whole = listed(store, filter.clone()).await;
            let mut paged = Vec::new();
            for offset in [0, 3, 6, 7, 9, i64::MAX] {
                let page = SessionFilter { offset, limit: 3, ..filter.clone() };
                let page = store.sessions(organization(1), page).await.unwrap();
                assert_eq!(page.total, 7);
                paged.extend(page.items.into_iter().map(|row| row.session.id));
            }
            assert_eq!(paged, whole);
        }
    }
}

pub(crate) async fn another_organization_sees_nothing(store: &dyn Store) {
    Draft::new().create(store).await;
    let page = store.sessions(organization(2), all()).await.unwrap();
    assert_eq!((page.items.len(), page.total), (0, 0));
}

pub(crate) async fn each_filter_picks_its_sessions(store: &dyn Store) {
    let parent = Draft::of(json!({"group_id": "blue"})).create(store).await;
    let mut child = Draft::of(json!({"group_id": "Blue"}));
    child.new.parent = Some(parent.id);
    let child = child.create(store).await;
    let mut named = Draft::new();
    named.new.agent_reference = Some("h/web-surfer-flash".into());
    let named = running(store, named).await;
    let mut foreign = Draft::new();
    foreign.new.transition.session.user = UserId(Uuid::from_u128(8));
    let foreign = answered(store, foreign, "done").await;

    let none: [&Session; 0] = [];
    let status = |statuses: &[Status]| SessionFilter { statuses: statuses.to_vec(), ..all() };
    check(store, status(&[Status::Pending]), [&parent, &child]).await;
    check(store, status(&[Status::Running, Status::Completed]), [&named, &foreign]).await;
    check(store, status(&[Status::Failed]), none).await;
    let agents = |names: &[&str]| SessionFilter { agents: names.iter().copied().map(str::to_owned).collect(), ..all() };
    check(store, agents(&["h/web-surfer-flash", "h/other"]), [&named]).await;
    check(store, agents(&["tester"]), [&parent, &child, &named, &foreign]).await;
    check(store, agents(&["teste"]), none).await;
    check(store, SessionFilter { group_id: Some("blue".into()), ..all() }, [&parent]).await;
    check(store, SessionFilter { parent: Some(parent.id), ..all() }, [&child]).await;
    check(store, SessionFilter { user: Some(UserId(Uuid::from_u128(8))), ..all() }, [&foreign]).await;
    check(store, all(), [&parent, &child, &named, &foreign]).await;
}

pub(crate) async fn filters_must_all_match(store: &dyn Store) {
    let both = answered(store, Draft::of(json!({"group_id": "g"})), "done").await;
    answered(store, Draft::new(), "done").await;
    Draft::of(json!({"group_id": "g"})).create(store).await;
    let filter = SessionFilter {
        statuses: vec![Status::Completed],
        group_id: Some("g".into()),
        search: Some("done".into()),
        ..all()
    };
    check(store, filter, [&both]).await;
}

pub(crate) async fn date_bounds_are_strict(store: &dyn Store) {
    let early = answered(store, Draft::at(after_s(10), organization(1), json!({})), "done").await;
    let late = Draft::at(after_s(20), organization(1), json!({})).create(store).await;
    let ten = Some(after_s(10));
    let none: [&Session; 0] = [];
    check(store, SessionFilter { created_before: ten, ..all() }, none).await;
    check(store, SessionFilter { created_before: Some(after_s(11)), ..all() }, [&early]).await;
    check(store, SessionFilter { created_after: ten, ..all() }, [&late]).await;
    check(store, SessionFilter { created_after: Some(noon()), ..all() }, [&early, &late]).await;
    let hair = chrono::TimeDelta::microseconds(1);
    let (just_before, just_after) = (ten.map(|ten| ten - hair), ten.map(|ten| ten + hair));
    check(store, SessionFilter { created_after: just_before, created_before: just_after, ..all() }, [&early]).await;
    check(store, SessionFilter { finished_after: ten, ..all() }, none).await;
    check(store, SessionFilter { finished_before: ten, ..all() }, none).await;
    check(store, SessionFilter { finished_after: just_before, finished_before: just_after, ..all() }, [&early]).await;
}

pub(crate) async fn search_ignores_case_in_any_script(store: &dyn Store) {
    let greek = with_message(store, "ΟΔΥΣΣΕΎΣ reist").await;
    let german = with_message(store, "Die GRÖSSE der Straße").await;
    let russian = with_message(store, "Найди ЦЕНУ").await;
    for (search, found) in [
        ("größe", None),
        ("grösse", Some(&german)),
        ("STRAßE", Some(&german)),
        ("цену", Some(&russian)),
        ("οδυσσεύ", Some(&greek)),
    ] {
        check(store, searching(search), found).await;
    }
    check(store, searching("r"), [&greek, &german]).await;
}

pub(crate) async fn search_takes_percent_and_underscore_as_they_are(store: &dyn Store) {
    let percent = with_message(store, "100% sure").await;
    let underscore = with_message(store, "snake_case").await;
    let slash = with_message(store, r"C:\Windows 'quoted'").await;
    with_message(store, "1000 sure, snakeXcase, C:Windows").await;
    check(store, searching("0% s"), [&percent]).await;
    check(store, searching("E_C"), [&underscore]).await;
    check(store, searching(r"c:\w"), [&slash]).await;
    check(store, searching("'QUOTED'"), [&slash]).await;
    check(store, searching("%"), [&percent]).await;
}

pub(crate) async fn search_finds_answers_too(store: &dyn Store) {
    let text = answered(store, Draft::new(), "It costs NINETEEN euros").await;
    let object = running(store, Draft::new()).await;
    let Ok(fields) = serde_json::from_value(json!({"Price": 19, "in": "Köln"})) else { panic!("an object") };
    let object = commit(store, answer(&object, Answer::Object(fields))).await;
    check(store, searching("nineteen"), [&text]).await;
    check(store, searching(r#""PRICE":19"#), [&object]).await;
    check(store, searching("KÖLN"), [&object]).await;
    check(store, searching("find the price"), [&text, &object]).await;
}

/// The first 8,192 characters of a text are searched: what one search costs has a bound.
pub(crate) async fn search_takes_long_texts(store: &dyn Store) {
    let long = "_".repeat(8_000);
    let session = answered(store, Draft::new(), &format!("<{long}>{}needle", "y".repeat(60_000))).await;
    answered(store, Draft::new(), &"x".repeat(60_002)).await;
    check(store, searching(&long), [&session]).await;
    check(store, searching("needle"), []).await;
}

pub(crate) async fn a_line_tells_agent_revision_and_first_message(store: &dyn Store) {
    let mut draft = Draft::of(json!({"messages": [{"type": "user_message", "message": "one"}]}));
    draft.new.agent_revision = Some(3);
    let session = draft.create(store).await;
    Draft::at(after_s(-1), organization(1), json!({"messages": null})).create(store).await;
    let page = store.sessions(organization(1), all()).await.unwrap();
    let [line, empty] = &page.items[..] else { panic!("two lines") };
    assert_eq!((&line.session, &*line.agent, line.agent_revision), (&session, "tester", Some(3)));
    assert!(line.first_message.as_ref().unwrap().get().contains(r#""message":"one""#));
    assert!(empty.first_message.is_none());
}

fn all() -> SessionFilter {
    SessionFilter { limit: 100, ..SessionFilter::default() }
}

fn searching(text: &str) -> SessionFilter {
    SessionFilter { search: Some(text.into()), ..all() }
}

async fn created_at(store: &dyn Store, seconds: i64) -> Session {
    Draft::at(after_s(seconds), organization(1), json!({})).create(store).await
}

async fn with_message(store: &dyn Store, text: &str) -> Session {
    Draft::of(json!({"messages": text})).create(store).await
}

async fn listed(store: &dyn Store, filter: SessionFilter) -> Vec<SessionId> {
    let page = store.sessions(organization(1), filter).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|row| row.session.id).collect()
}

async fn check(store: &dyn Store, filter: SessionFilter, expected: impl IntoIterator<Item = &Session>) {
    let shown = format!("{filter:?}");
    let found: HashSet<SessionId> = listed(store, filter).await.into_iter().collect();
    assert_eq!(found, expected.into_iter().map(|session| session.id).collect(), "{shown}");
}

/// Counts are remembered: each total is asked for before, between and after what changes it, and held against the rows.
pub(crate) async fn totals_follow_what_is_created_and_what_becomes_of_it(store: &dyn Store) {
    let statuses = |statuses: &[Status]| SessionFilter { statuses: statuses.to_vec(), ..all() };
    let filters = [
        all(),
        SessionFilter { user: Some(UserId(Uuid::from_u128(8))), ..all() },
        SessionFilter { agents: vec!["tester".into()], ..all() },
        SessionFilter { agents: vec!["nobody".into()], ..all() },
        SessionFilter { group_id: Some("blue".into()), ..all() },
        SessionFilter { created_after: Some(after_s(1)), ..all() },
        statuses(&[Status::Completed]),
        statuses(&[Status::Completed, Status::Running]),
        statuses(&[Status::Running]),
        statuses(&[Status::Interrupted, Status::Failed]),
        statuses(&[Status::Interrupted, Status::Running, Status::Idle]),
        SessionFilter { group_id: Some("blue".into()), ..statuses(&[Status::Completed]) },
        SessionFilter { search: Some("price".into()), ..all() },
    ];
    for round in 0..6 {
        answered(store, Draft::of(json!({"group_id": "blue"})), "done").await;
        running(store, Draft::new()).await;
        let mut foreign = Draft::new();
        foreign.new.transition.session.user = UserId(Uuid::from_u128(8));
        let foreign = running(store, foreign).await;
        created_at(store, round).await;
        created_in(store, 2).await;
        for filter in &filters {
            check_total(store, filter).await;
        }
        cancelled(store, &foreign).await;
        for filter in &filters {
            check_total(store, filter).await;
        }
    }
}

/// Also those of others: what is created next may get the numbers of what was deleted.
pub(crate) async fn totals_forget_what_was_deleted(store: &dyn Store) {
    let total = async |number| store.sessions(organization(number), all()).await.unwrap().total;
    for number in [1, 1, 1, 2, 2] {
        created_in(store, number).await;
    }
    assert_eq!((total(1).await, total(2).await), (3, 2));
    assert_eq!(store.remove_sessions(organization(2)).await.unwrap().len(), 2);
    assert_eq!((total(1).await, total(2).await), (3, 0));
    created_in(store, 1).await;
    created_in(store, 2).await;
    assert_eq!((total(1).await, total(2).await), (4, 1));
}

async fn check_total(store: &dyn Store, filter: &SessionFilter) {
    let listing = store.sessions(organization(1), filter.clone()).await.unwrap();
    assert_eq!(listing.total, listing.items.len() as u64, "{filter:?}");
    let first = SessionFilter { limit: 1, ..filter.clone() };
    assert_eq!(store.sessions(organization(1), first).await.unwrap().total, listing.total, "{filter:?}");
}

async fn created_in(store: &dyn Store, number: u128) {
    Draft::at(noon(), organization(number), json!({})).create(store).await;
}

async fn cancelled(store: &dyn Store, session: &Session) {
    commit(store, command(session, Command::Cancel)).await;
}
