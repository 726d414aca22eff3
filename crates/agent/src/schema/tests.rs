use super::*;
use quarterdeck_api::patterns::Work as _;
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

fn full() -> Arc<Budget> {
    Arc::new(Budget::full())
}

#[test]
fn every_draft_is_checked_by_its_own_rules() {
    let limits = |draft: &str, limit: Value| json!({"$schema": draft, "properties": {"a": limit}});
    let (number, flag) = (json!({"exclusiveMinimum": 3}), json!({"minimum": 3, "exclusiveMinimum": true}));
    for (draft, limit) in [
        ("http://json-schema.org/draft-04/schema#", flag),
        ("http://json-schema.org/draft-06/schema#", number.clone()),
        ("http://json-schema.org/draft-07/schema#", number.clone()),
        ("https://json-schema.org/draft/2019-09/schema", number.clone()),
        ("https://json-schema.org/draft/2020-12/schema", number),
    ] {
        let schema = schema(limits(draft, limit));
        assert_eq!(schema.faults(&json!({"a": 4})), Vec::<String>::new(), "{draft}");
        assert_eq!(schema.faults(&json!({"a": 3})).len(), 1, "{draft}");
    }
}

#[test]
fn references_of_every_kind_are_followed_and_may_go_round_in_circles() {
    let list = |reference: Value| json!({"properties": {"next": reference, "value": {"type": "integer"}}});
    let by = |reference: &str| list(json!({"$ref": reference}));
    for schema in [
        by("#"),
        json!({"$ref": "#/$defs/list", "$defs": {"list": by("#/$defs/list")}}),
        json!({"$ref": "#/$defs/a%20list", "$defs": {"a list": by("#/$defs/a%20list")}}),
        json!({"$ref": "#list", "$defs": {"list": with(by("#list"), "$anchor", "list")}}),
        json!({"$ref": "list", "$defs": {"list": with(by("#"), "$id", "list")}}),
        json!({"$id": "https://example.com/a/root", "$ref": "list", "$defs": {
            "list": with(by("/a/list"), "$id", "https://example.com/a/list"),
        }}),
        json!({"$ref": "#list", "$defs": {
            "list": with(list(json!({"$dynamicRef": "#list"})), "$dynamicAnchor", "list"),
        }}),
        json!({
            "$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": true,
            "properties": {"next": {"$recursiveRef": "#"}, "value": {"type": "integer"}},
        }),
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#list",
            "definitions": {"list": with(by("#list"), "$id", "#list")},
        }),
        json!({
            "$schema": "http://json-schema.org/draft-04/schema#", "$ref": "list",
            "definitions": {"list": with(by("#"), "id", "list")},
        }),
    ] {
        let checked = self::schema(schema.clone());
        assert_eq!(checked.faults(&chained(90, &json!({"value": 1}))), Vec::<String>::new(), "{schema}");
        let faults = checked.faults(&chained(90, &json!({"value": "x"})));
        assert!(
            faults.len() == 1 && faults[0].ends_with("/next/value: \"x\" is not of type \"integer\""),
            "{faults:?}"
        );
    }
}

#[test]
fn trees_and_unions_of_them_are_checked_in_full() {
    let branch = |kind: &str| {
        let properties = json!({"kind": {"const": kind}, "left": {"$ref": "#"}, "right": {"$ref": "#"}});
        json!({"type": "object", "properties": properties, "required": ["kind"]})
    };
    let tree = schema(json!({"anyOf": [{"type": "integer"}, branch("add"), branch("times")]}));
    let grown = |leaf: Value| (0..8).fold(leaf, |inner, _| json!({"kind": "times", "left": inner, "right": inner}));
    assert_eq!(tree.faults(&grown(json!(7))), Vec::<String>::new());
    assert_eq!(tree.faults(&grown(json!("x"))).len(), 1);
}

