//! The model runner, its client and the session's state machine together, against a real HTTP endpoint.
//! Whatever the endpoint does, a session ends in the documented way.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

mod world;

use quarterdeck_agent::{ChatRequest, EndpointClient, EndpointSettings, ModelClient, RunnerSettings, ScriptedModel};
use quarterdeck_api::{AgentEvent, Answer, ErrorCode, Status};
use quarterdeck_core::Command;
use quarterdeck_test_support::fake_model::{Behaviour, FakeModel};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use world::{World, quick, tools::FakeTools};

#[tokio::test]
async fn a_text_is_the_answer() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::text("It is 42."));
    world.run().await;
    world.assert_answer("It is 42.");
    assert_eq!(world.session.usage[0].input_tokens, 11);
    assert_eq!(world.session.usage[0].name, "fake-model");
    let request = &model.requests()[0];
    assert_eq!((&request.body["model"], &request.body["stream"]), (&json!("fake-model"), &json!(false)));
    assert_eq!(request.header("authorization"), Some("Bearer CANARY-KEY"));
    assert_eq!(request.body["messages"][1], json!({"role": "user", "content": "What is it?"}));
}

#[tokio::test]
async fn the_agents_own_model_is_asked() {
    let (model, mut world) = world(json!({"model": "big", "reasoning_effort": "low"})).await;
    world.run().await;
    assert_eq!(model.requests()[0].body["model"], "big");
    assert_eq!(model.requests()[0].body["reasoning_effort"], "low");
    assert_eq!(world.session.usage[0].name, "big");
}

#[tokio::test]
async fn a_model_is_known_once_the_operator_or_the_endpoint_has_named_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = FakeModel::start().await.unwrap();
    let chosen = EndpointSettings { model: Some("chosen".into()), ..EndpointSettings::new(model.base_url()) };
    let listing = EndpointClient::new(EndpointSettings::new(model.base_url())).unwrap();
    let chosen = EndpointClient::new(chosen).unwrap();
    for (client, asked, is_known) in [
        (&listing, Some("a caller's words"), false),
        (&listing, None, true),
        (&listing, Some("fake-model"), true),
        (&listing, Some("a caller's words"), false),
        (&chosen, None, true),
        (&chosen, Some("chosen"), true),
        (&chosen, Some("a caller's words"), false),
    ] {
        let request = ChatRequest { model: asked.map(str::to_owned), ..ChatRequest::default() };
        assert_eq!(client.complete(&request).await.unwrap().model_is_known, is_known, "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_found_out_before_it_is_used() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = FakeModel::start().await.unwrap();
    let check = async |base_url: String, named: Option<&str>| {
        let settings = EndpointSettings { model: named.map(str::to_owned), ..EndpointSettings::new(base_url) };
        EndpointClient::new(settings).unwrap().check().await
    };
    assert_eq!(check(model.base_url(), None).await, None);
    assert_eq!(check(model.base_url(), Some("fake-model")).await, None);
    let wrong = check(model.base_url(), Some("gone")).await.unwrap();
    assert!(wrong.contains("does not list \"gone\" (--model); it lists fake-model"), "{wrong}");
    let wrong = check("http://127.0.0.1:1/v1".into(), None).await.unwrap();
    assert!(wrong.contains("cannot connect") && wrong.contains("--model-base-url"), "{wrong}");
}

#[tokio::test]
async fn calls_go_to_the_client_and_their_results_to_the_model() {
    let (model, mut world) = world(json!({"tools": [{"name": "look", "description": "Looks."}]})).await;
    model.then(Behaviour::call("look", json!({"at": 1})));
    model.then(Behaviour::call("answer", json!({"answer": "Seen.", "outcome": "partial"})));
    world.run().await;
    assert_eq!(world.status(), Status::AwaitingToolResults);
    let call = world.session.state.pending_tool_calls()[0].clone();
    assert_eq!((call.tool_name.as_str(), call.id.as_deref()), ("look", Some("call_0")));
    world.return_result(call, json!({"seen": true}));
    world.run().await;
    world.assert_answer("Seen.");
    assert_eq!(world.session.outcome, Some(quarterdeck_api::Outcome::Partial));
    let messages = &model.requests()[1].body["messages"];
    assert_eq!(messages[2]["tool_calls"][0]["function"], json!({"name": "look", "arguments": "{\"at\":1}"}));
    assert_eq!(messages[3]["tool_call_id"], messages[2]["tool_calls"][0]["id"]);
    assert!(messages[3]["content"].as_str().unwrap().contains("{\"seen\":true}"));
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::text("Late.").after(Duration::from_millis(100)));
    world.run().await;
    world.assert_answer("Late.");
    assert_eq!(world.troubles(), Vec::<String>::new());
}

