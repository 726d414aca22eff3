//! The catalog port, on every engine: the same tests, each in an empty store of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use futures_util::future::join_all;
use quarterdeck_api::{EnvironmentKind, OrganizationId, Timestamp, UserId};
use quarterdeck_store::{
    Content, Details, Entry, EntryFilter, EntryKey, KeyHash, NewEntry, NewKey, Note, Shelf, Store, Version,
};

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use uuid::Uuid;

macro_rules! catalog_suite {
    ($($name:ident),+ $(,)?) => {
        mod sqlite_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let folder = tempfile::tempdir().unwrap();
                    super::run(&format!("sqlite://{}", folder.path().join("test.db").display()), super::$name).await;
                }
            )+
        }
        mod sqlite_in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::run("sqlite::memory:", super::$name).await;
                }
            )+
        }
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let store = std::sync::Arc::new(quarterdeck_test_support::memory_store::MemoryStore::new());
                    super::run_on(store, super::$name).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = tokio::task::spawn_blocking(quarterdeck_test_support::postgres::shared).await.unwrap().unwrap();
                    super::run(database.url(), super::$name).await;
                }
            )+
        }
    };
}

catalog_suite!(
    an_added_entry_reads_back,
    a_name_is_taken_once_in_an_organization_and_shelf,
    of_writers_who_read_the_same_version_one_wins,
    of_writers_who_add_the_same_name_one_wins,
    a_change_and_a_removal_do_not_both_succeed,
    a_removed_name_begins_anew,
    agents_keep_every_revision,
    revisions_are_paged_both_ways,
    listings_filter,
    listings_sort_by_bytes_and_page,
    the_files_of_a_page_are_weighed,
    specifications_come_back_to_the_letter,
);

async fn run<F: Future<Output = ()>>(url: &str, test: impl FnOnce(Arc<dyn Store>, [OrganizationId; 2]) -> F) {
    run_on(quarterdeck_store::open(url).await.unwrap(), test).await;
}

async fn run_on<F: Future<Output = ()>>(
    store: Arc<dyn Store>,
    test: impl FnOnce(Arc<dyn Store>, [OrganizationId; 2]) -> F,
) {
    let organizations = [organization(&*store, "one").await, organization(&*store, "two").await];
    tokio::time::timeout(std::time::Duration::from_mins(1), test(Arc::clone(&store), organizations)).await.unwrap();
    store.close().await;
}

async fn organization(store: &dyn Store, name: &str) -> OrganizationId {
    let key = NewKey {
        ids: [fresh(), fresh(), fresh()],
        organization: name.into(),
        user: "somebody".into(),
        hash: KeyHash(std::array::from_fn(|index| name.as_bytes().get(index).copied().unwrap_or(0))),
        prefix: "hk-".into(),
        created_at: after(0),
    };
    let hash = key.hash;
    store.create_key(key).await.unwrap();
    store.caller(hash).await.unwrap().unwrap().organization
}

async fn an_added_entry_reads_back(store: Arc<dyn Store>, [organization, other]: [OrganizationId; 2]) {
    for content in [agent("{}"), environment("{}", EnvironmentKind::Web), skill("{}", 7)] {
        let shelf = content.details.shelf();
        let new = NewEntry { content, ..entry(organization, "a/b", 5) };
        let id = new.id;
        assert!(store.add(new).await.unwrap());
        let version = Version { entry: id, number: 1 };
        let expected = Entry { name: "a/b".into(), version, spec: "{}".into(), created_at: after(5) };
        assert_eq!(store.entry(shelf, organization, "a/b").await.unwrap(), Some(expected));
        assert_eq!(store.entry(shelf, other, "a/b").await.unwrap(), None);
        assert_eq!(store.entry(shelf, organization, "A/B").await.unwrap(), None);
    }
}

async fn a_name_is_taken_once_in_an_organization_and_shelf(store: Arc<dyn Store>, [one, two]: [OrganizationId; 2]) {
    assert!(store.add(entry(one, "a", 0)).await.unwrap());
    assert!(!store.add(entry(one, "a", 1)).await.unwrap());
    assert!(store.add(entry(two, "a", 0)).await.unwrap());
    assert!(store.add(NewEntry { content: skill("{}", 0), ..entry(one, "a", 0) }).await.unwrap());
}

async fn of_writers_who_read_the_same_version_one_wins(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    for content in [agent("{}"), environment("{}", EnvironmentKind::Mcp), skill("{}", 0)] {
        let shelf = content.details.shelf();
        store.add(NewEntry { content, ..entry(organization, "a", 0) }).await.unwrap();
        for round in 1..=5 {
            let current = store.entry(shelf, organization, "a").await.unwrap().unwrap();
            assert_eq!(current.version.number, round);
            let writers = (0..16).map(|writer| {
                let content = Content { spec: format!("[{round},{writer}]"), details: details(shelf), ..agent("") };
                let store = Arc::clone(&store);
                let note = note(&format!("{writer}"), 1);
                tokio::spawn(async move { store.change(current.version, content, note).await.unwrap() })
            });
            let won: Vec<bool> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{shelf:?}, round {round}");
            let winner = won.iter().position(|won| *won).unwrap();
            let now = store.entry(shelf, organization, "a").await.unwrap().unwrap();
            assert_eq!(now.spec, format!("[{round},{winner}]"));
        }
    }
}