#[test]
fn meta_schemas_can_be_referred_to() {
    for draft in ["http://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema"] {
        let schema = schema(json!({"$schema": draft, "$ref": draft}));
        assert!(schema.is_satisfied_by(&json!({"properties": {"a": {"type": "string"}}})), "{draft}");
        assert!(!schema.is_satisfied_by(&json!({"properties": {"a": {"type": "text"}}})), "{draft}");
    }
}

#[test]
fn a_chain_of_references_that_would_overflow_the_stack_is_refused() {
    assert!(Schema::of(&chain(100, |next| next), full()).is_ok());
    check_refused(&chain(20_000, |next| next), "apply others to the same value more than 256 deep");
    check_refused(&chain(300, |next| json!({"if": next})), "apply others to the same value more than 256 deep");
}

#[test]
fn a_schema_that_doubles_with_every_line_is_refused() {
    for twice in ["allOf", "anyOf", "oneOf"] {
        assert!(Schema::of(&chain(9, |next| json!({twice: [next, next]})), full()).is_ok());
        check_refused(&chain(23, |next| json!({twice: [next, next]})), "applies more than 10000 schemas");
    }
}

#[test]
fn a_schema_that_leads_back_to_the_same_value_is_refused() {
    check_refused(&json!({"allOf": [{"$ref": "#"}]}), "applies itself to the same value, without end");
    check_refused(
        &json!({"$ref": "#/x", "x": {"not": {"$ref": "#"}}}),
        "applies itself to the same value, without end",
    );
}

