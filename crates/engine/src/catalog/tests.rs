//! The catalogs as their callers know them, over a store in memory.

use super::{BuiltIn, Catalog, CatalogError, Found, Item, ResolveError};
use crate::SystemClock;
use quarterdeck_api::{
    Agent, Environment, IfMatch, OrganizationId, PatchAgent, PatchEnvironment, Reference, Skill, UserId, decode_json,
};
use quarterdeck_store::{
    Caller, Content, Entry, EntryFilter, EntryKey, Error, KeyHash, ListPage, NewEntry, NewKey, Note, Revision, Shelf,
    Store, Version,
};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// The agents that are built in, by name.
const BUILT_IN: [&str; 6] = [
    "h/deep-search-pro",
    "h/web-scraper-flash",
    "h/web-scraper-pro",
    "h/web-surfer-flash",
    "h/web-surfer-holo3-1-35b",
    "h/web-surfer-pro",
];

async fn catalog() -> (Catalog, [Caller; 2]) {
    let store = quarterdeck_store::open("sqlite::memory:").await.unwrap();
    let callers = [caller(&*store, 1).await, caller(&*store, 2).await];
    (Catalog::new(store, Arc::new(SystemClock), Arc::default()), callers)
}

async fn caller(store: &dyn Store, number: u8) -> Caller {
    let ids = [1, 2, 3].map(|kind| Uuid::from_u128(u128::from(number) * 10 + kind));
    let hash = KeyHash([number; 32]);
    let (organization, user) = (format!("organization {number}"), "somebody".into());
    let created_at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    store.create_key(NewKey { ids, organization, user, hash, prefix: "hk-".into(), created_at }).await.unwrap();
    store.caller(hash).await.unwrap().unwrap()
}

fn spec(name: &str, changes: &Value) -> Agent {
    let mut spec =
        json!({"name": name, "description": format!("The agent {name}."), "environments": ["h/web-environment"]});
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    decode_json(&spec).unwrap()
}

fn agent(name: &str) -> Agent {
    spec(name, &json!({}))
}

fn delegating(name: &str, subagents: &[&str]) -> Agent {
    spec(name, &json!({"environments": [], "subagents": subagents}))
}

async fn add(catalog: &Catalog, caller: Caller, agents: impl IntoIterator<Item = Agent>) {
    for agent in agents {
        catalog.create(caller, agent, None).await.unwrap();
    }
}

async fn full(catalog: &Catalog, caller: Caller, name: &str) -> Result<Value, CatalogError> {
    Ok(serde_json::to_value(catalog.resolved_agent(caller, name, None).await?).unwrap())
}