async fn of_writers_who_add_the_same_name_one_wins(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    let writers = (0..16).map(|number| {
        let (store, new) = (Arc::clone(&store), entry(organization, "a", number));
        tokio::spawn(async move { store.add(new).await.unwrap() })
    });
    let won = join_all(writers).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!(won, 1);
    let agent = store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap().version.entry;
    assert_eq!(store.revisions(agent, true, 0, 10).await.unwrap().total, 1);
}

async fn a_change_and_a_removal_do_not_both_succeed(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    for _ in 0..10 {
        store.add(entry(organization, "a", 0)).await.unwrap();
        let version = store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap().version;
        let change = store.change(version, agent("[1]"), note("", 1));
        let (changed, removed) = tokio::join!(change, store.remove(Shelf::Agents, version));
        assert_ne!(changed.unwrap(), removed.unwrap());
        if let Some(left) = store.entry(Shelf::Agents, organization, "a").await.unwrap() {
            assert!(store.remove(Shelf::Agents, left.version).await.unwrap());
        }
    }
}

async fn a_removed_name_begins_anew(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    store.add(entry(organization, "a", 0)).await.unwrap();
    let before = store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap().version;
    assert!(store.remove(Shelf::Agents, before).await.unwrap());
    assert!(!store.remove(Shelf::Agents, before).await.unwrap());
    assert_eq!(store.entry(Shelf::Agents, organization, "a").await.unwrap(), None);
    assert_eq!(store.revision(organization, "a", 1).await.unwrap(), None);
    store.add(entry(organization, "a", 9)).await.unwrap();
    assert!(!store.change(before, agent("[1]"), note("", 1)).await.unwrap(), "the old entry is gone");
    let now = store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap();
    assert_eq!((now.version.number, now.created_at), (1, after(9)));
}

async fn agents_keep_every_revision(store: Arc<dyn Store>, [organization, other]: [OrganizationId; 2]) {
    let new = NewEntry { content: agent("[1]"), ..entry(organization, "a", 0) };
    let id = new.id;
    store.add(new).await.unwrap();
    for number in 1..4 {
        let version = Version { entry: id, number };
        let note = Note { restored_from: (number == 3).then_some(1), ..note("why", number) };
        assert!(store.change(version, agent(&format!("[{}]", number + 1)), note).await.unwrap());
    }
    for number in 1..=4 {
        let revision = store.revision(organization, "a", number).await.unwrap().unwrap();
        assert_eq!((revision.spec, revision.version.number), (format!("[{number}]"), number));
        assert_eq!(store.revision(other, "a", number).await.unwrap(), None);
    }
    assert_eq!(store.revision(organization, "a", 5).await.unwrap(), None);
    let newest = store.revisions(id, true, 0, 1).await.unwrap().items.remove(0);
    let expected = Note { restored_from: Some(1), ..note("why", 3) };
    assert_eq!((newest.number, newest.note), (4, expected));
    assert_eq!(store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap().created_at, after(0));
}

async fn revisions_are_paged_both_ways(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    let new = entry(organization, "a", 0);
    let id = new.id;
    store.add(new).await.unwrap();
    for number in 1..5 {
        store.change(Version { entry: id, number }, agent("{}"), note("", number)).await.unwrap();
    }
    for (newest_first, offset, expected) in
        [(true, 0, vec![5, 4]), (true, 4, vec![1]), (false, 1, vec![2, 3]), (false, 5, vec![])]
    {
        let listing = store.revisions(id, newest_first, offset, 2).await.unwrap();
        assert_eq!(listing.total, 5);
        assert_eq!(listing.items.iter().map(|revision| revision.number).collect::<Vec<_>>(), expected);
    }
}