#[tokio::test]
async fn trouble_is_logged_and_passes() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::status(500)).then(Behaviour::status(503)).then(Behaviour::text("At last."));
    world.run().await;
    world.assert_answer("At last.");
    let host = model.base_url().replace("http://", "").replace("/v1", "");
    assert_eq!(
        world.troubles(),
        [
            format!("the model at {host} answered 500 (a fault on its side)"),
            format!("the model at {host} answered 503 (it is away or busy)"),
        ]
    );
}

#[tokio::test]
async fn a_busy_host_is_given_the_time_it_asks_for() {
    let settings = RunnerSettings { retry_after_max: Duration::from_millis(300), ..quick() };
    let (model, mut world) = world_with(json!({}), settings).await;
    model.then(Behaviour::busy(60)).then(Behaviour::text("Now."));
    let started = std::time::Instant::now();
    world.run().await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    world.assert_answer("Now.");
}

#[tokio::test]
async fn every_kind_of_trouble_fails_the_session_in_the_end() {
    check_trouble(Behaviour::status(500), "answered 500").await;
    check_trouble(Behaviour::busy(0), "answered 429").await;
    check_trouble(Behaviour::html(), "is not JSON").await;
    check_trouble(Behaviour::Body(b"{\"choices\": [".to_vec()), "is not JSON").await;
    check_trouble(Behaviour::Body(b"{}".to_vec()), "without a message").await;
    check_trouble(Behaviour::CutOff, "broke").await;
    check_trouble(Behaviour::HangUp, "broke").await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_given_up() {
    check_too_slow(Behaviour::Silence).await;
    check_too_slow(Behaviour::Drip(Duration::from_millis(20))).await;
    check_too_slow(Behaviour::text("Late.").after(Duration::from_mins(1))).await;
}

#[tokio::test]
async fn a_reply_of_20_mb_is_too_much() {
    let (model, mut world) = world(json!({})).await;
    model.otherwise(Behaviour::Bytes(20 << 20));
    world.run().await;
    world.assert_failed(ErrorCode::Internal, "a reply of more than 16777216 bytes");
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test]
async fn what_cannot_get_better_fails_at_once() {
    let quota = json!({"error": {"message": "You are out.", "code": "insufficient_quota"}}).to_string();
    check_fatal(
        Behaviour::Status(401, vec![], "{\"error\": {\"message\": \"CANARY-KEY is bad\"}}".into()),
        "answered 401",
    )
    .await;
    check_fatal(Behaviour::status(403), "answered 403").await;
    check_fatal(Behaviour::Status(404, vec![], "{\"error\": {\"message\": \"no model x\"}}".into()), "no model x")
        .await;
    check_fatal(Behaviour::Status(400, vec![], "{\"detail\": \"CANARY-KEY\"}".into()), "answered 400").await;
    check_fatal(Behaviour::Status(429, vec![], quota), "the quota is used up").await;
    let elsewhere = vec![("location".to_owned(), "http://127.0.0.1:9/".to_owned())];
    check_fatal(Behaviour::Status(307, elsewhere, String::new()), "a redirect, which is not followed").await;
}

#[tokio::test]
async fn an_error_in_place_of_a_reply_is_told_without_the_key() {
    let said = |error: Value| Behaviour::Body(json!({"error": error}).to_string().into_bytes());
    let long = format!("{}CANARY-KEY", "x".repeat(295));
    for (error, expected) in [
        (json!({"message": "Incorrect API key provided: CANARY-KEY"}), "Incorrect API key provided: ***"),
        (json!("CANARY-KEY"), "replied with an error: ***"),
        (json!({"key": "CANARY-KEY"}), "{\"key\":\"***\"}"),
        (json!({"message": long}), "replied with an error: ***"),
        (json!({"message": "CANARY-K… is wrong", "code": "invalid_api_key"}), "the key is missing or wrong"),
    ] {
        let (model, mut world) = world(json!({})).await;
        model.otherwise(said(error));
        world.run().await;
        world.assert_failed(ErrorCode::Internal, expected);
        assert!(!world.log_text().contains("CANARY"), "{}", world.log_text());
    }
}

#[tokio::test]
async fn nobody_listening_is_trouble() {
    let model = FakeModel::start().await.unwrap();
    let mut world = World::asking(&model, json!({"model": "m"}), quick(), EndpointSettings::new(""));
    drop(model);
    world.run().await;
    world.assert_failed(ErrorCode::Internal, "cannot connect to the model at 127.0.0.1:");
}

#[tokio::test]
async fn a_step_that_is_dropped_closes_its_request() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::Silence);
    tokio::select! {
        () = world.run() => panic!("the step ended"),
        () = model.wait_for_requests(1) => {}
    }
    model.wait_for_abandoned(1).await;
    assert_eq!(world.status(), Status::Running);
}