#[tokio::test]
async fn what_changes_nothing_makes_no_revision() {
    let (catalog, [caller, _]) = catalog().await;
    add(&catalog, caller, [agent("a")]).await;
    let same = catalog.put(caller, "a", agent("a"), IfMatch::Any, Some("same".into())).await.unwrap();
    let nothing = catalog.patch::<Agent>(caller, "a", &PatchAgent::default(), IfMatch::Any, None).await.unwrap();
    let current = catalog.restore(caller, "a", 1, IfMatch::Any).await.unwrap();
    assert_eq!([same.revision, nothing.revision, current.revision], [1, 1, 1]);
    assert_eq!(catalog.revisions(Some(caller), "a", true, 0, 10).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_restored_revision_says_where_it_came_from() {
    let (catalog, [caller, _]) = catalog().await;
    catalog.create(caller, agent("a"), Some("first".into())).await.unwrap();
    let other = spec("a", &json!({"instructions": "Be brief."}));
    catalog.put(caller, "a", other, IfMatch::Revision(1), Some("second".into())).await.unwrap();
    let restored = catalog.restore(caller, "a", 1, IfMatch::Revision(2)).await.unwrap();
    assert_eq!((restored.revision, restored.item), (3, agent("a")));
    let revisions = catalog.revisions(Some(caller), "a", false, 0, 10).await.unwrap().items;
    let told: Vec<_> = revisions.iter().map(|r| (r.number, r.message.as_deref(), r.restored_from)).collect();
    assert_eq!(told, [(1, Some("first"), None), (2, Some("second"), None), (3, Some("Restored from v1"), Some(1))]);
    assert!(revisions.iter().all(|revision| revision.created_by == Some(caller.user)));
    let unknown = catalog.restore(caller, "a", 9, IfMatch::Any).await.unwrap_err();
    assert!(matches!(unknown, CatalogError::NoRevision { number: 9, .. }));
}

#[tokio::test]
async fn a_change_is_refused_as_missing_then_reserved_then_stale() {
    let (catalog, [caller, other]) = catalog().await;
    add(&catalog, caller, [agent("a")]).await;
    let stale = IfMatch::Revision(7);
    let missing = catalog.delete::<Agent>(other, "a", stale).await.unwrap_err();
    assert!(matches!(missing, CatalogError::NotFound { .. }), "{missing}");
    let built_in = catalog.put(caller, "h/web-surfer-pro", agent("h/web-surfer-pro"), stale, None).await.unwrap_err();
    assert!(matches!(built_in, CatalogError::Reserved { .. }), "{built_in}");
    let unknown = catalog.put(caller, "h/other", agent("h/other"), stale, None).await.unwrap_err();
    assert!(matches!(unknown, CatalogError::NotFound { .. }), "{unknown}");
    let moved = catalog.delete::<Agent>(caller, "a", stale).await.unwrap_err();
    assert!(matches!(moved, CatalogError::Stale { current: 1, .. }), "{moved}");
    let misnamed = catalog.put(caller, "nowhere", agent("a"), stale, None).await.unwrap_err();
    assert!(matches!(misnamed, CatalogError::Misnamed { .. }), "{misnamed}");
}

#[tokio::test]
async fn names_that_may_not_be_stored_are_refused() {
    let (catalog, [caller, _]) = catalog().await;
    for name in ["h/mine", "h/web-surfer-pro"] {
        let reserved = catalog.create(caller, agent(name), None).await.unwrap_err();
        assert!(matches!(reserved, CatalogError::Reserved { .. }), "{reserved}");
    }
    let revisions = catalog.create(caller, agent("ns/revisions"), None).await.unwrap_err();
    assert!(matches!(revisions, CatalogError::Invalid(problem) if problem.status == 422));
    add(&catalog, caller, [agent("revisions"), agent("revisions/ns")]).await;
    for (length, stored) in [(1_024, true), (1_025, false)] {
        let spec = json!({"kind": "web", "id": "x".repeat(length)});
        let outcome = catalog.create::<Environment>(caller, decode_json(&spec).unwrap(), None).await;
        assert_eq!(outcome.is_ok(), stored);
    }
    assert!(matches!(catalog.get::<Environment>(Some(caller), "a\0b").await, Err(CatalogError::NotFound { .. })));
}

#[tokio::test]
async fn of_writers_with_the_same_condition_one_wins() {
    let (catalog, [caller, _]) = catalog().await;
    add(&catalog, caller, [agent("a")]).await;
    let writers = (0..16).map(|number| {
        let catalog = catalog.clone();
        let changed = spec("a", &json!({"instructions": format!("{number}")}));
        tokio::spawn(async move { catalog.put(caller, "a", changed, IfMatch::Revision(1), None).await })
    });
    let outcomes = futures_util::future::join_all(writers).await;
    let stale =
        |outcome: &Result<Found<Agent>, CatalogError>| matches!(outcome, Err(CatalogError::Stale { current: 2, .. }));
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((won.len(), lost.iter().filter(|lost| stale(lost)).count()), (1, 15));
}

#[tokio::test]
async fn writers_without_a_condition_all_win() {
    let (catalog, [caller, _]) = catalog().await;
    add(&catalog, caller, [agent("a")]).await;
    let writers = (0..8).map(|number| {
        let catalog = catalog.clone();
        let patch: PatchAgent = decode_json(&json!({"instructions": format!("{number}")})).unwrap();
        tokio::spawn(async move { catalog.patch::<Agent>(caller, "a", &patch, IfMatch::Any, None).await })
    });
    let outcomes = futures_util::future::join_all(writers).await;
    let mut revisions: Vec<i64> = outcomes.into_iter().map(|outcome| outcome.unwrap().unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn secrets_are_kept_when_written_back_masked_and_never_shown() {
    let (catalog, [caller, _]) = catalog().await;
    let servers =
        json!([{"name": "s", "transport": "sse", "url": "https://s", "headers": {"Authorization": "secret"}}]);
    let environment: Environment = decode_json(&json!({"kind": "mcp", "id": "m", "servers": servers})).unwrap();
    let shown = catalog.create(caller, environment.clone(), None).await.unwrap().item;
    assert_eq!(shown, environment.masked());
    assert_eq!(catalog.put(caller, "m", shown, IfMatch::Any, None).await.unwrap().revision, 1);
    let servers = serde_json::to_value(environment.masked()).unwrap()["servers"].clone();
    let patch: PatchEnvironment = decode_json(&json!({"servers": servers, "settle_s": 3})).unwrap();
    assert_eq!(catalog.patch::<Environment>(caller, "m", &patch, IfMatch::Any, None).await.unwrap().revision, 1);
    add(&catalog, caller, [spec("a", &json!({"environments": ["m"]}))]).await;
    let named = catalog.named_agent(caller.organization, "a").await.unwrap().agent;
    assert_eq!(named.environments, [Reference::Inline(Box::new(environment))], "a session has the secret");
    let shown = full(&catalog, caller, "a").await.unwrap();
    assert_eq!(shown["environments"][0]["servers"][0]["headers"]["Authorization"], "***");
}

#[tokio::test]
async fn listings_hold_what_is_built_in_and_what_the_organization_stored() {
    let (catalog, [caller, other]) = catalog().await;
    add(&catalog, caller, [agent("b"), agent("z")]).await;
    add(&catalog, other, [agent("c")]).await;
    let names = async |caller: Option<Caller>, reserved: Option<bool>, filter: EntryFilter| {
        let filter = EntryFilter { limit: filter.limit.max(1), ..filter };
        let ListPage { items, total } = catalog.list::<Agent>(caller, reserved, filter).await.unwrap();
        (items.into_iter().map(|found| found.item.name).collect::<Vec<_>>().join(" "), total)
    };
    let by_name = EntryFilter { sort: vec![(EntryKey::Name, false)], limit: 10, ..EntryFilter::default() };
    let newest = EntryFilter { sort: vec![(EntryKey::CreatedAt, true)], ..by_name.clone() };
    let searched = |text: &str| EntryFilter { search: Some(text.into()), ..by_name.clone() };
    let check = async |caller, reserved, filter, expected: &str, total| {
        assert_eq!(names(caller, reserved, filter).await, (expected.to_owned(), total));
    };
    let built_in = BUILT_IN.join(" ");
    check(Some(caller), None, by_name.clone(), &format!("b {built_in} z"), 8).await;
    check(Some(caller), None, newest, &format!("z b {built_in}"), 8).await;
    check(Some(caller), None, EntryFilter { offset: 6, limit: 2, ..by_name.clone() }, "h/web-surfer-pro z", 8).await;
    check(Some(caller), Some(false), by_name.clone(), "b z", 2).await;
    check(Some(caller), Some(true), by_name.clone(), &built_in, 6).await;
    check(None, None, by_name.clone(), &built_in, 6).await;
    check(None, Some(false), by_name.clone(), "", 0).await;
    check(Some(caller), None, searched("QUICK"), "h/web-surfer-flash", 1).await;
    check(Some(caller), None, searched("agent B"), "b", 1).await;
    check(Some(caller), None, searched("agent\0 b"), "b", 1).await;
    check(Some(other), None, EntryFilter { name: Some("b".into()), ..by_name }, "", 0).await;
}

#[tokio::test]
async fn an_entry_of_ones_own_stands_before_the_servers_by_the_same_name() {
    let (catalog, [caller, other]) = catalog().await;
    let desktop = |changes: Value| -> Environment {
        let mut spec = json!({"kind": "desktop", "id": "desktop"});
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        decode_json(&spec).unwrap()
    };
    let listed = async |caller: Option<Caller>| {
        let filter = EntryFilter { name: Some("desktop".into()), limit: 10, ..EntryFilter::default() };
        let ListPage { items, total } = catalog.list::<Environment>(caller, None, filter).await.unwrap();
        (items.into_iter().map(|found| found.item).collect::<Vec<_>>(), total)
    };
    let (ours, theirs) = (desktop(json!({})), desktop(json!({"settle_s": 3})));
    assert_eq!(listed(Some(caller)).await, (vec![ours.clone()], 1));
    assert_eq!(listed(None).await, (vec![], 0), "anonymous readers see reserved names only");
    assert!(matches!(catalog.get::<Environment>(None, "desktop").await, Err(CatalogError::NotFound { .. })));
    let fixed = catalog.delete::<Environment>(caller, "desktop", IfMatch::Any).await.unwrap_err();
    assert!(matches!(fixed, CatalogError::Reserved { .. }), "{fixed}");

    catalog.create(caller, theirs.clone(), None).await.unwrap();
    assert_eq!(listed(Some(caller)).await, (vec![theirs.clone()], 1));
    assert_eq!(catalog.get::<Environment>(Some(caller), "desktop").await.unwrap().item, theirs);
    assert_eq!(listed(Some(other)).await, (vec![ours.clone()], 1));
    let whole = catalog.expanded(caller.organization, &spec("a", &json!({"environments": ["desktop"]})), None).await;
    assert_eq!(whole.unwrap().environments, [Reference::Inline(Box::new(theirs))]);

    catalog.delete::<Environment>(caller, "desktop", IfMatch::Any).await.unwrap();
    assert_eq!(catalog.get::<Environment>(Some(caller), "desktop").await.unwrap().item, ours);
}

#[tokio::test]
async fn a_page_of_skills_with_too_many_files_is_refused() {
    let (catalog, [caller, _]) = catalog().await;
    let file = "A".repeat(2 * 1024 * 1024);
    for name in ["a", "b"] {
        let files = json!({"one": file, "two": file});
        let skill = json!({"name": name, "description": "d", "body": "b", "files": files});
        catalog.create::<Skill>(caller, decode_json(&skill).unwrap(), None).await.unwrap();
    }
    let page = |limit| EntryFilter { limit, ..EntryFilter::default() };
    let stored = Some(false);
    assert_eq!(catalog.list::<Skill>(Some(caller), stored, page(2)).await.unwrap().items.len(), 2);
    let skill = json!({"name": "c", "description": "d", "body": "b", "files": {"one": "AAAA"}});
    catalog.create::<Skill>(caller, decode_json(&skill).unwrap(), None).await.unwrap();
    assert!(matches!(
        catalog.list::<Skill>(Some(caller), stored, page(3)).await,
        Err(CatalogError::TooLarge("helper files"))
    ));
    assert_eq!(catalog.list::<Skill>(Some(caller), stored, page(1)).await.unwrap().total, 3);
}

#[tokio::test]
async fn a_page_that_is_too_large_together_is_refused_on_every_shelf() {
    let (catalog, [caller, _]) = catalog().await;
    let text = "x".repeat(8 * 1024 * 1024);
    for name in ["a", "b", "c", "d"] {
        catalog.create(caller, spec(name, &json!({"instructions": text})), None).await.unwrap();
        let environment =
            json!({"kind": "mcp", "id": name, "servers": [{"name": text, "transport": "stdio", "command": "x"}]});
        catalog.create::<Environment>(caller, decode_json(&environment).unwrap(), None).await.unwrap();
        let skill = json!({"name": name, "description": "d", "body": text});
        catalog.create::<Skill>(caller, decode_json(&skill).unwrap(), None).await.unwrap();
    }
    let page = |limit| EntryFilter { limit, name: None, ..EntryFilter::default() };
    let stored = Some(false);
    let too_large = |refused| assert!(matches!(refused, Some(CatalogError::TooLarge("entries"))), "{refused:?}");
    too_large(catalog.list::<Agent>(Some(caller), stored, page(1_000)).await.err());
    too_large(catalog.list::<Environment>(Some(caller), stored, page(1_000)).await.err());
    too_large(catalog.list::<Skill>(Some(caller), stored, page(1_000)).await.err());
    let three = catalog.list::<Agent>(Some(caller), stored, page(3)).await.unwrap();
    assert_eq!((three.items.len(), three.total), (3, 4));
}

#[tokio::test]
async fn a_page_of_one_is_given_however_large() {
    let (catalog, [caller, _]) = catalog().await;
    let text = "x".repeat(20 * 1024 * 1024);
    add(&catalog, caller, ["a", "b"].map(|name| spec(name, &json!({"instructions": text})))).await;
    let page = |offset| EntryFilter { offset, limit: 1, sort: vec![(EntryKey::Name, false)], ..EntryFilter::default() };
    for (offset, name) in [(0, "a"), (1, "b"), (2, BUILT_IN[0])] {
        let listing = catalog.list::<Agent>(Some(caller), None, page(offset)).await.unwrap();
        assert_eq!((listing.items[0].item.name.as_str(), listing.total), (name, 8));
    }
}

#[tokio::test]
async fn a_page_of_many_is_whole_and_in_order() {
    let (catalog, [caller, _]) = catalog().await;
    let all: Vec<String> = (10..50).map(|number| format!("n{number}")).collect();
    add(&catalog, caller, all.iter().map(|name| agent(name))).await;
    for (offset, limit) in [(0, 7), (0, 8), (0, 9), (3, 16), (3, 17), (30, 1_000), (40, 5), (0, 40), (0, i64::MAX)] {
        let filter = EntryFilter { offset, limit, sort: vec![(EntryKey::Name, false)], ..EntryFilter::default() };
        let listing = catalog.list::<Agent>(Some(caller), Some(false), filter).await.unwrap();
        let names: Vec<String> = listing.items.into_iter().map(|found| found.item.name).collect();
        let wanted = all.iter().skip(usize::try_from(offset).unwrap()).take(usize::try_from(limit).unwrap());
        assert_eq!((names, listing.total), (wanted.cloned().collect(), 40), "{offset} {limit}");
    }
}

#[tokio::test]
async fn an_agent_is_given_with_everything_it_names() {
    let (catalog, [caller, _]) = catalog().await;
    let desktop = json!({"kind": "desktop", "id": "d:1"});
    catalog.create::<Environment>(caller, decode_json(&desktop).unwrap(), None).await.unwrap();
    let skill = json!({"name": "s", "description": "d", "body": "Steps.", "files": {"f": "aGk="}});
    catalog.create::<Skill>(caller, decode_json(&skill).unwrap(), None).await.unwrap();
    let leaf = spec("leaf", &json!({"environments": ["d:1"], "skills": ["s"]}));
    let middle = spec(
        "middle",
        &json!({"environments": [], "subagents": ["leaf:1", {
        "name": "inner", "description": "d", "environments": [], "subagents": ["h/web-surfer-flash:1"]}]}),
    );
    add(&catalog, caller, [leaf, middle, spec("root", &json!({"subagents": ["middle"], "skills": ["s"]}))]).await;
    catalog.put(caller, "leaf", agent("leaf"), IfMatch::Any, None).await.unwrap();

    let root = full(&catalog, caller, "root").await.unwrap();
    let middle = &root["subagents"][0];
    assert_eq!(root["environments"][0]["id"], "h/web-environment");
    assert_eq!(root["skills"][0]["files"]["f"], "aGk=");
    assert_eq!(middle["subagents"][0]["environments"][0]["id"], "d:1", "the pinned revision");
    assert_eq!(middle["subagents"][0]["skills"][0]["body"], "Steps.");
    assert_eq!(middle["subagents"][1]["subagents"][0]["name"], "h/web-surfer-flash");
}

#[tokio::test]
async fn a_pin_names_a_revision_and_the_revision_is_told() {
    let (catalog, [caller, other]) = catalog().await;
    add(&catalog, caller, [agent("a")]).await;
    let second = spec("a", &json!({"instructions": "Second."}));
    catalog.put(caller, "a", second, IfMatch::Any, None).await.unwrap();
    for (reference, revision, instructions) in
        [("a", 2, Some("Second.")), ("a:1", 1, None), ("a:2", 2, Some("Second."))]
    {
        let named = catalog.named_agent(caller.organization, reference).await.unwrap();
        assert_eq!((named.revision, named.agent.instructions.as_deref()), (revision, instructions));
        assert_eq!(named.name, reference.split(':').next().unwrap());
    }
    let built_in = catalog.named_agent(caller.organization, "h/web-surfer-pro:1").await.unwrap();
    assert_eq!((built_in.revision, built_in.name.as_str()), (1, "h/web-surfer-pro"));
    for reference in
        ["a:3", "a:0", "a:-1", "a:", "a:x", "a:1:1", "a:+1", "b", "h/web-surfer-pro:2", "h/x", "a\0", "a\0:1"]
    {
        let unknown = catalog.named_agent(caller.organization, reference).await.err();
        assert!(matches!(unknown, Some(ResolveError::Unknown(_))), "{reference}");
    }
    assert!(catalog.named_agent(other.organization, "a").await.is_err());
}

#[tokio::test]
async fn unknown_names_are_all_told() {
    let (catalog, [caller, _]) = catalog().await;
    let lost = json!({"environments": ["e"], "skills": ["s"], "subagents": ["b", "b"]});
    add(&catalog, caller, [spec("a", &lost)]).await;
    let told = full(&catalog, caller, "a").await.unwrap_err().to_string();
    for text in ["no environment named \"e\"", "no skill named \"s\"", "no agent named \"b\""] {
        assert_eq!(told.matches(text).count(), 1, "{told}");
    }
}

#[tokio::test]
async fn an_agent_may_not_be_its_own_subagent() {
    let (catalog, [caller, _]) = catalog().await;
    let cycle = [delegating("a", &["b"]), delegating("b", &["c"]), delegating("c", &["a"]), delegating("d", &["d"])];
    add(&catalog, caller, cycle).await;
    for name in ["a", "b", "c", "d"] {
        let refused = full(&catalog, caller, name).await.unwrap_err();
        assert!(matches!(refused, CatalogError::Unresolved(ResolveError::Cycle(_))), "{refused}");
    }
    let inline = delegating("x", &["a"]);
    assert!(matches!(catalog.expanded(caller.organization, &inline, None).await, Err(ResolveError::Cycle(_))));
    catalog.put(caller, "d", delegating("d", &["d:3"]), IfMatch::Any, None).await.unwrap();
    catalog.put(caller, "d", agent("d"), IfMatch::Any, None).await.unwrap();
    let past = catalog.resolved_agent(caller, "d", Some(2)).await.unwrap();
    assert_eq!(
        past.subagents,
        Some(vec![Reference::Inline(Box::new(full_leaf()))]),
        "another revision is another agent"
    );
}

fn full_leaf() -> Agent {
    let web = Environment::built_in(&BuiltIn::default())[1].clone();
    Agent { environments: vec![Reference::Inline(Box::new(web))], ..agent("d") }
}

#[tokio::test]
async fn subagents_may_be_nested_sixteen_deep() {
    let (catalog, [caller, _]) = catalog().await;
    add(&catalog, caller, [agent("a17")]).await;
    for depth in (0..17).rev() {
        add(&catalog, caller, [delegating(&format!("a{depth}"), &[&format!("a{}", depth + 1)])]).await;
    }
    assert!(full(&catalog, caller, "a1").await.is_ok());
    let refused = full(&catalog, caller, "a0").await.unwrap_err();
    assert!(matches!(refused, CatalogError::Unresolved(ResolveError::TooDeep(16))), "{refused}");
}

#[tokio::test]
async fn names_that_multiply_are_stopped() {
    let (catalog, [caller, _]) = catalog().await;
    add(&catalog, caller, [agent("a8")]).await;
    for depth in (0..8).rev() {
        let below = format!("a{}", depth + 1);
        add(&catalog, caller, [delegating(&format!("a{depth}"), &[below.as_str(); 50])]).await;
    }
    let refused = full(&catalog, caller, "a0").await.unwrap_err();
    assert!(matches!(refused, CatalogError::Unresolved(ResolveError::TooLarge(_))), "{refused}");
    let many: Vec<String> = (0..300).map(|number| format!("n{number}")).collect();
    let many = delegating("many", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(catalog.expanded(caller.organization, &many, None).await, Err(ResolveError::TooMany)));
}

#[tokio::test]
async fn what_breaks_a_rule_only_in_full_is_refused() {
    let (catalog, [caller, _]) = catalog().await;
    let web = json!({"kind": "web", "id": "w"});
    catalog.create::<Environment>(caller, decode_json(&web).unwrap(), None).await.unwrap();
    add(&catalog, caller, [spec("a", &json!({"environments": ["w", "h/web-environment"]}))]).await;
    let refused = full(&catalog, caller, "a").await.unwrap_err();
    assert!(matches!(refused, CatalogError::Unresolved(ResolveError::Invalid(_))), "{refused}");
}

#[tokio::test]
async fn what_names_nothing_stored_never_asks_the_store() {
    let catalog = Catalog::new(Arc::new(NoStore), Arc::new(SystemClock), Arc::default());
    let organization = OrganizationId(Uuid::nil());
    let inline = spec("a", &json!({"environments": [{"kind": "web", "id": "w"}]}));
    assert_eq!(catalog.expanded(organization, &inline, None).await.unwrap(), inline);
    assert_eq!(catalog.named_agent(organization, "h/web-surfer-flash").await.unwrap().revision, 1);
    let built_in = spec("a", &json!({"subagents": ["h/web-surfer-pro"]}));
    assert!(catalog.expanded(organization, &built_in, None).await.is_ok());
    let nobody = Caller { organization, user: UserId(Uuid::nil()) };
    assert!(catalog.get::<Agent>(Some(nobody), "h/web-surfer-pro").await.is_ok());
    assert!(catalog.list::<Agent>(None, None, EntryFilter::default()).await.is_ok());
}

/// A store that nobody may ask.
struct NoStore;

#[async_trait::async_trait]
impl quarterdeck_store::Catalog for NoStore {
    async fn add(&self, _: NewEntry) -> Result<bool, Error> {
        unreachable!()
    }
    async fn change(&self, _: Version, _: Content, _: Note) -> Result<bool, Error> {
        unreachable!()
    }
    async fn remove(&self, _: Shelf, _: Version) -> Result<bool, Error> {
        unreachable!()
    }
    async fn entry(&self, _: Shelf, _: OrganizationId, _: &str) -> Result<Option<Entry>, Error> {
        unreachable!()
    }
    async fn entries(&self, _: Shelf, _: OrganizationId, _: EntryFilter) -> Result<ListPage<Entry>, Error> {
        unreachable!()
    }
    async fn files_size(&self, _: OrganizationId, _: EntryFilter) -> Result<u64, Error> {
        unreachable!()
    }
    async fn revision(&self, _: OrganizationId, _: &str, _: i64) -> Result<Option<Entry>, Error> {
        unreachable!()
    }
    async fn revisions(&self, _: Uuid, _: bool, _: i64, _: i64) -> Result<ListPage<Revision>, Error> {
        unreachable!()
    }
}
