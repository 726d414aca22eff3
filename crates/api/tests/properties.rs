//! What holds for every input.

use proptest::prelude::*;
use quarterdeck_api::{
    Agent, AgentListQuery, Body, ChangesQuery, CreateSchedule, CreateWebhook, Cron, Decode, DecodeQuery, Decoder,
    Environment, Feedback, IfMatch, MessagesBody, PatchAgent, PatchEnvironment, PatchSkill, Problem, Reference,
    SessionListQuery, SessionRequest, Skill, ToolResultsBody, apply_overrides, decode_json, mask,
};
use serde_json::{Map, Value, json};

const ERROR_SIZE_MAX: usize = 64 * 1024;

proptest! {
    #[test]
    fn decoding_any_bytes_gives_a_value_or_an_error_body(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        match Body::parse(Some("application/json"), &bytes) {
            Ok(body) => every_decoder(&body),
            Err(problem) => is_presentable(&problem),
        }
    }

    #[test]
    fn decoding_any_json_gives_a_value_or_an_error_body(value in any_json()) {
        let text = value.to_string();
        let body = Body::parse(Some("application/json"), text.as_bytes()).expect("it is JSON");
        every_decoder(&body);
    }

    #[test]
    fn an_accepted_request_reads_back_as_it_was(changes in any_changes()) {
        let Ok(request) = decode_json::<SessionRequest>(&changed(&changes)) else { return Ok(()) };
        let written = serde_json::to_value(&request).expect("it is JSON");
        let again = decode_json::<SessionRequest>(&written).expect("it was accepted once");
        prop_assert_eq!(&json!(again), &written);
        let read: SessionRequest = serde_json::from_str(&written.to_string()).expect("serde reads it");
        prop_assert_eq!(&json!(read), &written);
    }

    #[test]
    fn overrides_are_applied_or_refused(path in "[a-z_]{0,8}([.][a-z_]{1,12}(\\[[a-z]{1,5}=[a-z]{1,5}\\])?){0,3}", value in any_json()) {
        let mut request = decode_json::<SessionRequest>(&changed(&Map::new())).expect("the base is valid");
        request.overrides.insert(path, value);
        if let Err(problem) = apply_overrides(&request) {
            is_presentable(&problem);
        }
    }

    #[test]
    fn masked_copies_hold_no_secret(secret in "[a-zA-Z0-9]{12,20}") {
        let server = json!({
            "name": "s", "transport": "stdio", "command": "run", "args": [&secret], "env": { "K": &secret },
        });
        let request = changed(json!({ "agent": {
            "name": "a", "description": "d", "environments": [
                { "kind": "web", "id": "w", "network": { "proxy_url": &secret } },
                { "kind": "code", "id": "c", "env": { "K": &secret }, "mcp_servers": [&server] },
                { "kind": "mcp", "id": "m", "servers": [
                    { "name": "s", "transport": "sse", "url": "u", "headers": { "K": &secret } },
                ] },
            ],
            "subagents": [{ "name": "a", "description": "d", "environments": [{ "kind": "mcp", "id": "m", "servers": [&server] }] }],
        }, "overrides": {
            "agent.environments[kind=web].network.proxy_url": &secret,
            "agent.environments[kind=code].mcp_servers": [&server],
        } }).as_object().expect("an object"));
        let request = decode_json::<SessionRequest>(&request).expect("it is valid");
        prop_assert!(serde_json::to_string(&request).expect("it is JSON").contains(&secret));
        let masked = serde_json::to_string(&mask::session_request(&request)).expect("it is JSON");
        prop_assert!(!masked.contains(&secret));
    }

    #[test]
    fn any_query_string_is_read_or_refused(raw in "[ -~é]{0,60}", name in "(created_after|page|sort|status|owner|from_index)") {
        for raw in [raw.clone(), format!("{name}={raw}")] {
            query::<SessionListQuery>(&raw);
            query::<ChangesQuery>(&raw);
            query::<AgentListQuery>(&raw);
        }
    }

    #[test]
    fn any_header_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(problem) = IfMatch::parse(Some(&bytes)) {
            prop_assert_eq!(problem.status, 400);
        }
        let decoder = Decoder::default();
        let key = decoder.idempotency_key(Some(&bytes));
        if let Err(problem) = decoder.finish(key) {
            is_presentable(&problem);
        }
    }

    #[test]
    fn any_cron_expression_is_read_or_refused(text in "[*0-9a-zA-Z/,#L -]{0,30}") {
        if let Ok(cron) = Cron::parse(&text) {
            let start = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date").and_time(chrono::NaiveTime::MIN);
            let next = cron.next_after(start);
            prop_assert!(next.is_some_and(|next| next > start));
        }
    }

    #[test]
    fn any_pattern_is_judged(pattern in "[a-z()\\[\\]{}?*+|^$.\\\\0-9<>=!:#,-]{0,40}") {
        let skill = json!({ "name": "s", "description": "d", "body": "b", "url_pattern": pattern });
        if let Err(problem) = decode_json::<Skill>(&skill) {
            is_presentable(&problem);
        }
    }
}