async fn listings_filter(store: Arc<dyn Store>, [organization, other]: [OrganizationId; 2]) {
    for (name, kind, search_text) in [
        ("a", EnvironmentKind::Web, "a\nsearches the web"),
        ("b", EnvironmentKind::Mcp, "b\n100% \\ _ élan"),
        ("ab", EnvironmentKind::Web, "ab\nanything"),
    ] {
        let content = Content { search_text: search_text.into(), ..environment("{}", kind) };
        store.add(NewEntry { content, ..entry(organization, name, 0) }).await.unwrap();
    }
    let check = async |filter: EntryFilter, expected: &[&str]| {
        let filter = EntryFilter { limit: 10, ..filter };
        let listing = store.entries(Shelf::Environments, organization, filter.clone()).await.unwrap();
        let names: Vec<_> = listing.items.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((names.as_slice(), listing.total), (expected, expected.len() as u64), "{filter:?}");
    };
    let search = |text: &str| EntryFilter { search: Some(text.into()), ..EntryFilter::default() };
    check(EntryFilter::default(), &["a", "ab", "b"]).await;
    check(EntryFilter { name: Some("a".into()), ..EntryFilter::default() }, &["a"]).await;
    check(EntryFilter { kind: Some(EnvironmentKind::Web), ..EntryFilter::default() }, &["a", "ab"]).await;
    check(EntryFilter { kind: Some(EnvironmentKind::Web), ..search("ANY") }, &["ab"]).await;
    for (text, expected) in [
        ("The Web", &["a"][..]),
        ("0% \\ _", &["b"]),
        ("ÉLAN", &["b"]),
        ("%", &["b"]),
        ("_", &["b"]),
        ("a", &["a", "ab", "b"]),
        ("zzz", &[]),
    ] {
        check(search(text), expected).await;
    }
    check(search(&"x".repeat(100_000)), &[]).await;
    let elsewhere = EntryFilter { limit: 10, ..EntryFilter::default() };
    assert_eq!(store.entries(Shelf::Environments, other, elsewhere).await.unwrap().total, 0);
}

async fn listings_sort_by_bytes_and_page(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    for (name, at) in [("b-1", 1), ("b1", 2), ("a", 2), ("b/1", 3), ("Z", 3)] {
        store.add(entry(organization, name, at)).await.unwrap();
    }
    let check = async |sort: &[(EntryKey, bool)], (offset, limit), expected: &[&str]| {
        let filter = EntryFilter { sort: sort.to_vec(), offset, limit, ..EntryFilter::default() };
        let listing = store.entries(Shelf::Agents, organization, filter).await.unwrap();
        let names: Vec<_> = listing.items.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((names.as_slice(), listing.total), (expected, 5), "{sort:?}");
    };
    let (name, created_at) = (EntryKey::Name, EntryKey::CreatedAt);
    check(&[(name, false)], (0, 10), &["Z", "a", "b-1", "b/1", "b1"]).await;
    check(&[(name, true)], (0, 10), &["b1", "b/1", "b-1", "a", "Z"]).await;
    check(&[(created_at, true)], (0, 10), &["Z", "b/1", "a", "b1", "b-1"]).await;
    check(&[(created_at, false), (name, true)], (0, 10), &["b-1", "b1", "a", "b/1", "Z"]).await;
    check(&[(name, false)], (1, 2), &["a", "b-1"]).await;
    check(&[(name, false)], (4, 2), &["b1"]).await;
    check(&[(name, false)], (9, 2), &[]).await;
}

async fn the_files_of_a_page_are_weighed(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    for (name, size) in [("a", 1), ("b", 10), ("c", 100)] {
        store.add(NewEntry { content: skill("{}", size), ..entry(organization, name, 0) }).await.unwrap();
    }
    for (offset, limit, expected) in [(0, 10, 111), (0, 2, 11), (1, 1, 10), (3, 5, 0)] {
        let filter = EntryFilter { offset, limit, ..EntryFilter::default() };
        assert_eq!(store.files_size(organization, filter).await.unwrap(), expected);
    }
}

async fn specifications_come_back_to_the_letter(store: Arc<dyn Store>, [organization, _]: [OrganizationId; 2]) {
    let spec = r#"{"z": 1, "a":  [1.0, "\u0000", "é", "🦀", "\ud83e"] , "a": null}"#;
    store.add(NewEntry { content: agent(spec), ..entry(organization, "a", 0) }).await.unwrap();
    assert_eq!(store.entry(Shelf::Agents, organization, "a").await.unwrap().unwrap().spec, spec);
    assert_eq!(store.revision(organization, "a", 1).await.unwrap().unwrap().spec, spec);
}

fn fresh() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_268_800 + seconds, 0).unwrap()
}

fn entry(organization: OrganizationId, name: &str, at: i64) -> NewEntry {
    NewEntry { id: fresh(), organization, name: name.into(), content: agent("{}"), note: note("", at) }
}

fn note(message: &str, at: i64) -> Note {
    let message = (!message.is_empty()).then(|| message.to_owned());
    Note { author: UserId(Uuid::from_u128(1)), at: after(at), message, restored_from: None }
}

fn agent(spec: &str) -> Content {
    Content { spec: spec.into(), search_text: String::new(), details: Details::Agent }
}

fn environment(spec: &str, kind: EnvironmentKind) -> Content {
    Content { details: Details::Environment(kind), ..agent(spec) }
}

fn skill(spec: &str, files_size: u64) -> Content {
    Content { details: Details::Skill { files_size }, ..agent(spec) }
}

fn details(shelf: Shelf) -> Details {
    match shelf {
        Shelf::Agents => Details::Agent,
        Shelf::Environments => Details::Environment(EnvironmentKind::Mcp),
        Shelf::Skills => Details::Skill { files_size: 0 },
    }
}