#[tokio::test]
async fn a_useless_reply_is_shown_back_three_times() {
    let (model, mut world) = world(json!({"tools": [{"name": "look", "description": "Looks."}]})).await;
    model.then(Behaviour::call("gone", json!({})));
    model.then(Behaviour::Calls(vec![("look".into(), "{\"at\"".into())]));
    model.then(Behaviour::Calls(vec![("look".into(), "{\"at\": \"\\u0000\"}".into())]));
    model.then(Behaviour::text("Sorry."));
    world.run().await;
    world.assert_answer("Sorry.");
    let last = model.requests()[3].body["messages"].to_string();
    assert!(last.contains("there is no tool") && last.contains("gone({})") && last.contains("NUL character"), "{last}");
}

#[tokio::test]
async fn a_model_that_never_says_anything_useful_ends_the_session() {
    check_useless(json!({}), Behaviour::text(" "), ErrorCode::NoAnswer, "the reply is empty").await;
    check_useless(json!({}), Behaviour::call("gone", json!({})), ErrorCode::NoAnswer, "there is no tool").await;
    let many = vec![("answer".to_owned(), "{}".to_owned()); 10_000];
    check_useless(json!({}), Behaviour::Calls(many), ErrorCode::NoAnswer, "makes 10000 calls").await;
    let format = json!({"answer_format": {"type": "object", "required": ["price"]}});
    let misfit = Behaviour::call("answer", json!({"answer": {}, "outcome": "success"}));
    check_useless(format.clone(), misfit, ErrorCode::AnswerValidation, "\"price\" is a required property").await;
    check_useless(format, Behaviour::text("3 euros"), ErrorCode::AnswerValidation, "answer_format: at /").await;
}

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for() {
    let (model, mut world) = world(json!({"answer_format": {"type": "object", "required": ["price"]}})).await;
    model.then(Behaviour::text("```json\n{\"price\": 3}\n```"));
    world.run().await;
    assert_eq!(world.session.answer, serde_json::from_value(json!({"price": 3})).ok());
    assert_eq!(world.status(), Status::Completed);
}