#[test]
fn absurd_requests_get_small_answers() {
    let deep = |depth: usize| {
        (0..depth).fold(
            json!({ "name": "a", "description": "d", "environments": [], "tools": [] }),
            |child, _| json!({ "name": "a", "description": "d", "environments": [], "subagents": [child] }),
        )
    };
    let wide =
        json!({ "agent": { "name": "a", "description": "d", "environments": [], "tools": vec![json!({}); 100_000] } });
    let long_key = json!({ "agent": "a", "overrides": { "k".repeat(1_000_000): 1 } });
    for request in [json!({ "agent": deep(80) }), wide, long_key] {
        let problem = decode_json::<SessionRequest>(&request).expect_err("it is absurd");
        is_presentable(&problem);
    }
    let request = json!({ "agent": deep(20) });
    assert!(decode_json::<SessionRequest>(&request).is_err_and(|problem| problem.body.detail.len() == 1));
}

fn every_decoder(body: &Body<'_>) {
    one_decoder::<SessionRequest>(body);
    one_decoder::<MessagesBody>(body);
    one_decoder::<ToolResultsBody>(body);
    one_decoder::<Feedback>(body);
    one_decoder::<Agent>(body);
    one_decoder::<PatchAgent>(body);
    one_decoder::<Environment>(body);
    one_decoder::<PatchEnvironment>(body);
    one_decoder::<Skill>(body);
    one_decoder::<PatchSkill>(body);
    one_decoder::<CreateWebhook>(body);
    one_decoder::<CreateSchedule>(body);
}

fn one_decoder<T: Decode>(body: &Body<'_>) {
    let decoder = Decoder::default();
    let value = decoder.body::<T>(body);
    if let Err(problem) = decoder.finish(value) {
        is_presentable(&problem);
    }
}

fn query<T: DecodeQuery>(raw: &str) {
    let decoder = Decoder::default();
    let value = decoder.query::<T>(Some(raw));
    if let Err(problem) = decoder.finish(value) {
        is_presentable(&problem);
    }
}

fn is_presentable(problem: &Problem) {
    let body = serde_json::to_string(&problem.body).expect("an error body is JSON");
    assert!(body.len() <= ERROR_SIZE_MAX, "{} bytes", body.len());
    assert!(matches!(problem.status, 400 | 422), "{problem}");
    assert!(!problem.body.detail.is_empty());
}

/// A valid request with some fields replaced, some of them inside the agent.
fn changed(changes: &Map<String, Value>) -> Value {
    let mut agent = json!({
        "name": "a", "description": "d", "environments": [{ "kind": "web", "id": "w" }, { "kind": "code", "id": "c" }],
        "tools": [{ "name": "t", "description": "d" }],
    });
    let mut request = json!({ "messages": "Hi" });
    for (name, value) in changes {
        match name.strip_prefix("agent.") {
            Some(name) => agent[name] = value.clone(),
            None => request[name] = value.clone(),
        }
    }
    if request.get("agent").is_none() {
        request["agent"] = agent;
    }
    request
}

fn any_changes() -> impl Strategy<Value = Map<String, Value>> {
    let plausible = prop_oneof![
        Just(json!({ "message": "Hi", "files": [{ "name": "d/a.txt", "source": "x" }] })),
        Just(json!([{ "message": "a", "caller_id": "me" }, { "message": "b" }])),
        Just(json!([{ "kind": "web", "id": "x", "mode": "text", "page_chars": "7" }, "other"])),
        Just(json!([{ "name": "s", "description": "d", "body": "b", "files": { "a/b": "+/8" } }])),
        Just(json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{ "type": "string" }] })),
        Just(json!({ "agent.environments[kind=web].start_url": "x" })),
        Just(json!("Europe/Paris")),
        Just(json!("low")),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any_json(),
    ];
    let name = proptest::sample::select(vec![
        "messages",
        "max_steps",
        "max_time_s",
        "idle_timeout_s",
        "timezone",
        "delete_after_min",
        "queue",
        "group_id",
        "overrides",
        "agent.environments",
        "agent.instructions",
        "agent.skills",
        "agent.subagents",
        "agent.answer_format",
        "agent.tools",
        "agent.reasoning_effort",
        "agent.model",
        "agent.description",
    ]);
    let changes = proptest::collection::vec((name.prop_map(str::to_owned), plausible), 0..4);
    changes.prop_map(|changes| changes.into_iter().collect())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        proptest::sample::select(vec!["web", "code", "mcp", "user_message", "batch", "tool_result", "a", "***"])
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        proptest::sample::select(vec![
            "agent",
            "name",
            "description",
            "environments",
            "kind",
            "id",
            "tools",
            "subagents",
            "skills",
            "mode",
            "type",
            "network",
            "messages",
            "message",
            "files",
            "servers",
            "results",
            "tool_req",
            "success",
            "overrides",
            "body",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,5}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn a_name_in_place_of_an_agent_stays_a_name() {
    let request = decode_json::<SessionRequest>(&json!({ "agent": "a:3" })).expect("it is valid");
    assert_eq!(request.agent, Reference::Name("a:3".into()));
}
