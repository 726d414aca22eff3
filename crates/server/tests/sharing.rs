//! Feedback, share links and files, over HTTP.

#[path = "sharing/world.rs"]
mod world;

use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use world::{Answer, NOBODY, OTHER_ORGANIZATION, OWNER, World};

const OK: StatusCode = StatusCode::OK;
const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;
const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// What shows of a session.
const READS: [&str; 4] = ["", "/status", "/changes", "/events"];

#[tokio::test]
async fn the_last_feedback_on_a_session_counts() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    let path = format!("{session}/feedback");
    for (success, message) in [(false, Some("Wrong.")), (true, None)] {
        let body = json!({"success": success, "message": message});
        assert_eq!(world.call(OWNER, "POST", &path, Some(body)).await.status, NO_CONTENT);
        let feedback = world.rating(&session, None).await.unwrap().feedback;
        assert_eq!((feedback.success, feedback.message.as_deref()), (success, message));
    }
    world.stop().await;
}

#[tokio::test]
async fn only_events_that_exist_can_be_rated() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    let length = world.get(OWNER, &format!("{session}/events")).await.json()["total"].as_i64().unwrap();
    let body = || Some(json!({"success": false}));
    for (index, status) in [(0, NO_CONTENT), (length - 1, NO_CONTENT), (length, NOT_FOUND), (-1, NOT_FOUND)] {
        let answer = world.call(OWNER, "PUT", &format!("{session}/events/{index}/feedback"), body()).await;
        assert_eq!(answer.status, status, "{index}");
    }
    assert!(world.rating(&session, Some(0)).await.is_some());
    assert!(world.rating(&session, Some(1)).await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_session_is_changed_by_its_organization_alone_even_while_it_is_shared() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    world.share(&session).await;
    let feedback = json!({"success": true});
    for (method, path, body) in [
        ("POST", "/feedback", Some(feedback.clone())),
        ("PUT", "/events/0/feedback", Some(feedback)),
        ("POST", "/share", None),
        ("DELETE", "/share", None),
        ("POST", "/messages", Some(json!({"type": "user_message", "message": "Hi"}))),
        ("POST", "/pause", None),
        ("POST", "/force_answer", None),
        ("DELETE", "", None),
    ] {
        let path = format!("{session}{path}");
        assert_eq!(
            world.call(OTHER_ORGANIZATION, method, &path, body.clone()).await.status,
            NOT_FOUND,
            "{method} {path}"
        );
        assert_eq!(world.call(NOBODY, method, &path, body).await.status, UNAUTHORIZED, "{method} {path}");
    }
    let child = json!({"agent": "h/web-surfer-flash", "parent_session_id": session.rsplit('/').next()});
    assert_eq!(world.call(OTHER_ORGANIZATION, "POST", "/api/v2/sessions", Some(child)).await.status, NOT_FOUND);
    assert_eq!(world.get(OWNER, &format!("{session}/status")).await.json()["status"], "idle");
    assert!(world.rating(&session, None).await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_session_shows_to_everybody_while_it_is_shared_and_not_a_moment_longer() {
    let world = World::new().await;
    let session = world.session(json!({"message": "Go", "files": [text_file("a.txt")]})).await;
    let file = world.attachments(&session).await[0]["url"].as_str().unwrap().to_owned();
    let reads = || READS.iter().map(|read| format!("{session}{read}")).chain([file.clone()]);
    for status in [NOT_FOUND, OK, NOT_FOUND] {
        if status == OK {
            world.share(&session).await;
        } else {
            world.unshare(&session).await;
        }
        for path in reads() {
            assert_eq!(world.get(NOBODY, &path).await.status, status, "{path}");
            assert_eq!(world.get(OTHER_ORGANIZATION, &path).await.status, status, "{path}");
            assert_eq!(world.get(OWNER, &path).await.status, OK, "{path}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_shared_answers_as_what_does_not_exist() {
    let world = World::new().await;
    let hidden = world.session(json!("Go")).await;
    let missing = "/api/v2/sessions/3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let told = |path: &str, answer: Answer| {
        let id = path.rsplit('/').next().unwrap();
        String::from_utf8(answer.body).unwrap().replace(id, "ID")
    };
    for read in READS {
        let hidden_answer = told(&hidden, world.get(OTHER_ORGANIZATION, &format!("{hidden}{read}")).await);
        assert_eq!(hidden_answer, told(missing, world.get(OTHER_ORGANIZATION, &format!("{missing}{read}")).await));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_poll_that_outlives_the_share_tells_nothing() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    world.share(&session).await;
    let length = world.get(OWNER, &format!("{session}/events")).await.json()["total"].as_i64().unwrap();
    let path = format!("{session}/changes?from_index={length}&wait_for_seconds=20");
    let end = async {
        tokio::time::sleep(Duration::from_millis(300)).await; // the poll waits by now
        world.unshare(&session).await;
        let message = json!({"type": "user_message", "message": "Secret"});
        world.call(OWNER, "POST", &format!("{session}/messages"), Some(message)).await
    };
    let (poll, _) = tokio::join!(world.get(NOBODY, &path), end);
    assert_eq!(poll.status, NOT_FOUND);
    world.stop().await;
}

#[tokio::test]
async fn a_link_shows_the_session_with_its_whole_log() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    let link = world.share(&session).await;
    let shown = world.get(NOBODY, &link).await;
    assert_eq!((shown.status, shown.header("content-type")), (OK, "application/json"));
    assert_discreet(&shown);
    let Value::Object(mut shown) = shown.json() else { panic!("it is an object") };
    let events = shown.remove("events").unwrap();
    assert_eq!(Value::Object(shown), world.get(OWNER, &session).await.json());
    assert_eq!(events, world.get(OWNER, &format!("{session}/events?size=200")).await.json()["items"]);
    assert_eq!(world.call(OWNER, "POST", &link, None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    world.stop().await;
}

#[tokio::test]
async fn a_long_log_reads_whole_through_its_link() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    for _ in 0..6 {
        let messages: Vec<_> = (0..100).map(|number| json!({"message": number.to_string()})).collect();
        let body = json!({"type": "batch", "messages": messages});
        let said = world.call(OWNER, "POST", &format!("{session}/messages"), Some(body)).await;
        assert_eq!(said.status, StatusCode::ACCEPTED);
        world.until(&session, "idle").await;
    }
    let link = world.share(&session).await;
    let events = world.get(NOBODY, &link).await.json()["events"].as_array().unwrap().len();
    assert!(events > 600, "{events}");
    assert_eq!(
        events,
        world.get(OWNER, &format!("{session}/changes")).await.json()["new_events"].as_array().unwrap().len()
    );
    world.stop().await;
}

#[tokio::test]
async fn a_link_stays_the_same_until_it_is_dead_for_good() {
    let world = World::new().await;
    let session = world.session(json!("Go")).await;
    world.unshare(&session).await;
    let first = world.share(&session).await;
    assert_eq!(world.share(&session).await, first);
    world.unshare(&session).await;
    let dead = world.get(NOBODY, &first).await;
    assert_eq!(dead.status, NOT_FOUND);
    assert_discreet(&dead);
    let second = world.share(&session).await;
    assert_ne!(first, second);
    assert_eq!(world.get(NOBODY, &first).await.status, NOT_FOUND);
    assert_eq!(world.get(NOBODY, &second).await.status, OK);
    let id = session.rsplit('/').next().unwrap();
    let (place, token) = second.rsplit_once('/').unwrap();
    assert!(token.len() == 64 && !token.contains(&id.replace('-', "")));
    assert_eq!(world.get(NOBODY, &format!("{place}/{id}")).await.status, NOT_FOUND);
    world.stop().await;
}

#[tokio::test]
async fn attached_files_are_in_the_log_and_can_be_fetched() {
    let world = World::new().await;
    let session = world.session(json!({"message": "Go", "files": [text_file("dir/März.txt")]})).await;
    let more = json!({"type": "user_message", "message": "And this", "files": [
        {"source": base64("<svg onload=alert(1)>"), "name": "x.svg"},
        {"type": "url", "source": "https://example.com/y.pdf", "name": "y.pdf"},
    ]});
    assert_eq!(
        world.call(OWNER, "POST", &format!("{session}/messages"), Some(more)).await.status,
        StatusCode::ACCEPTED
    );
    world.until(&session, "idle").await;
    let files = world.attachments(&session).await;
    let told: Vec<_> = files.iter().map(|file| (&file["name"], &file["media_type"], &file["size_bytes"])).collect();
    assert_eq!(
        told,
        [
            (&json!("März.txt"), &json!("text/plain"), &json!(5)),
            (&json!("x.svg"), &json!("image/svg+xml"), &json!(21)),
            (&json!("y.pdf"), &json!("application/octet-stream"), &json!(0)),
        ]
    );
    let text = world.get(OWNER, files[0]["url"].as_str().unwrap()).await;
    assert_eq!(
        (text.status, text.header("content-type"), text.header("content-disposition")),
        (OK, "text/plain; charset=utf-8", "inline")
    );
    let caching = "private, max-age=31536000, immutable";
    assert_eq!((text.body.as_slice(), text.header("cache-control")), (&b"hello"[..], caching));
    let picture = world.get(OWNER, files[1]["url"].as_str().unwrap()).await;
    assert_eq!(
        (picture.header("content-type"), picture.header("content-disposition")),
        ("image/svg+xml", "attachment")
    );
    assert_eq!(picture.header("x-content-type-options"), "nosniff");
    assert_eq!(files[2]["url"], "https://example.com/y.pdf");
    world.stop().await;
}

#[tokio::test]
async fn a_file_is_found_in_its_own_session_only() {
    let world = World::new().await;
    let session = world.session(json!({"message": "Go", "files": [text_file("a.txt")]})).await;
    let other = world.session(json!("Go")).await;
    let url = world.attachments(&session).await[0]["url"].as_str().unwrap().to_owned();
    let id = session.rsplit('/').next().unwrap();
    for path in [
        url.replace(&session, &other),
        format!("{other}/resources/attachments/%2e%2e/%2e%2e/{id}/attachments/{}", url.rsplit('/').next().unwrap()),
        format!("{other}/resources/..%2f{id}/x"),
        format!("{session}/resources/attachments/none"),
        format!("{session}/resources/attachments/a%00b"),
        format!("{session}/resources/attachments/{}", "x".repeat(4096)),
    ] {
        assert_eq!(world.get(OWNER, &path).await.status, NOT_FOUND, "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn too_many_too_large_and_broken_files_are_refused_by_name() {
    let world = World::new().await;
    let large = json!({"source": "A".repeat(5_000_000), "name": "a.bin"});
    for (files, loc) in [
        (json!([{"source": "%%", "name": "a.txt"}]), json!(["body", "messages", "object", "files", 0, "source"])),
        (json!(vec![text_file("a.txt"); 11]), json!(["body", "messages", "object", "files"])),
        (json!([large, large]), json!(["body", "messages", "object", "files"])),
    ] {
        let body = json!({"agent": "h/web-surfer-flash", "messages": {"message": "Go", "files": files}});
        let refused = world.call(OWNER, "POST", "/api/v2/sessions", Some(body)).await;
        assert_eq!((refused.status, &refused.json()["detail"][0]["loc"]), (INVALID, &loc));
    }
    world.stop().await;
}

fn text_file(name: &str) -> Value {
    json!({"source": base64("hello"), "name": name})
}

fn base64(text: &str) -> &'static str {
    match text {
        "hello" => "aGVsbG8=",
        _ => "PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+",
    }
}

fn assert_discreet(answer: &Answer) {
    let headers = ["cache-control", "x-robots-tag", "referrer-policy"].map(|name| answer.header(name));
    assert_eq!(headers, ["no-store", "noindex", "no-referrer"]);
}