#[tokio::test]
async fn a_format_that_cannot_be_used_fails_before_the_model_is_asked() {
    let linked = |length: usize, link: fn(Value) -> Value| {
        let linked = |place: usize| link(json!({"$ref": format!("#/$defs/a{}", place + 1)}));
        let schemas: serde_json::Map<_, _> = (0..length).map(|place| (format!("a{place}"), linked(place))).collect();
        let last = json!({format!("a{length}"): {"type": "string"}}).as_object().unwrap().clone();
        json!({"$ref": "#/$defs/a0", "$defs": schemas.into_iter().chain(last).collect::<serde_json::Map<_, _>>()})
    };
    let twice = linked(23, |next| json!({"allOf": [next, next]}));
    for format in [json!({"$ref": "http://127.0.0.1:9/s.json"}), linked(20_000, |next| next), twice] {
        let (model, mut world) = world(json!({"answer_format": format})).await;
        world.run().await;
        world.assert_failed(ErrorCode::AnswerValidation, "answer_format cannot be used");
        assert!(model.requests().is_empty());
    }
}

#[tokio::test]
async fn nul_in_an_answer_is_replaced() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::text("a\0b"));
    world.run().await;
    world.assert_answer("a\u{fffd}b");
}

#[tokio::test]
async fn only_an_answer_is_asked_for_when_one_is_forced() {
    let (model, mut world) = world(json!({"tools": [{"name": "look", "description": "Looks."}]})).await;
    world.start();
    world.command(Command::ForceAnswer);
    model.then(Behaviour::call("look", json!({})));
    model.then(Behaviour::call("answer", json!({"answer": "So far."})));
    world.run().await;
    world.assert_answer("So far.");
    let request = &model.requests()[0].body;
    assert_eq!((request["tools"].as_array().unwrap().len(), &request["tool_choice"]), (1, &json!("required")));
    assert!(request["messages"].to_string().contains("Your time is up"));
}

