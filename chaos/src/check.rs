//! After the storm: whether every server tells the same story, and whether nothing was left behind.

use crate::{
    client::Client,
    log::{Changes, Event},
    promises::{Kept, digest},
    storm::Death,
    world::World,
};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// Sessions a page of a listing.
const PAGE: usize = 100;
/// Checks at the same time.
const CHECKERS: usize = 4;

/// Holds what every server says against what the clients saw.
pub(crate) async fn check(world: &Arc<World>, kept: &Arc<Vec<Kept>>) -> Result<()> {
    let checkers: Vec<_> =
        (0..CHECKERS).map(|part| tokio::spawn(check_part(Arc::clone(world), Arc::clone(kept), part))).collect();
    for checker in checkers {
        checker.await??;
    }
    for server in 0..world.servers.len() {
        check_list(world, server, kept).await?;
    }
    Ok(())
}

async fn check_part(world: Arc<World>, kept: Arc<Vec<Kept>>, part: usize) -> Result<()> {
    let mut client = Client::new(Arc::clone(&world), part as u64);
    for (place, session) in kept.iter().enumerate().skip(part).step_by(CHECKERS) {
        for server in 0..world.servers.len() {
            client.go_to(server);
            check_log(&world, &mut client, server, session).await?;
        }
        client.go_to(place % world.servers.len());
        check_pages(&world, &mut client, session).await?;
    }
    Ok(())
}

async fn check_log(world: &World, client: &mut Client, server: usize, session: &Kept) -> Result<()> {
    let path = format!("/api/v2/sessions/{}/changes?from_index=0", session.id);
    let (status, body) = client.get_surely(&path).await?;
    if status != 200 {
        world.violation(format!("session {}: server {server} answered {status} afterwards", session.id));
        return Ok(());
    }
    let changes: Changes = serde_json::from_slice(&body)?;
    let found = digest(changes.new_events.iter().map(|event| event.get()));
    let same = found == session.digest && changes.new_events.len() == session.length;
    if !same || changes.status != session.status {
        world.violation(format!("session {}: server {server} tells another story than its follower saw", session.id));
        keep_evidence(world, session, server, &body)?;
    }
    let answers: Vec<Event> = changes.new_events.iter().map(|event| Event::read(event)).collect::<Result<_, _>>()?;
    let last = answers.iter().rev().find_map(|event| event.answer()).unwrap_or(&Value::Null);
    if last != &changes.answer {
        world.violation(format!("session {}: its answer is not the last one of its log", session.id));
    }
    Ok(())
}

/// The same log, page by page.
async fn check_pages(world: &World, client: &mut Client, session: &Kept) -> Result<()> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Box<serde_json::value::RawValue>>,
        total: usize,
    }
    let mut texts: Vec<String> = Vec::new();
    for page in 1.. {
        let path = format!("/api/v2/sessions/{}/events?size=200&page={page}", session.id);
        let (status, body) = client.get_surely(&path).await?;
        ensure!(status == 200, "{path} answered {status}");
        let answer: Page = serde_json::from_slice(&body)?;
        texts.extend(answer.items.iter().map(|event| event.get().to_owned()));
        if answer.items.is_empty() || texts.len() >= answer.total {
            break;
        }
    }
    if digest(texts.iter().map(String::as_str)) != session.digest {
        world.violation(format!("session {}: its pages of events are not its log", session.id));
    }
    Ok(())
}

fn keep_evidence(world: &World, session: &Kept, server: usize, body: &[u8]) -> Result<()> {
    let path = world.folder.join(format!("{}-server-{server}.json", session.id));
    std::fs::write(&path, body).with_context(|| path.display().to_string())
}

/// Every acknowledged session is there once, and none that anybody made, acknowledged or not, is stuck.
async fn check_list(world: &Arc<World>, server: usize, kept: &[Kept]) -> Result<()> {
    let listed = list(world, server).await?;
    let ids: BTreeSet<&str> = listed.iter().map(|session| session.id.as_str()).collect();
    if ids.len() != listed.len() {
        world.violation(format!("server {server} lists a session twice"));
    }
    for session in kept.iter().filter(|session| !ids.contains(session.id.as_str())) {
        world.violation(format!("server {server} does not list session {}", session.id));
    }
    let mut by_tag: BTreeMap<&str, usize> = BTreeMap::new();
    for session in &listed {
        *by_tag.entry(session.tag().unwrap_or_default()).or_default() += 1;
        if matches!(session.status.as_str(), "queued" | "pending" | "running") {
            world.violation(format!("server {server}: session {} is stuck: {}", session.id, session.status));
        }
    }
    for key in kept.iter().filter_map(|session| session.key.as_deref()) {
        let count = by_tag.get(key).copied().unwrap_or_default();
        if count != 1 {
            world.violation(format!("server {server} has {count} sessions for the idempotency key {key}"));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    status: String,
    first_message: Option<Value>,
}

impl Listed {
    fn tag(&self) -> Option<&str> {
        self.first_message.as_ref()?["message"].as_str()?.split(' ').nth(1)
    }
}

async fn list(world: &Arc<World>, server: usize) -> Result<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Listed>,
        total: usize,
    }
    let mut client = Client::new(Arc::clone(world), 0);
    let mut listed = Vec::new();
    for page in 1.. {
        client.go_to(server);
        let path = format!("/api/v2/sessions?size={PAGE}&sort=created_at&page={page}");
        let (status, body) = client.get_surely(&path).await?;
        ensure!(status == 200, "{path} answered {status}");
        let answer: Page = serde_json::from_slice(&body)?;
        let is_last = answer.items.is_empty();
        listed.extend(answer.items);
        if is_last || listed.len() >= answer.total {
            return Ok(listed);
        }
    }
    Ok(listed)
}

/// How long sessions stood still after their server's death; the model's time for a reply is in it.
pub(crate) fn failovers(kept: &[Kept], deaths: &[Death]) -> Vec<Duration> {
    let by_id: HashMap<&str, &Kept> = kept.iter().map(|session| (session.id.as_str(), session)).collect();
    let mut waits = Vec::new();
    for death in deaths {
        let sessions: Vec<&&Kept> = match &death.sessions {
            Some(ids) => ids.iter().filter_map(|id| by_id.get(id.to_string().as_str())).collect(),
            None => by_id.values().collect(),
        };
        waits.extend(sessions.iter().filter_map(|session| wait_after(session, death)));
    }
    waits
}

/// To the first event of a worker, if the session was at work.
fn wait_after(session: &Kept, death: &Death) -> Option<Duration> {
    session.moments.iter().take_while(|moment| moment.at <= death.at).last().filter(|moment| moment.busy)?;
    let next = session.moments.iter().find(|moment| moment.by_worker && moment.at > death.at)?;
    (next.at - death.back).to_std().ok()
}