#[test]
fn what_doubles_with_the_depth_of_the_value_is_checked_and_its_faults_are_not_listed() {
    let again = json!({"properties": {"next": {"$ref": "#"}}});
    let doubling = schema(json!({"allOf": [again, again], "properties": {"value": {"type": "integer"}}}));
    let began = Instant::now();
    assert!(doubling.is_satisfied_by(&chained(90, &json!({"value": 1}))));
    assert_eq!(doubling.faults(&chained(90, &json!({"value": "x"}))), ["it does not satisfy the schema"]);
    assert_eq!(doubling.faults(&chained(3, &json!({"value": "x"}))).len(), 8);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn a_value_that_would_overflow_the_stack_is_refused() {
    let deep = (0..20).fold(json!({"properties": {"next": {"$ref": "#"}}}), |inner, _| json!({"allOf": [inner]}));
    let deep = schema(deep);
    assert_eq!(deep.faults(&chained(40, &json!({}))), Vec::<String>::new());
    let faults = deep.faults(&chained(90, &json!({})));
    assert!(faults[0].starts_with("it is nested too deeply"), "{faults:?}");
}

#[test]
fn a_value_that_takes_too_many_checks_is_refused() {
    let unions = json!({"anyOf": vec![json!({"properties": {"b": {}}}); 5_000], "unevaluatedProperties": true});
    let unions = schema(json!({"items": unions}));
    let faults = unions.faults(&json!(vec![json!({"b": 1}); 2_000]));
    assert_eq!(faults, ["it takes too much work to be checked against the schema"]);
}

#[test]
fn a_schema_that_is_too_large_or_too_deep_is_refused() {
    check_refused(&json!({"description": "x".repeat(SIZE_MAX_BYTES)}), "is larger than 1048576 bytes");
    let nested = (0..=DEPTH_MAX).fold(json!({}), |inner, _| json!({"not": inner}));
    check_refused(&nested, "is nested more than 100 levels deep");
}

#[tokio::test]
async fn what_runs_off_the_workers_leaves_them_free_and_stops_when_nobody_waits() {
    let stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopped);
    let endless = off_the_workers(true, move |budget| {
        while budget.take(0) {}
        told.store(true, Ordering::Relaxed);
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
    let ended = async {
        while !stopped.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it stops");
}

#[tokio::test]
async fn what_panics_off_the_workers_panics_where_it_is_waited_for() {
    let broken = tokio::spawn(off_the_workers(false, |_| panic!("broken"))).await;
    assert!(broken.unwrap_err().is_panic());
}

#[tokio::test]
async fn what_a_small_budget_does_not_suffice_for_is_done_again_with_the_full_one() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let enough = off_the_workers(false, move |budget| {
        counted.fetch_add(1, Ordering::Relaxed);
        budget.take(50_000_000)
    });
    assert!(enough.await);
    assert_eq!(tries.load(Ordering::Relaxed), 2);
}

#[test]
fn a_pattern_that_goes_back_and_forth_ends_with_the_budget() {
    let pattern = r"^(?:(a|aa)+\1c|a+bc)$";
    let texts = json!({"items": {"pattern": pattern}});
    let value = json!(vec!["a".repeat(60); 2_000]);
    let began = Instant::now();
    assert_eq!(schema(texts).faults(&value), ["it takes too much work to be checked against the schema"]);
    let denied = schema(json!({"items": {"not": {"pattern": pattern}}}));
    assert!(!denied.is_satisfied_by(&value), "what could not be found out is no answer");
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn what_is_compared_and_read_counts() {
    let objects: Vec<Value> = (0..20_000).map(|number| json!({"a": number})).collect();
    let names: Vec<String> = (0..20_000).map(|number| format!("n{number}")).collect();
    let properties: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
    let empty = json!(vec![json!({}); 20_000]);
    for (costly, value) in [
        (json!({"items": {"enum": objects}}), json!(vec![json!({"a": -1}); 20_000])),
        (json!({"items": {"not": {"const": objects}}}), json!(vec![1; 20_000])),
        (json!({"items": {"not": {"required": names}}}), empty.clone()),
        (json!({"items": {"properties": properties}}), empty),
        (json!({"allOf": vec![json!({"minLength": 1}); 5_000]}), json!("x".repeat(1 << 20))),
        (json!({"items": {"patternProperties": {"^(a|aa)+b$": {}}}}), json!(vec![json!({"aaaa": 1}); 60_000])),
    ] {
        let begin: String = costly.to_string().chars().take(80).collect();
        let faults = schema(costly).faults(&value);
        assert_eq!(faults, ["it takes too much work to be checked against the schema"], "{begin}");
    }
}

#[test]
fn patterns_are_pythons_at_the_check_as_at_the_door() {
    let schema = schema(json!({"pattern": r"\Aa{,3}\Z"}));
    assert!(schema.is_satisfied_by(&json!("aaa")));
    assert_eq!(schema.faults(&json!("aaaa")), [r#"at /: "aaaa" does not match "\\Aa{,3}\\Z""#]);
    check_refused(&json!({"pattern": "[a-z]{100000}"}), "lighter regular expressions");
    let many: Vec<Value> = (0..600).map(|number| json!({"pattern": format!("[a-z]{{{number}}}")})).collect();
    check_refused(&json!({"anyOf": many}), "lighter regular expressions");
}

/// `a0`, which leads to `a1`, and so on, to a last one that asks for a text.
fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
    let linked = |place: usize| link(json!({"$ref": format!("#/$defs/a{}", place + 1)}));
    let mut schemas: serde_json::Map<String, Value> =
        (0..length).map(|place| (format!("a{place}"), linked(place))).collect();
    schemas.insert(format!("a{length}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/a0", "$defs": schemas})
}

fn chained(depth: usize, last: &Value) -> Value {
    (0..depth).fold(last.clone(), |inner, _| json!({"next": inner}))
}

fn with(mut schema: Value, keyword: &str, value: &str) -> Value {
    schema[keyword] = value.into();
    schema
}

#[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
fn schema(schema: Value) -> Schema {
    Schema::of(&schema, full()).unwrap()
}

fn check_refused(schema: &Value, expected: &str) {
    let refused = Schema::of(schema, full()).err().unwrap();
    assert!(refused.contains(expected), "{refused}");
}
