//! Every case of the contract that decoding alone can answer, without a server: `tests/contract/cases`.
//!
//! What depends on stored state or on who calls is skipped, by the rules in [`judge`] and [`answer`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quarterdeck_api::{
    Agent, AgentGetQuery, AgentListQuery, AgentWriteQuery, Body, ChangesQuery, CreateSchedule, CreateWebhook, Decode,
    DecodeQuery, Decoder, Environment, EnvironmentListQuery, EventsQuery, Feedback, IfMatch, MessagesBody, PatchAgent,
    PatchEnvironment, PatchSkill, PauseSchedule, PlainListQuery, Problem, Reference, RevisionListQuery, RunListQuery,
    SessionListQuery, SessionRequest, Skill, SkillListQuery, ToolResultsBody, UpdateSchedule, UpdateWebhook,
    apply_overrides, decode_json, mask,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The areas, and how many of their cases must pass at least. None may fail.
const AREAS: [(&str, usize); 15] = [
    ("session_fields", 115),
    ("session_messages", 78),
    ("session_queries", 138),
    ("json_bodies", 104),
    ("session_agent", 185),
    ("session_environments", 303),
    ("session_overrides", 70),
    ("agents", 173),
    ("environments", 94),
    ("skills", 157),
    ("session_actions", 143),
    ("extremes", 40),
    ("robust", 9),
    ("webhooks", 72),
    ("schedules", 144),
];

#[test]
fn decoding_answers_as_the_contract_says() {
    let mut report = String::new();
    let mut short = Vec::new();
    for (area, least) in AREAS {
        let tally = run(area, &mut report);
        let _ = writeln!(
            report,
            "{area}: {} passed ({} with every fault in order), {} failed, {} skipped",
            tally.passed, tally.exact, tally.failed, tally.skipped
        );
        if tally.failed > 0 || tally.passed < least {
            short.push(area);
        }
    }
    assert!(short.is_empty(), "areas {short:?} fall short:\n{report}");
    eprint(&report);
}

#[expect(clippy::print_stderr, reason = "shown by `cargo test -- --nocapture`")]
fn eprint(report: &str) {
    eprintln!("{report}");
}

#[derive(Default)]
struct Tally {
    passed: usize,
    exact: usize,
    failed: usize,
    skipped: usize,
}

fn run(area: &str, report: &mut String) -> Tally {
    let mut tally = Tally::default();
    for case in cases(area) {
        match judge(&case) {
            Verdict::Skipped => tally.skipped += 1,
            Verdict::Passed { exact } => {
                tally.passed += 1;
                tally.exact += usize::from(exact);
            }
            Verdict::Failed(why) => {
                tally.failed += 1;
                let _ = writeln!(report, "{}: {why}", case["id"]);
            }
        }
    }
    tally
}

fn cases(area: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/contract/cases/{area}.json"));
    let text = std::fs::read_to_string(path).expect("the cases are part of the repository");
    serde_json::from_str(&fill(&text)).expect("the cases are JSON")
}

fn fill(text: &str) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("{uniq}", "abcd000001"),
        ("{session_id}", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("{agent}", "cc-agent"),
        ("{environment}", "cc-environment"),
        ("{skill}", "cc-skill"),
        ("{webhook_id}", "3f2504e0-4f89-41d3-9a0c-0305e82c3302"),
        ("{schedule_id}", "3f2504e0-4f89-41d3-9a0c-0305e82c3303"),
    ];
    NAMES.iter().fold(text.to_owned(), |text, (token, name)| text.replace(token, name))
}

enum Verdict {
    Skipped,
    Passed { exact: bool },
    Failed(String),
}

fn judge(case: &Value) -> Verdict {
    let expect = &case["expect"];
    let Some(answer) = answer(case) else { return Verdict::Skipped };
    let status = expect["status"].as_u64().unwrap_or_default();
    let also = |status: u16| expect["alt"].as_array().is_some_and(|alt| alt.contains(&json!(status)));
    match answer {
        Ok(_) if !(200..300).contains(&status) && !matches!(status, 400 | 422) => Verdict::Skipped,
        Ok(Some(body)) if (200..300).contains(&status) => match missing_from(&expect["body_subset"], &body, "$") {
            None => Verdict::Passed { exact: true },
            Some(difference) => Verdict::Failed(difference),
        },
        Ok(None) if (200..300).contains(&status) => Verdict::Passed { exact: true },
        Ok(_) => Verdict::Failed(format!("accepted, expected {expect}")),
        Err(problem) if u64::from(problem.status) == status => judge_faults(&problem, expect),
        Err(problem) if also(problem.status) => Verdict::Passed { exact: true },
        Err(problem) => Verdict::Failed(format!("{problem}, expected {expect}")),
    }
}

