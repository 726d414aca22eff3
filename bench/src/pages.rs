//! Pages out of a long log and out of many sessions.

use crate::{
    Arguments,
    client::Client,
    server::{Engine, Server},
    table::{Table, Times},
};
use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EVENTS: usize = 10_000;
const SESSIONS: usize = 100_000;
/// Connections that create the sessions.
const CREATORS: usize = 64;
/// How often each page is asked for.
const ROUNDS: usize = 200;
const TALK: &str = r#"{"agent": {"name": "bench", "description": "Answers.", "environments": [],
    "tools": [{"name": "unused", "description": "Never called."}]}, "idle_timeout_s": 600}"#;

pub(crate) async fn measure(arguments: &Arguments, engine: &Engine, table: &mut Table) -> Result<()> {
    let server = Server::start(arguments, engine, None).await?;
    let mut client = Client::connect(&server.address).await?;
    let floor = times(&mut client, "/healthz").await?.percentiles();
    let id = long_log(&mut client).await?;
    for (which, query) in [("first", "size=50&sort=timestamp"), ("last", "size=50&sort=-timestamp")] {
        let path = format!("/api/v2/sessions/{id}/events?{query}");
        let figure = times(&mut client, &path).await?.percentiles();
        let what = format!("{which} page of 50 out of {EVENTS} events");
        table.row(engine.name, &what, figure, format!("aim: under 1 ms in the server; /healthz: {floor}"));
    }
    let path = format!("/api/v2/sessions/{id}/changes?from_index={}&limit=50", EVENTS - 50);
    let figure = times(&mut client, &path).await?.percentiles();
    table.row(engine.name, "the last 50 by changes", figure, String::new());
    many_sessions(&server.address).await?;
    // The server has closed the connection that was not used meanwhile.
    let mut client = Client::connect(&server.address).await?;
    for query in [
        "",
        "page=2000",
        "sort=created_at",
        "status=completed",
        "status=failed",
        "group_id=g7",
        "agent=h/web-surfer-flash",
        "search=Task+99",
        "search=nowhere",
        "created_before=2020-01-01T00:00:00Z",
        "owner=me",
    ] {
        let figure = times(&mut client, &format!("/api/v2/sessions?size=50&{query}")).await?.percentiles();
        let what = format!("a page of 50 out of {SESSIONS} sessions, `{query}`");
        table.row(engine.name, &what, figure, "aim: under 10 ms".into());
    }
    Ok(())
}

async fn times(client: &mut Client, path: &str) -> Result<Times> {
    let mut times = Times::default();
    let give_up = Instant::now() + Duration::from_secs(20);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (status, _) = client.get(path).await?;
        ensure!(status == 200, "{path} answered {status}");
        times.push(began.elapsed());
        if Instant::now() > give_up {
            break;
        }
    }
    Ok(times)
}

/// A conversation in which much is said at once.
async fn long_log(client: &mut Client) -> Result<String> {
    let id = client.create(TALK).await?;
    let mut next = client.follow(&id, 0, &["idle"]).await?;
    let messages: Vec<Value> = (0..900).map(|n| json!({"message": format!("Message {n}")})).collect();
    let batch = json!({"type": "batch", "messages": messages}).to_string();
    while next < EVENTS {
        let (status, _) = client.send(Method::POST, &format!("/api/v2/sessions/{id}/messages"), Some(&batch)).await?;
        ensure!(status == 202, "messages answered {status}");
        next = client.follow(&id, next + 1, &["idle"]).await?;
    }
    Ok(id)
}

async fn many_sessions(address: &str) -> Result<()> {
    let creators: Vec<_> = (0..CREATORS).map(|number| tokio::spawn(create(address.to_owned(), number))).collect();
    for creator in creators {
        creator.await??;
    }
    Ok(())
}

async fn create(address: String, number: usize) -> Result<()> {
    let mut client = Client::connect(&address).await?;
    for n in (number..SESSIONS).step_by(CREATORS) {
        let body = json!({
            "agent": {"name": "bench", "description": "Answers.", "environments": [],
                "tools": [{"name": "unused", "description": "Never called."}]},
            "messages": format!("Task {n}"),
            "group_id": format!("g{}", n % 1_000),
        });
        let id = client.create(&body.to_string()).await?;
        client.follow(&id, 0, &["completed"]).await?;
    }
    Ok(())
}
