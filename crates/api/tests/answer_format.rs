//! A top-level `answer_format` of a creation counts as if it stood in the agent.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use quarterdeck_api::{LocationPart, Problem, Reference, SessionRequest, decode_json};
use serde_json::{Value, json};

fn decode(changes: &Value) -> Result<SessionRequest, Problem> {
    let mut request = json!({"agent": "h/web-surfer-pro", "messages": "Go."});
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    decode_json(&request)
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"price": {"type": "number"}}})
}

fn inline(format: &Value) -> Value {
    json!({"name": "a", "description": "d", "environments": ["h/browser"], "answer_format": format})
}

#[test]
fn a_named_agent_is_overridden_with_it() {
    let request = decode(&json!({"answer_format": schema()})).unwrap();
    assert_eq!(Value::from(request.overrides), json!({"agent.answer_format": schema()}));
    assert!(decode(&json!({"answer_format": null})).unwrap().overrides.is_empty());
}

#[test]
fn an_inline_agent_takes_it_over() {
    for own in [Value::Null, schema()] {
        let request = decode(&json!({"agent": inline(&own), "answer_format": schema()})).unwrap();
        let Reference::Inline(agent) = request.agent else { panic!("{request:?}") };
        assert_eq!(agent.answer_format.map(Value::from), Some(schema()));
        assert!(request.overrides.is_empty());
    }
}

#[test]
fn what_says_the_same_twice_is_no_conflict() {
    let overrides = json!({"agent.answer_format": schema()});
    let request = decode(&json!({"answer_format": schema(), "overrides": overrides})).unwrap();
    assert_eq!(Value::from(request.overrides), overrides);
}

#[test]
fn a_conflict_is_refused_at_its_place() {
    let other = json!({"type": "object"});
    for (changes, said) in [
        (json!({"overrides": {"agent.answer_format": other}}), "the override `agent.answer_format`"),
        (json!({"overrides": {"agent.answer_format": null}}), "the override `agent.answer_format`"),
        (json!({"overrides": {"agent": "h/web-surfer-flash"}}), "the override `agent`"),
        (json!({"agent": inline(&other)}), "the agent's own"),
    ] {
        let mut changes = changes;
        changes["answer_format"] = schema();
        let problem = decode(&changes).unwrap_err();
        let loc = ["body", "answer_format"].map(|part| LocationPart::Name(part.into()));
        assert_eq!(problem.status, 422);
        assert_eq!(problem.body.detail[0].loc, loc);
        assert!(problem.body.message.contains(said), "{}", problem.body.message);
    }
    let invalid = decode(&json!({"answer_format": {"type": 5}})).unwrap_err();
    assert_eq!(invalid.status, 422);
}