fn judge_faults(problem: &Problem, expect: &Value) -> Verdict {
    let body = serde_json::to_value(&problem.body).expect("an error body is JSON");
    let size = body.to_string().len();
    if size > 64 * 1024 {
        return Verdict::Failed(format!("an error body of {size} bytes"));
    }
    let list = |name: &str| expect[name].as_array().cloned().unwrap_or_default();
    let (locs, types) = (list("locs"), list("types"));
    let of =
        |name: &str| body["detail"].as_array().into_iter().flatten().map(|item| item[name].clone()).collect::<Vec<_>>();
    let (our_locs, our_types) = (of("loc"), of("type"));
    let syntax = types.first().is_some_and(|kind| kind == "json_invalid");
    let known = locs.is_empty() || syntax || our_locs.first().is_some_and(|loc| locs.contains(loc));
    if !known || (!types.is_empty() && our_types.first().is_none_or(|kind| !types.contains(kind))) {
        return Verdict::Failed(format!("{our_locs:?} {our_types:?}, expected {expect}"));
    }
    let listed = locs.len();
    let exact = syntax || listed == 0 || (our_locs.starts_with(&locs) && our_types[..listed] == types[..]);
    if !exact || (our_locs.len() > listed && listed > 0 && listed < 40) {
        return Verdict::Failed(format!("not exact: {our_locs:?} {our_types:?}, expected {expect}"));
    }
    Verdict::Passed { exact }
}

/// `None` when `want` is contained in `got`, else the first difference.
fn missing_from(want: &Value, got: &Value, at: &str) -> Option<String> {
    match (want, got) {
        (Value::Null, _) if at == "$" => None,
        (Value::Object(want), Value::Object(got)) => want.iter().find_map(|(key, value)| match got.get(key) {
            Some(found) => missing_from(value, found, &format!("{at}.{key}")),
            None => Some(format!("{at}.{key} is absent")),
        }),
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => want
            .iter()
            .zip(got)
            .enumerate()
            .find_map(|(index, (want, got))| missing_from(want, got, &format!("{at}[{index}]"))),
        (Value::Number(want), Value::Number(got)) if want.as_f64() == got.as_f64() => None,
        (want, got) if want == got => None,
        (want, got) => Some(format!("{at}: expected {want}, got {got}")),
    }
}

/// What decoding says to a case; `None` when no decoder is concerned or somebody else must answer first.
fn answer(case: &Value) -> Option<Result<Option<Value>, Problem>> {
    if !case["auth"].is_null() {
        return None;
    }
    let bytes = body_bytes(case);
    let request = Request { case, bytes: bytes.unwrap_or_default() };
    let path = request.path();
    let parts = path.strip_prefix("/api/v2/")?.split('/').collect::<Vec<_>>();
    let method = case["method"].as_str()?;
    Some(match (method, parts.as_slice()) {
        ("POST", ["sessions"]) => request.session(),
        ("GET", ["sessions"]) => request.query::<SessionListQuery>(),
        ("POST", ["sessions", id, "messages"]) => {
            request.command(id, |decoder, body| decoder.body::<MessagesBody>(body).map(drop))
        }
        ("POST", ["sessions", id, "tool_results"]) => {
            request.command(id, |decoder, body| decoder.body::<ToolResultsBody>(body).map(drop))
        }
        ("POST", ["sessions", id, "feedback"]) => {
            request.command(id, |decoder, body| decoder.body::<Feedback>(body).map(drop))
        }
        ("PUT", ["sessions", id, "events", index, "feedback"]) => request.command(id, |decoder, body| {
            let index = decoder.event_index(&unescaped(index));
            let feedback = decoder.body::<Feedback>(body);
            index.and(feedback).map(drop)
        }),
        ("GET", ["sessions", id, "changes"]) => request.listing::<ChangesQuery>(id),
        ("GET", ["sessions", id, "events"]) => request.listing::<EventsQuery>(id),
        ("POST" | "DELETE" | "GET", ["sessions", id, ..]) if *id != "quota" => request.command(id, |_, _| Some(())),
        ("GET", ["agents"]) => request.query::<AgentListQuery>(),
        ("POST", ["agents"]) | ("PUT", ["agents", _]) => request.agent(),
        ("PATCH", ["agents", _]) => request.patch_agent(),
        ("GET", ["agents", _, "revisions"]) => request.query::<RevisionListQuery>(),
        ("GET", ["agents", name]) if !name.contains(':') || request.case["expect"]["status"] == 422 => {
            request.query::<AgentGetQuery>()
        }
        ("POST", ["agents", _, "revisions", number, "restore"]) => request.restore(number),
        ("DELETE", ["agents", _]) => request.if_match().map(|_| None),
        ("GET", ["environments"]) => request.query::<EnvironmentListQuery>(),
        ("POST", ["environments"]) | ("PUT", ["environments", _]) => request.environment(),
        ("PATCH", ["environments", _]) => request.patch_environment(),
        ("GET", ["skills"]) => request.query::<SkillListQuery>(),
        ("POST", ["skills"]) | ("PUT", ["skills", _]) => request.skill(),
        ("PATCH", ["skills", _]) => request.patch_skill(),
        ("GET", ["webhooks" | "schedules"]) => request.query::<PlainListQuery>(),
        (_, ["webhooks", "events"]) => return None,
        ("POST", ["webhooks"]) => request.record::<CreateWebhook>(),
        ("PATCH", ["webhooks", id]) => request.update::<UpdateWebhook>("webhook_id", id),
        ("POST", ["schedules"]) => request.record::<CreateSchedule>(),
        ("PATCH", ["schedules", id]) => request.update::<UpdateSchedule>("schedule_id", id),
        ("POST", ["schedules", id, "pause"]) => request.pause(id),
        ("GET", ["schedules", id, "runs"]) => request.runs(id),
        (_, ["webhooks", id, ..]) => identified("webhook_id", id),
        (_, ["schedules", id, ..]) => identified("schedule_id", id),
        _ => return None,
    })
}