#[tokio::test]
async fn what_environments_say_at_the_start_is_told_once() {
    let (model, mut world) = world(json!({})).await;
    world.toolbox = Arc::new(FakeTools::together(1));
    model.then(Behaviour::text(""));
    world.run().await;
    let told = world.transcript().into_iter().filter(|event| matches!(**event, AgentEvent::ObservationEvent { .. }));
    assert_eq!(told.count(), 1);
    assert!(model.requests()[0].body["messages"].to_string().contains("Hello from the tools."));
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn the_servers_calls_of_one_reply_run_at_once_and_their_results_come_back() {
    let tools = Arc::new(FakeTools::together(3));
    let task =
        "@call together {\"n\": 1}\n@and together {\"n\": 2}\n@and together {\"n\": 3}\n@and fail\n@answer Done.";
    let mut world = World::new(Arc::new(ScriptedModel::new()), json!({}), quick());
    (world.toolbox, world.task) = (tools.clone(), task.into());
    world.run().await;
    world.assert_answer("Done.");
    assert_eq!(tools.calls().len(), 4);
    let results = world.transcript().into_iter().filter(|event| matches!(**event, AgentEvent::ToolResult(_)));
    assert_eq!(results.count(), 3);
    let failed = world.transcript().into_iter().any(
        |event| matches!(&*event, AgentEvent::ErrorEvent(error) if error.origin == "tool" && error.error == "it broke"),
    );
    assert!(failed, "{}", world.log_text());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_return_is_given_up() {
    let mut world = World::new(Arc::new(ScriptedModel::new()), json!({}), RunnerSettings::default());
    (world.toolbox, world.task) = (Arc::new(FakeTools::together(1)), "@call stuck\n@answer Enough.".into());
    let started = tokio::time::Instant::now();
    world.run().await;
    world.assert_answer("Enough.");
    assert_eq!(started.elapsed().as_secs(), 150);
    assert!(world.log_text().contains("no result came within 150 s; whether the call took effect is unknown"));
}

#[tokio::test]
async fn the_clients_calls_wait_for_the_servers_and_its_tools_win() {
    let tools = Arc::new(FakeTools::together(1));
    let look = json!([{"name": "look", "description": "Looks."}]);
    let mut world = World::new(Arc::new(ScriptedModel::new()), json!({"tools": look}), quick());
    (world.toolbox, world.task) = (tools.clone(), "@call look\n@and echo {\"a\": 1}\n@answer Done.".into());
    world.run().await;
    assert_eq!(world.status(), Status::AwaitingToolResults);
    assert_eq!(tools.calls(), ["echo"]);
    let call = world.session.state.pending_tool_calls()[0].clone();
    world.return_result(call, json!("seen"));
    world.run().await;
    world.assert_answer("Done.");
}

#[tokio::test]
async fn a_picture_that_a_tool_returns_is_seen_after_its_result() {
    let (model, mut world) = world(json!({})).await;
    world.toolbox = Arc::new(FakeTools::together(1));
    model.then(Behaviour::call("picture", json!({})));
    world.run().await;
    let messages = model.requests()[1].body["messages"].clone();
    let place = |word: &str| messages.as_array().unwrap().iter().position(|m| m.to_string().contains(word)).unwrap();
    assert!(place("see\\n") < place("data:image/png;base64,aGk="), "{messages}");
}

#[tokio::test]
async fn a_skill_is_named_at_the_start_and_read_when_called_for() {
    let skill = json!({"name": "s/one", "description": "When in doubt.", "body": "Think twice."});
    let (model, mut world) = world(json!({"skills": [skill]})).await;
    model.then(Behaviour::call("load_skill", json!({"name": "s/one"})));
    world.run().await;
    let requests = model.requests();
    assert_eq!(requests[0].body["tools"][0]["function"]["name"], "load_skill");
    assert!(requests[0].body["messages"][0]["content"].as_str().unwrap().contains("- s/one: When in doubt."));
    assert!(requests[1].body["messages"].to_string().contains("Think twice."));
    assert!(!requests[0].body["messages"].to_string().contains("Think twice."));
}

#[tokio::test]
async fn a_skill_that_comes_with_a_message_can_be_read_from_then_on() {
    let (model, mut world) = world(json!({})).await;
    model.then(Behaviour::text(""));
    model.then(Behaviour::call("load_skill", json!({"name": "late"})));
    let message = json!({"type": "user_message", "message": "Use it.", "skills": [
        {"name": "late", "description": "Came late.", "body": "Better late."},
    ]});
    world.start();
    world.command(Command::Message(vec![serde_json::from_value(message).unwrap()]));
    world.run().await;
    let requests = model.requests();
    assert!(requests[0].body["messages"].to_string().contains("- late: Came late."), "{}", requests[0].body);
    assert!(requests[2].body["messages"].to_string().contains("Better late."), "{}", requests[2].body);
}

#[tokio::test]
async fn arguments_too_deep_to_be_read_back_are_refused() {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let (model, mut world) = world(json!({})).await;
    let tools = Arc::new(FakeTools::together(1));
    world.toolbox = tools.clone();
    model.then(Behaviour::call("echo", json!({"a": nested(100)})));
    model.then(Behaviour::call("echo", json!({"a": nested(99)})));
    world.run().await;
    assert_eq!(tools.calls().len(), 1);
    assert!(world.log_text().contains("nested more than 100 levels deep"));
}

#[tokio::test(start_paused = true)]
async fn patience_is_counted_over_crashes() {
    let settings =
        RunnerSettings { backoff_base: Duration::ZERO, patience: Duration::ZERO, ..RunnerSettings::default() };
    let model = ScriptedModel::playing("@times 100\n@fail 503 after 50s\n@text never");
    let mut world = World::new(Arc::new(model), json!({}), settings);
    let crash = tokio::time::timeout(Duration::from_mins(2), world.run()).await;
    assert!(crash.is_err());
    assert_eq!(world.troubles().len(), 3);
    let started = tokio::time::Instant::now();
    world.run().await;
    world.assert_failed(ErrorCode::Internal, "6 times in a row; the last time the model at script answered 503");
    assert_eq!((world.troubles().len(), started.elapsed().as_secs()), (6, 100));
}

#[tokio::test]
async fn a_failed_session_that_is_taken_up_again_gets_all_tries_anew() {
    let (model, mut world) = world(json!({})).await;
    for _ in 0..3 {
        model.then(Behaviour::status(500));
    }
    world.run().await;
    assert_eq!(world.status(), Status::Failed);
    world.say("Try again.");
    model.then(Behaviour::status(500)).then(Behaviour::text("Fine now."));
    world.run().await;
    world.assert_answer("Fine now.");
}

#[tokio::test(start_paused = true)]
async fn the_scripted_model_drives_a_whole_session() {
    let task = "Do it.\n@fail 429 after 2s\n@wait 5s\n@say Looking.\n@call look {\"at\": 1}\n@and look\n@outcome partial\n@answer Half.";
    let tools = json!([{"name": "look", "description": "Looks."}]);
    let mut world = World::new(Arc::new(ScriptedModel::new()), json!({"tools": tools}), RunnerSettings::default());
    world.task = task.into();
    world.run().await;
    for call in world.session.state.pending_tool_calls().to_vec() {
        world.return_result(call, Value::Null);
    }
    world.run().await;
    world.assert_answer("Half.");
    assert_eq!((world.session.steps, world.troubles().len()), (2, 1));
}

async fn check_trouble(behaviour: Behaviour, expected: &str) {
    let (model, mut world) = world(json!({})).await;
    model.otherwise(behaviour);
    world.run().await;
    world.assert_failed(ErrorCode::Internal, expected);
    assert_eq!((world.troubles().len(), model.requests().len()), (3, 3), "{expected}");
    assert!(world.troubles().iter().all(|trouble| trouble.contains(expected)), "{:?}", world.troubles());
}

async fn check_too_slow(behaviour: Behaviour) {
    let model = FakeModel::start().await.unwrap();
    model.otherwise(behaviour);
    let client = EndpointSettings { reply_timeout: Duration::from_millis(200), ..EndpointSettings::new("") };
    let mut world = World::asking(&model, json!({"model": "m"}), quick(), client);
    world.run().await;
    world.assert_failed(ErrorCode::Internal, "took too long to reply");
    assert_eq!(world.troubles().len(), 3);
    model.wait_for_abandoned(3).await;
}

async fn check_fatal(behaviour: Behaviour, expected: &str) {
    let (model, mut world) = world(json!({})).await;
    model.otherwise(behaviour);
    world.run().await;
    world.assert_failed(ErrorCode::Internal, expected);
    world.assert_failed(ErrorCode::Internal, "127.0.0.1:");
    assert_eq!((world.troubles().len(), model.requests().len()), (0, 1), "{expected}");
    assert!(!world.log_text().contains("CANARY"));
}

async fn check_useless(agent: Value, behaviour: Behaviour, code: ErrorCode, expected: &str) {
    let (model, mut world) = world(agent).await;
    model.otherwise(behaviour);
    world.run().await;
    world.assert_failed(code, expected);
    assert_eq!(model.requests().len(), 4, "{expected}");
    assert!(!matches!(world.session.answer, Some(Answer::Text(_) | Answer::Object(_))));
}

async fn world(agent: Value) -> (FakeModel, World) {
    world_with(agent, quick()).await
}

async fn world_with(agent: Value, settings: RunnerSettings) -> (FakeModel, World) {
    let model = FakeModel::start().await.unwrap();
    let world = World::asking(&model, agent, settings, EndpointSettings::new(""));
    (model, world)
}
