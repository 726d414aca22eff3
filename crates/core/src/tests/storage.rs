//! A stored session is read by the version that wrote it, by a later one and by an earlier one.

use super::world::{Run, call, every_state, one_shot};
use crate::{Fact, LoggedEvent, Reply, Report, Session, StepMode};
use quarterdeck_api::{AgentEvent, JsonObject, ToolRequest};
use serde_json::{Value, json};

#[test]
fn a_session_in_every_state_survives_storage() {
    for (name, run) in every_state() {
        assert_eq!(read(&write(&run.session)), run.session, "{name}");
    }
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    for (name, run) in every_state() {
        let mut stored = write(&run.session);
        let structs = ["", "/settings", "/turn", "/inbox", "/usage/0", "/state/active/running"];
        for object in
            structs.iter().filter_map(|path| stored.pointer(path)?.is_object().then_some(*path)).collect::<Vec<_>>()
        {
            let place = stored.pointer_mut(object).expect("it was there");
            place["of_a_later_version"] = json!({ "some": ["thing"] });
        }
        assert_eq!(read(&stored), run.session, "{name}");
    }
}

#[test]
fn fields_that_an_earlier_version_did_not_write_have_a_default() {
    let optional = ["recoveries", "usage", "answer", "outcome", "subagents", "started_at", "finished_at"];
    for (name, run) in every_state() {
        let mut stored = write(&run.session);
        let fields = stored.as_object_mut().expect("an object");
        fields.retain(|field, _| !optional.contains(&field.as_str()));
        fields["settings"] = json!({});
        fields["turn"] = json!({});
        let session = read(&stored);
        assert_eq!((session.state, session.settings.max_steps), (run.session.state, None), "{name}");
    }
}

#[test]
fn the_stored_form_of_states_does_not_change() {
    let stored: Vec<_> = every_state().into_iter().map(|(_, run)| write(&run.session)["state"].to_string()).collect();
    let click = r#"{"tool_name":"click","args":null,"id":"c-click"}"#;
    let calls = r#"[{"tool_name":"ask","args":null,"id":"c-ask"},{"tool_name":"look","args":null,"id":"c-look"}]"#;
    let [going, stopped] = ["go", "pause"].map(|told| {
        let child = format!(r#"{{"id":"00000000-0000-0000-0000-000000000065","told":"{told}"}}"#);
        format!(r#"{{"call":{{"tool_name":"delegate","args":null,"id":"c-delegate"}},"child":{child}}}"#)
    });
    let expected = [
        r#""queued""#,
        r#""pending""#,
        r#"{"active":{"running":{"running":[],"owed":[]}}}"#,
        &format!(r#"{{"active":{{"running":{{"running":[{click}],"owed":[]}}}}}}"#),
        &format!(r#"{{"active":{{"running":{{"running":[],"delegated":[{going}],"owed":[]}}}}}}"#),
        r#"{"paused":{"resume_to":"pending"}}"#,
        r#"{"paused":{"resume_to":{"running":{"running":[],"owed":[]}}}}"#,
        &format!(r#"{{"paused":{{"resume_to":{{"running":{{"running":[{click}],"owed":[]}}}}}}}}"#),
        &format!(r#"{{"paused":{{"resume_to":{{"running":{{"running":[],"delegated":[{stopped}],"owed":[]}}}}}}}}"#),
        &format!(r#"{{"paused":{{"resume_to":{{"awaiting_tool_results":{{"calls":{calls}}}}}}}}}"#),
        r#"{"active":{"idle":{"since":"2026-01-01T12:00:00Z"}}}"#,
        &format!(r#"{{"active":{{"awaiting_tool_results":{{"calls":{calls}}}}}}}"#),
        r#"{"ended":"completed"}"#,
        r#"{"ended":{"failed":{"code":"environment_error","cause":"the browser is gone"}}}"#,
        r#"{"ended":"timed_out"}"#,
        r#"{"ended":"interrupted"}"#,
    ];
    assert_eq!(stored, expected);
}

/// The limit is the request decoder's; below it, a call must not make its session unreadable.
#[test]
fn a_call_as_deep_as_a_request_may_be_can_be_stored() {
    let deep: Value = serde_json::from_str(&("[".repeat(100) + &"]".repeat(100))).expect("an array");
    let args = Some(JsonObject::from_iter([("at".to_owned(), deep)]));
    let calls = vec![ToolRequest { args, ..call("ask") }];
    let mut run = Run::start(one_shot());
    run.fact(Fact::Reported(Report::Decided {
        mode: StepMode::Act,
        reply: Reply::default(),
        calls,
        validation_errors: Vec::new(),
    }));
    assert_eq!(read(&write(&run.session)), run.session);
    assert!(
        run.log
            .iter()
            .filter_map(LoggedEvent::agent_event)
            .any(|event| matches!(event, AgentEvent::PolicyEvent { .. }))
    );
}

fn write(session: &Session) -> Value {
    serde_json::to_value(session).expect("a session is JSON")
}

/// By way of text, as the store does.
fn read(stored: &Value) -> Session {
    serde_json::from_str(&stored.to_string()).expect("a stored session is readable")
}