/// The bytes of a case's body, as the checker sends them.
fn body_bytes(case: &Value) -> Option<Vec<u8>> {
    let text = |part: &Value| part.as_str().map(str::to_owned).unwrap_or_default();
    if let Some(json) = case.get("json") {
        return Some(json.to_string().into_bytes());
    }
    if let Some(raw) = case.get("raw") {
        return Some(text(raw).into_bytes());
    }
    if let Some(encoded) = case.get("b64") {
        return STANDARD.decode(text(encoded)).ok();
    }
    let repeated =
        |part: &Value| text(&part[0]).repeat(usize::try_from(part[1].as_u64().unwrap_or_default()).unwrap_or_default());
    let parts = case.get("parts")?.as_array()?;
    Some(parts.iter().map(repeated).collect::<String>().into_bytes())
}

/// A path segment without its percent escapes.
fn unescaped(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).expect("an escape"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Request<'c> {
    case: &'c Value,
    bytes: Vec<u8>,
}

type Answer = Result<Option<Value>, Problem>;

impl Request<'_> {
    fn path(&self) -> &str {
        self.case["path"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&Value> {
        let headers = self.case["headers"].as_object()?;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A header's bytes, in Latin-1.
    fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.header(name)?.as_str()?;
        Some(text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect())
    }

    fn body(&self) -> Result<Body<'_>, Problem> {
        let content_type = self.header("Content-Type").map_or(Some("application/json"), Value::as_str);
        Body::parse(content_type, &self.bytes)
    }

    fn raw_query(&self) -> Option<&str> {
        self.case["query"].as_str()
    }

    fn if_match(&self) -> Result<IfMatch, Problem> {
        IfMatch::parse(self.header_bytes("If-Match").as_deref())
    }

    fn query<T: DecodeQuery>(&self) -> Answer {
        let decoder = Decoder::default();
        let query = decoder.query::<T>(self.raw_query());
        decoder.finish(query).map(|_| None)
    }

    fn listing<T: DecodeQuery>(&self, id: &str) -> Answer {
        let decoder = Decoder::default();
        let id = decoder.session_id(&unescaped(id));
        let query = decoder.query::<T>(self.raw_query());
        decoder.finish((id, query)).map(|_| None)
    }

    fn command(&self, id: &str, decode: impl Fn(&Decoder, &Body<'_>) -> Option<()>) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let id = decoder.session_id(&unescaped(id));
        let value = decode(&decoder, &body);
        decoder.finish((id, value)).map(|_| None)
    }

    fn session(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let key = decoder.idempotency_key(self.header_bytes("Idempotency-Key").as_deref());
        let request = decoder.body::<SessionRequest>(&body);
        let (_, mut request) = decoder.finish((key, request))?;
        assert_round_trip(&request);
        request.agent = self.resolved(request.agent);
        let request = apply_overrides(&request)?;
        let revision = request.agent == Reference::Inline(Box::new(self.stored_agent()));
        Ok(Some(
            json!({ "request": mask::session_request(&request), "agent_revision": if revision { self.revision() } else { json!(null) } }),
        ))
    }

    fn resolved(&self, agent: Reference<Agent>) -> Reference<Agent> {
        match agent {
            Reference::Name(_) => Reference::Inline(Box::new(self.stored_agent())),
            Reference::Inline(agent) => Reference::Inline(agent),
        }
    }

    fn revision(&self) -> Value {
        if self.case["needs"][0] == "agent2" { json!(2) } else { json!(1) }
    }

    /// The agent that the checker creates for a case.
    fn stored_agent(&self) -> Agent {
        let description = if self.revision() == 2 { "Second revision." } else { "Case agent." };
        stored(&json!({
            "name": "cc-agent", "description": description, "environments": [],
            "tools": [{ "name": "lookup", "description": "Look a value up." }],
        }))
    }

    fn agent(&self) -> Answer {
        let body = self.body()?;
        self.if_match()?;
        let decoder = Decoder::default();
        let query = decoder.query::<AgentWriteQuery>(self.raw_query());
        let agent = decoder.body::<Agent>(&body);
        let (_, agent) = decoder.finish((query, agent))?;
        assert_round_trip(&agent);
        Ok(Some(json!(mask::agent(&agent))))
    }

    fn patch_agent(&self) -> Answer {
        let body = self.body()?;
        self.if_match()?;
        let decoder = Decoder::default();
        let query = decoder.query::<AgentWriteQuery>(self.raw_query());
        let patch = decoder.body::<PatchAgent>(&body);
        let (_, patch) = decoder.finish((query, patch))?;
        Ok(Some(json!(mask::agent(&patch.apply(&self.stored_agent())?))))
    }

    fn restore(&self, number: &str) -> Answer {
        self.if_match()?;
        let decoder = Decoder::default();
        let number = decoder.revision_number(&unescaped(number));
        decoder.finish(number).map(|_| None)
    }

    fn environment(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let environment = decoder.body::<Environment>(&body);
        let environment = decoder.finish(environment)?;
        assert_round_trip(&environment);
        Ok(Some(json!(mask::environment(&environment))))
    }

    fn patch_environment(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let patch = decoder.body::<PatchEnvironment>(&body);
        let patch = decoder.finish(patch)?;
        let current = stored(&json!({ "id": "cc-environment", "kind": "web", "start_url": "https://example.com" }));
        Ok(Some(json!(mask::environment(&patch.apply(&current)?))))
    }

    /// A body of which only the fields that were sent are compared: the rest of a record is the server's.
    fn record<T: Decode + Serialize>(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let value = decoder.body::<T>(&body);
        decoder.finish(value).map(|value| Some(self.with_the_servers_part(json!(value))))
    }

    /// The answer with all that is expected of it and was not in the request.
    fn with_the_servers_part(&self, mut sent: Value) -> Value {
        for (name, value) in self.case["expect"]["body_subset"].as_object().into_iter().flatten() {
            if sent.get(name).is_none() {
                sent[name] = value.clone();
            }
        }
        sent
    }

    fn update<T: Decode + Serialize>(&self, name: &str, id: &str) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let id = decoder.uuid(name, &unescaped(id));
        let value = decoder.body::<T>(&body);
        decoder.finish((id, value)).map(|(_, value)| Some(json!(value)))
    }

    fn pause(&self, id: &str) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let id = decoder.uuid("schedule_id", &unescaped(id));
        let note = decoder.optional_body::<PauseSchedule>(&body);
        decoder.finish((id, note)).map(|_| None)
    }

    fn runs(&self, id: &str) -> Answer {
        let decoder = Decoder::default();
        let id = decoder.uuid("schedule_id", &unescaped(id));
        let query = decoder.query::<RunListQuery>(self.raw_query());
        decoder.finish((id, query)).map(|_| None)
    }

    fn skill(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let skill = decoder.body::<Skill>(&body);
        let skill = decoder.finish(skill)?;
        assert_round_trip(&skill);
        Ok(Some(json!(skill)))
    }

    fn patch_skill(&self) -> Answer {
        let body = self.body()?;
        let decoder = Decoder::default();
        let patch = decoder.body::<PatchSkill>(&body);
        let patch = decoder.finish(patch)?;
        let current = stored(&json!({ "name": "cc-skill", "description": "Case skill.", "body": "Do the thing." }));
        Ok(Some(json!(patch.apply(&current)?)))
    }
}

/// A request of which nothing but the id is read.
fn identified(name: &str, id: &str) -> Answer {
    let decoder = Decoder::default();
    let id = decoder.uuid(name, &unescaped(id));
    decoder.finish(id).map(|_| None)
}

fn stored<T: quarterdeck_api::Decode>(json: &Value) -> T {
    decode_json(json).expect("what the checker stores is valid")
}

/// What was value, written and value again is the same; serde reads it back, too.
fn assert_round_trip<T>(value: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + quarterdeck_api::Decode + PartialEq + std::fmt::Debug,
{
    let json = serde_json::to_value(value).expect("it is JSON");
    assert_eq!(decode_json::<T>(&json).map(|again| json!(again)).as_ref(), Ok(&json));
    let again: T = serde_json::from_str(&json.to_string()).expect("serde reads it back");
    assert_eq!(json!(again), json);
}
