//! What is wrong with MCP servers out there: each fault costs itself, is told at once, and leaves the rest at work.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "mcp/raw.rs"]
mod raw;

use axum::{body::Body, response::Response};
use futures_util::{StreamExt, stream};
use http::Method;
use quarterdeck_api::JsonObject;
use quarterdeck_environments::{
    CallError, Environment, Guard, Hosting, HostingSettings, OpenContext, OpenError, Output, Provider,
};
use raw::{RawServer, good, raw_program, reply, with};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// What must not take as long as a call may, in tests on a machine that has much to do.
const AT_ONCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_reply_that_is_almost_right_is_read_over_http() {
    let cases = ALMOST_RIGHT.map(|(body, _)| body);
    let server = RawServer::start(move |asked, before| {
        let body = (asked.what() == "tools/call").then(|| cases[before])?;
        Some(with(200, "Application/JSON; charset=UTF-8", bytes_of(body, &asked.message["id"])))
    });
    let server = server.await;
    let environment = open(server.spec("streamable_http")).await.unwrap();
    environment.tools().await;
    for (body, expected) in ALMOST_RIGHT {
        let result = call(&*environment).await.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(result.result, expected, "{body}");
    }
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn a_reply_that_is_almost_right_is_read_from_a_program_that_goes_on() {
    for (body, expected) in ALMOST_RIGHT {
        let environment = open(raw_program(&body.replace('\\', "\\\\"))).await.unwrap();
        environment.tools().await;
        let result = call(&*environment).await.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(result.result, expected, "{body}");
    }
}

/// Answers to a call, and what is read of them. `~` is a byte that is not UTF-8.
const ALMOST_RIGHT: [(&str, &str); 9] = [
    (r#"{"jsonrpc":"2.0","id":@ID,"result":{"content":[{"type":"text","text":"\ud83d!"}]}}"#, "\u{fffd}!"),
    (r#"{"id":"@ID","result":{"content":[{"type":"text","text":"a"}],"_meta":{"cost":NaN}}}"#, "a"),
    (r#"{"id":@ID.0,"result":{"content":[{"type":"text","text":"a"}]},"error":null}"#, "a"),
    (r#"[{"method":"notifications/progress"},{"id":@ID,"result":{"content":"a"}}]"#, "a"),
    (r#"{"id":@ID,"result":{"content":[{"type":"text","text":"a","annotations":{"audience":["system"]}}]}}"#, "a"),
    (
        r#"{"id":@ID,"result":{"content":[{"type":"resource_link"},{"type":"text","text":"a"}]}}"#,
        "(a link to a resource without an address)\na",
    ),
    (
        r#"{"id":@ID,"result":{"content":[{"type":"hologram"},{"type":"text","text":"a"}]}}"#,
        "(a block of type \"hologram\", which is not known here)\na",
    ),
    (r#"{"id":"other","result":{"content":[{"type":"text","text":"a"}]}}"#, "a"),
    (r#"{"id":@ID,"result":{"content":[{"type":"text","text":"a",},],},}"#, "a"),
];

fn bytes_of(body: &str, id: &Value) -> Vec<u8> {
    body.replace("@ID", &id.to_string()).into_bytes()
}

#[tokio::test]
async fn a_program_that_answers_oddly_is_not_started_anew() {
    let text = r#"{"id":@ID,"result":{"content":[{"type":"?"},{"type":"text","text":"call @CALLS"}]}}"#;
    let environment = open(raw_program(text)).await.unwrap();
    environment.tools().await;
    for count in 1..=3 {
        let result = call(&*environment).await.unwrap().result;
        assert!(result.as_str().unwrap().ends_with(&format!("call {count}")), "{result}");
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_told_at_once() {
    for (body, told) in [
        (r#"{"id":@ID,"result":{"content":["#, "a message that is no JSON"),
        (r#"{"id":@ID,"result":null}"#, "neither a result nor an error"),
        (r#"{"id":@ID,"error":{"code":-32000}}"#, "an error without words (code -32000)"),
        (r#"{"id":null,"error":{"code":-32700,"message":"cannot read that"}}"#, "cannot read that"),
        (r#"{"id":@ID,"error":"broken"}"#, "broken"),
        (r#"{"id":@ID,"result":[1]}"#, "no object"),
    ] {
        let server = RawServer::start(move |asked, _| {
            (asked.what() == "tools/call").then(|| with(200, "application/json", bytes_of(body, &asked.message["id"])))
        });
        let server = server.await;
        let events = RawServer::start(move |asked, _| {
            let data = (asked.what() == "tools/call").then(|| bytes_of(body, &asked.message["id"]))?;
            let event = [b"data: ".to_vec(), data, b"\n\n".to_vec()].concat();
            // The stream stays open: nothing but the event can end the wait.
            let open = stream::once(async { Ok::<_, Infallible>(event) }).chain(stream::pending());
            Some(with(200, "text/event-stream", Body::from_stream(open)))
        });
        let events = events.await;
        for spec in [server.spec("streamable_http"), events.spec("streamable_http"), raw_program(body)] {
            let environment = open(spec.clone()).await.unwrap();
            environment.tools().await;
            let began = Instant::now();
            let failed = call(&*environment).await.unwrap_err();
            assert!(failed.0.contains(told), "{body} over {spec}: {failed}");
            assert!(began.elapsed() < AT_ONCE, "{body} over {spec}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_reply_is_told_at_once() {
    for (status, media_type, body, told) in [
        (200, "text/html", "<html>login</html>", "answered with text/html, not with a message"),
        (200, "application/json", "", "answered with nothing"),
        (200, "application/json", "\"hello\"", "something that is no reply"),
        (200, "text/event-stream", ": nothing\n\n", "sent no reply"),
        (202, "text/plain", "", "answered 202 Accepted, without a reply"),
        (204, "text/plain", "", "answered 204 No Content, without a reply"),
        (
            500,
            "application/json",
            r#"{"id":99,"error":{"code":-1,"message":"it broke"}}"#,
            "500 Internal Server Error: it broke",
        ),
        (400, "application/json", r#"{"id":null,"error":{"code":-1,"message":"no"}}"#, "400 Bad Request: no"),
        (502, "text/html", "<html>bad gateway</html>", "answered 502 Bad Gateway"),
        (401, "text/plain", "", "401 Unauthorized (a token is given by the `headers` of the server)"),
    ] {
        let server =
            RawServer::start(move |asked, _| (asked.what() == "tools/call").then(|| with(status, media_type, body)));
        let server = server.await;
        let environment = open(server.spec("streamable_http")).await.unwrap();
        environment.tools().await;
        let began = Instant::now();
        let failed = call(&*environment).await.unwrap_err();
        assert!(failed.0.contains(told) && failed.0.contains("127.0.0.1:"), "{failed}");
        assert!(began.elapsed() < AT_ONCE);
        assert_eq!(server.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn a_lost_session_is_opened_anew_and_the_call_made() {
    for (status, words) in
        [(404, ""), (400, "Session not found"), (500, "No valid session ID"), (401, "session expired")]
    {
        let server = RawServer::start(move |asked, before| match asked.what() {
            "initialize" => {
                let mut answer = good(asked);
                answer.headers_mut().insert("Mcp-Session-Id", format!("s{before}").parse().unwrap());
                Some(answer)
            }
            "tools/call" if asked.headers.get("mcp-session-id")? == "s0" => {
                let body = json!({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": words}});
                Some(with(status, "application/json", body.to_string()))
            }
            _ => None,
        });
        let server = server.await;
        let environment = open(server.spec("streamable_http")).await.unwrap();
        environment.tools().await;
        assert_eq!(call(&*environment).await.unwrap().result, "went", "{status} {words}");
        assert_eq!((server.count("initialize"), server.count("tools/call")), (2, 2));
        environment.close().await;
        let goodbye = server.asked().into_iter().find(|asked| asked.method == Method::DELETE).unwrap();
        assert_eq!(goodbye.headers["mcp-session-id"], "s1");
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let server = RawServer::start(|asked, before| {
        let is_first = before == 0 && matches!(asked.what(), "initialize" | "tools/call");
        is_first.then(|| {
            let mut answer = with(429, "text/plain", "slow down");
            answer.headers_mut().insert("retry-after", "1".parse().unwrap());
            answer
        })
    });
    let server = server.await;
    let began = Instant::now();
    let environment = open(server.spec("streamable_http")).await.unwrap();
    environment.tools().await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(call(&*environment).await.unwrap().result, "went");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!((server.count("initialize"), server.count("tools/call")), (2, 2));
}

#[tokio::test]
async fn a_server_that_cannot_be_opened_is_told_in_one_sentence() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut spec = raw_program("");
    spec["servers"][0] = json!({
        "name": "raw", "transport": "streamable_http", "url": format!("http://{free}/mcp"), "headers": {}, "args": [], "env": {},
    });
    let refused = open(spec).await.err().unwrap().0;
    assert!(refused.contains(&format!("no connection to {free}: ")) && refused.contains("refused"), "{refused}");
    for (status, tries) in [(401, 1), (403, 1), (422, 1), (503, 3)] {
        let server = RawServer::start(move |_, _| Some(with(status, "text/html", "<html>no</html>"))).await;
        let refused = open(server.spec("streamable_http")).await.err().unwrap().0;
        assert!(refused.starts_with("the MCP server \"raw\" cannot be reached: 127.0.0.1:"), "{refused}");
        assert!(refused.contains(&status.to_string()) && !refused.contains("::"), "{refused}");
        assert_eq!(server.count("initialize"), tries, "{status}");
    }
    let server = RawServer::start(|_, _| {
        let mut answer = with(429, "text/plain", "");
        answer.headers_mut().insert("retry-after", "3600".parse().unwrap());
        Some(answer)
    });
    let refused = open(server.await.spec("streamable_http")).await.err().unwrap().0;
    assert!(refused.contains("asks to be left alone for 3600 s"), "{refused}");
}

#[tokio::test]
async fn an_odd_list_costs_only_what_is_odd() {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let mut deep = json!({});
    for _ in 0..120 {
        deep = json!({"properties": {"a": deep}});
    }
    for (page, expected) in [
        (
            json!({"tools": [tool("a"), {"name": "b"}, {"name": "c", "inputSchema": {}, "annotations": []}]}),
            vec!["raw_a", "raw_c"],
        ),
        (json!({"tools": [tool("a"), {"name": "deep", "inputSchema": deep}]}), vec!["raw_a"]),
        (json!({"tools": [tool("a")], "nextCursor": ""}), vec!["raw_a"]),
        (json!({"tools": [tool("a")], "nextCursor": "same"}), vec!["raw_a"]),
        (json!({"tools": [tool("a"), tool("a")], "nextCursor": 5}), vec!["raw_a"]),
        (json!({"tools": []}), vec![]),
    ] {
        let server = RawServer::start(move |asked, _| {
            (asked.what() == "tools/list").then(|| with(200, "application/json", reply(asked, &page)))
        });
        let server = server.await;
        let environment = open(server.spec("streamable_http")).await.unwrap();
        let names: Vec<_> = environment.tools().await.into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, expected);
        assert!(server.count("tools/list") <= 2);
    }
    let none = RawServer::start(|asked, _| {
        let body = json!({"id": asked.message["id"], "error": {"code": -32601, "message": "no such method"}});
        (asked.what() == "tools/list").then(|| with(200, "application/json", body.to_string()))
    });
    assert!(open(none.await.spec("streamable_http")).await.unwrap().tools().await.is_empty());
}

#[tokio::test]
async fn any_revision_is_spoken() {
    for version in [json!("2024-11-05"), json!("2025-11-25"), json!("2030-01-01"), json!(1), json!(null)] {
        let greeting = json!({"protocolVersion": version, "capabilities": {"tools": {"listChanged": "yes"}}});
        let server = RawServer::start(move |asked, _| {
            (asked.what() == "initialize").then(|| with(200, "application/json", reply(asked, &greeting)))
        });
        let server = server.await;
        let environment = open(server.spec("streamable_http")).await.unwrap();
        environment.tools().await;
        assert_eq!(call(&*environment).await.unwrap().result, "went");
        let asked = server.asked();
        let called = asked.iter().find(|asked| asked.what() == "tools/call").unwrap();
        let expected = version.as_str().unwrap_or("2025-11-25");
        assert_eq!(called.headers["mcp-protocol-version"], expected);
    }
    // One that knows only an older revision, and says which.
    let older = RawServer::start(|asked, before| {
        let data = json!({"supported": ["2025-03-26"], "requested": "2025-11-25"});
        let error =
            json!({"id": asked.message["id"], "error": {"code": -32602, "message": "wrong version", "data": data}});
        (asked.what() == "initialize" && before == 0).then(|| with(400, "application/json", error.to_string()))
    });
    let older = older.await;
    open(older.spec("streamable_http")).await.unwrap();
    let second = older.asked().into_iter().filter(|asked| asked.what() == "initialize").nth(1).unwrap();
    assert_eq!(second.message["params"]["protocolVersion"], "2025-03-26");
    // One of the revision that has no handshake.
    let newest = RawServer::start(|asked, _| match asked.what() {
        "initialize" => {
            let error = json!({"id": asked.message["id"], "error": {"code": -32601, "message": "Method not found"}});
            Some(with(404, "application/json", error.to_string()))
        }
        "server/discover" => {
            let found =
                json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "instructions": "Be new."});
            Some(with(200, "application/json", reply(asked, &found)))
        }
        _ => None,
    });
    let newest = newest.await;
    let environment = open(newest.spec("streamable_http")).await.unwrap();
    assert!(environment.opening().await.unwrap().text.unwrap().contains("Be new."));
    environment.tools().await;
    assert_eq!(call(&*environment).await.unwrap().result, "went");
    let called = newest.asked().into_iter().find(|asked| asked.what() == "tools/call").unwrap();
    let header = |name: &str| called.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("mcp-protocol-version"), header("mcp-method"), header("mcp-name")),
        ("2026-07-28".into(), "tools/call".into(), "go".into())
    );
    assert_eq!(called.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[tokio::test]
async fn a_reply_comes_by_any_stream() {
    let server = RawServer::start(|asked, before| match (asked.what(), before) {
        ("tools/call", 0) => {
            let reply = reply(asked, &json!({"content": "one"}));
            let noise = r#"{"method":"notifications/message","params":{}}"#;
            Some(with(
                200,
                "Text/Event-Stream;charset=utf-8",
                format!(": hello\r\n\r\ndata: {noise}\r\n\r\nevent: message\rid: 4\rdata: {reply}\r\r"),
            ))
        }
        // It ends early, and names an event to go on after.
        ("tools/call", 1) => Some(with(200, "text/event-stream", "id: 5\nretry: 1\ndata:\n\n")),
        ("", _) if asked.method == Method::GET && asked.headers.get("last-event-id")? == "5" => {
            Some(with(200, "text/event-stream", "data: {\"id\": 4, \"result\": {\"content\": \"two\"}}\n\n"))
        }
        _ => None,
    });
    let server = server.await;
    let environment = open(server.spec("streamable_http")).await.unwrap();
    environment.tools().await;
    assert_eq!(call(&*environment).await.unwrap().result, "one");
    assert_eq!(call(&*environment).await.unwrap().result, "two");
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_what_was_posted() {
    for status in [301, 302, 307, 308] {
        let server = RawServer::start(move |asked, before| {
            (asked.what() == "initialize" && before == 0).then(|| redirect(status, "/elsewhere"))
        });
        let server = server.await;
        open(server.spec("streamable_http")).await.unwrap();
        assert_eq!(server.count("initialize"), 2, "{status}");
    }
    let away = RawServer::start(|_, _| Some(redirect(308, "https://example.com/secret/path"))).await;
    let refused = open(away.spec("streamable_http")).await.err().unwrap().0;
    assert!(refused.contains("redirects to another origin, https://example.com, which is not followed"), "{refused}");
    let round = RawServer::start(|_, _| Some(redirect(307, "/mcp"))).await;
    let refused = open(round.spec("streamable_http")).await.err().unwrap().0;
    assert!(refused.contains("redirects without end"), "{refused}");
}

fn redirect(status: u16, location: &str) -> Response {
    let mut answer = with(status, "text/plain", "");
    answer.headers_mut().insert("location", location.parse().unwrap());
    answer
}

#[tokio::test]
async fn a_server_of_the_older_transport_is_found_under_the_newer_name() {
    let (events, _) = tokio::sync::broadcast::channel::<String>(64);
    let server = RawServer::start(move |asked, _| {
        if asked.method == Method::GET {
            let first = stream::once(async { "event: endpoint\ndata: /post\n\n".to_owned() });
            let receiver = events.subscribe();
            let rest = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await.ok()?, receiver)));
            return Some(with(200, "text/event-stream", Body::from_stream(first.chain(rest).map(Ok::<_, Infallible>))));
        }
        if events.receiver_count() == 0 {
            return Some(with(405, "text/plain", ""));
        }
        let result = match asked.what() {
            "initialize" => json!({"protocolVersion": "2024-11-05", "capabilities": {}}),
            "tools/list" => json!({"tools": [{"name": "go", "inputSchema": {}}]}),
            _ => json!({"content": "by the older one"}),
        };
        events.send(format!("data: {}\n\n", reply(asked, &result))).unwrap();
        Some(with(202, "text/plain", "Accepted"))
    });
    let environment = open(server.await.spec("streamable_http")).await.unwrap();
    environment.tools().await;
    assert_eq!(call(&*environment).await.unwrap().result, "by the older one");
}

#[tokio::test]
async fn pings_are_answered_and_wishes_refused() {
    let server = RawServer::start(|asked, _| {
        let said = r#"[{"id": "p", "method": "ping"}, {"id": 0, "method": "sampling/createMessage", "params": {}}]"#;
        let reply = reply(asked, &json!({"content": "done"}));
        (asked.what() == "tools/call")
            .then(|| with(200, "text/event-stream", format!("data: {said}\n\ndata: {reply}\n\n")))
    });
    let server = server.await;
    let environment = open(server.spec("streamable_http")).await.unwrap();
    environment.tools().await;
    assert_eq!(call(&*environment).await.unwrap().result, "done");
    let answers = async {
        loop {
            let answers: Vec<_> = server
                .asked()
                .into_iter()
                .map(|asked| asked.message)
                .filter(|it| it.get("method").is_none() && it.is_object())
                .collect();
            if answers.len() == 2 {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answers = tokio::time::timeout(AT_ONCE, answers).await.unwrap();
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!(0), &json!(-32601)));
}

/// Each flood is endless, and its server takes no answers. What is held must not grow with it.
#[tokio::test]
async fn a_flood_ends_the_link_and_holds_no_memory() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static OPEN_MAX: AtomicUsize = AtomicUsize::new(0);
    let server = |said: &'static str| {
        RawServer::start(move |asked, _| {
            let is_answer = asked.message.get("method").is_none() && asked.method == Method::POST;
            if is_answer {
                let open = OPEN.fetch_add(1, Ordering::SeqCst) + 1;
                OPEN_MAX.fetch_max(open, Ordering::SeqCst);
                return Some(with(
                    200,
                    "text/plain",
                    Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()),
                ));
            }
            let flood = stream::repeat_with(move || Ok::<_, Infallible>(said.repeat(1_000)));
            (asked.what() == "tools/call").then(|| with(200, "text/event-stream", Body::from_stream(flood)))
        })
    };
    let pings = server("data: {\"id\": 1, \"method\": \"ping\"}\n\n").await;
    let words = server("data: {\"method\": \"notifications/message\"}\n\n").await;
    let program = raw_program("");
    let before = memory();
    for (spec, told) in [
        (pings.spec("streamable_http"), "more than 64 answers at once"),
        (words.spec("streamable_http"), "too much that nobody had asked for"),
        (program, "more than 64 answers at once"),
    ] {
        let environment = open(spec.clone()).await.unwrap();
        environment.tools().await;
        let failed = environment.call("raw_go", &arguments(&json!({"how": "flood"}))).await.unwrap_err();
        assert!(failed.0.contains(told), "{failed}");
        let held = memory().saturating_sub(before);
        assert!(held < 64 << 20, "{} MiB more for {spec}", held >> 20);
    }
    assert!(OPEN_MAX.load(Ordering::SeqCst) <= 1, "answers are sent one at a time");
}

/// Bytes of this process that are in memory.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<usize>().ok()).unwrap_or_default() << 10
}

fn arguments(value: &Value) -> JsonObject {
    value.as_object().cloned().unwrap_or_default()
}

async fn call(environment: &dyn Environment) -> Result<Output, CallError> {
    environment.call("raw_go", &JsonObject::new()).await
}

async fn open(spec: Value) -> Result<Box<dyn Environment>, OpenError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/raw.sh");
    let settings = HostingSettings {
        guard: Guard::allowing("127.0.0.1").unwrap(),
        commands: BTreeMap::from([("raw".to_owned(), vec!["/bin/sh".to_owned(), script.to_owned()])]),
        ..HostingSettings::default()
    };
    Hosting::new(settings).open(&serde_json::from_value(spec).unwrap(), &OpenContext::detached()).await
}
