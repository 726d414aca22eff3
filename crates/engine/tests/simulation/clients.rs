//! Clients: they create a session, say things to it, follow its log, and write down what they were told.

use crate::{
    runner::CLIENTS_TOOL,
    world::{PATIENCE, World},
};
use quarterdeck_api::{
    OrganizationId, SessionId, SessionRequest, Status, ToolResult, ToolResultItem, UserId, UserMessage,
};
use quarterdeck_core::Command;
use quarterdeck_engine::{ChangesQuery, CreateError, Created, IdempotencyKey, Preparation, Repeatable, SubmitError};
use quarterdeck_store::Caller;
use rand::{RngExt as _, rngs::SmallRng};
use serde_json::{Value, json, value::RawValue};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// What a client saw of its session.
pub(crate) struct Client {
    pub(crate) id: SessionId,
    pub(crate) orders: Vec<Order>,
    pub(crate) followers: Vec<Follower>,
    /// Reads that were older than what had been acknowledged before.
    pub(crate) stale: Vec<String>,
}

/// Something that was asked for.
pub(crate) struct Order {
    pub(crate) wish: Wish,
    pub(crate) answer: Answer,
    /// Versions of the session when it was asked for and when it was answered.
    pub(crate) versions: (u64, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Say(String),
    Pause,
    Resume,
    ForceAnswer,
    /// A result of this call.
    Result(String),
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Yes,
    /// The rules do not allow it, so nothing is done.
    No,
    /// The connection broke, or the store failed: it may be done.
    Unknown,
}

/// Somebody who reads a log by long polls.
#[derive(Default)]
pub(crate) struct Follower {
    pub(crate) events: Vec<Arc<RawValue>>,
    pub(crate) polls: Vec<Poll>,
}

/// A poll that was answered.
pub(crate) struct Poll {
    pub(crate) asked_at: Instant,
    pub(crate) answered_at: Instant,
    pub(crate) from: u64,
}

pub(crate) fn caller() -> Caller {
    Caller { organization: OrganizationId(Uuid::from_u128(1)), user: UserId(Uuid::from_u128(2)) }
}

/// Creates a session and lives with it; none when it could not be had.
pub(crate) async fn live(world: &Rc<World>, number: u64) -> Option<Client> {
    let mut random = world.random(200 + number);
    sleep(Duration::from_millis(random.random_range(0..3_000))).await;
    let id = create(world, number, &mut random).await?;
    let follower = follow(world, id, world.random(300 + number));
    let (orders, follower) = tokio::join!(order(world, id, number, &mut random), follower);
    let (orders, stale) = orders;
    Some(Client { id, orders, followers: vec![follower], stale })
}

/// Tries, always with the same key, until it is told which session it has.
async fn create(world: &World, number: u64, random: &mut SmallRng) -> Option<SessionId> {
    let request: SessionRequest = serde_json::from_value(request(random)).unwrap();
    while !world.calm.is_cancelled() {
        if let Some(door) = world.any_door(random) {
            let key = IdempotencyKey { key: format!("key {number}"), request_hash: [0; 32] };
            let request = request.clone();
            let answer = world
                .ask(&door, PATIENCE, async |sessions| {
                    let prepared = match sessions.prepare(caller(), request, Some(&key)).await? {
                        Preparation::New(prepared) => prepared,
                        Preparation::Replayed(answer) => return Ok(Created::Replayed(answer)),
                    };
                    let answer = prepared.started().session.id.to_string();
                    let repeatable = Repeatable { key, started: answer.clone(), queued: Some(answer) };
                    sessions.admit(*prepared, Some(repeatable)).await
                })
                .await;
            match answer {
                Some(Ok(Created::New(record))) => return Some(created(world, record.session.id, door.number)),
                Some(Ok(Created::Replayed(id))) => return Some(created(world, id.parse().unwrap(), door.number)),
                Some(Err(CreateError::Store(_))) | None => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
        sleep(Duration::from_millis(random.random_range(50..800))).await;
    }
    None
}

fn created(world: &World, id: SessionId, door: usize) -> SessionId {
    world.note(format!("{id} is created through {door}"));
    id
}

fn request(random: &mut SmallRng) -> Value {
    let tool = json!({"name": CLIENTS_TOOL, "description": "A tool.", "input_schema": {"type": "object"}});
    let agent = json!({"name": "tester", "description": "Tests things.", "environments": [], "tools": [tool]});
    let mut request = json!({"agent": agent, "messages": "Go", "queue": true});
    if random.random_bool(0.5) {
        request["idle_timeout_s"] = random.random_range(1..8).into();
    }
    if random.random_bool(0.4) {
        request["max_time_s"] = random.random_range(2..10).into();
    }
    if random.random_bool(0.3) {
        request["max_steps"] = random.random_range(1..4).into();
    }
    request
}

/// Asks for this and that until it is calm, and says one last thing then.
async fn order(world: &World, id: SessionId, number: u64, random: &mut SmallRng) -> (Vec<Order>, Vec<String>) {
    let (mut orders, mut stale) = (Vec::new(), Vec::new());
    for count in 0..random.random_range(0..7) {
        let pause = sleep(Duration::from_millis(random.random_range(0..2_500)));
        tokio::select! {
            biased;
            () = world.calm.cancelled() => break,
            () = pause => {}
        }
        if let Some(order) = submit(world, id, wish(world, id, (number, count), random), random).await {
            orders.push(order);
        }
        stale.extend(look(world, id, random).await);
    }
    world.calm.cancelled().await;
    let last = Wish::Say(format!("last words {number}"));
    orders.extend(submit(world, id, last, random).await);
    (orders, stale)
}

fn wish(world: &World, id: SessionId, (number, count): (u64, u64), random: &mut SmallRng) -> Wish {
    let owed = world.store.peek(id).and_then(|stored| stored.session.state.pending_tool_calls().first().cloned());
    if let Some(call) = owed.and_then(|call| call.id).filter(|_| random.random_bool(0.6)) {
        return Wish::Result(call);
    }
    match random.random_range(0..20) {
        0..9 => Wish::Say(format!("message {number}.{count}")),
        9..13 => Wish::Pause,
        13..17 => Wish::Resume,
        17..19 => Wish::ForceAnswer,
        _ => Wish::Cancel,
    }
}

fn command(world: &World, id: SessionId, wish: &Wish) -> Option<Command> {
    Some(match wish {
        Wish::Say(text) => Command::Message(vec![UserMessage::text(text)]),
        Wish::Pause => Command::Pause,
        Wish::Resume => Command::Resume,
        Wish::ForceAnswer => Command::ForceAnswer,
        Wish::Cancel => Command::Cancel,
        Wish::Result(call) => {
            let stored = world.store.peek(id)?;
            let pending = stored.session.state.pending_tool_calls().iter();
            let tool_req = pending.into_iter().find(|known| known.id.as_ref() == Some(call))?.clone();
            let result = ToolResult { tool_req, result: "done".into(), truncated: false, output_artifact_path: None };
            Command::ToolResults(vec![ToolResultItem::Result(result)])
        }
    })
}

/// Asks once, through any replica.
async fn submit(world: &World, id: SessionId, wish: Wish, random: &mut SmallRng) -> Option<Order> {
    let (door, command) = (world.any_door(random)?, command(world, id, &wish)?);
    let asked_on = version(world, id);
    // Some clients hang up early, wherever the server stands.
    let patience = if random.random_bool(0.2) { Duration::from_millis(random.random_range(0..40)) } else { PATIENCE };
    let answer = world.ask(&door, patience, async |sessions| sessions.submit(caller(), id, command).await).await;
    let answer = match answer {
        Some(Ok(())) => Answer::Yes,
        Some(Err(SubmitError::Rejected(_))) => Answer::No,
        Some(Err(SubmitError::Store(_) | SubmitError::Contended(_))) | None => Answer::Unknown,
        Some(Err(error)) => panic!("{error}"),
    };
    world.note(format!("{id} {wish:?} through {}: {answer:?}", door.number));
    Some(Order { wish, answer, versions: (asked_on, version(world, id)) })
}

fn version(world: &World, id: SessionId) -> u64 {
    world.store.peek(id).map_or(0, |stored| stored.session.version)
}

/// Reads the session through any replica; tells when that is older than what was stored before.
async fn look(world: &World, id: SessionId, random: &mut SmallRng) -> Option<String> {
    let door = world.any_door(random)?;
    let stored = version(world, id);
    let read = world.ask(&door, PATIENCE, async |sessions| sessions.session(Some(caller()), id).await).await?;
    let read = read.ok()?.version;
    (read < stored).then(|| format!("{id}: version {read} was read from {} after version {stored}", door.number))
}

async fn follow(world: &World, id: SessionId, mut random: SmallRng) -> Follower {
    let mut follower = Follower::default();
    loop {
        let over = world.is_over();
        let from = follower.events.len() as u64;
        let news = poll(world, id, from, &mut random, &mut follower.polls).await;
        if over && news.is_empty() {
            return follower;
        }
        if news.is_empty() {
            // A poll on an ended session does not wait.
            sleep(Duration::from_millis(1_200)).await;
        }
        follower.events.extend(news);
    }
}

async fn poll(
    world: &World,
    id: SessionId,
    from: u64,
    random: &mut SmallRng,
    polls: &mut Vec<Poll>,
) -> Vec<Arc<RawValue>> {
    let Some(door) = world.any_door(random) else { return Vec::new() };
    let wait = Duration::from_secs(if world.is_over() { 0 } else { random.random_range(0..5) });
    let query = ChangesQuery { from, limit: None, include_events: true, wait };
    let asked_at = Instant::now();
    let poll = world.ask(&door, PATIENCE, async |sessions| sessions.changes(Some(caller()), id, query).await);
    let Some(Ok(changes)) = poll.await else { return Vec::new() };
    polls.push(Poll { asked_at, answered_at: Instant::now(), from });
    changes.map(|changes| changes.events).unwrap_or_default()
}

/// Whether a session in this status has nothing that a worker should do.
pub(crate) fn rests(status: Status) -> bool {
    match status {
        Status::Pending | Status::Running => false,
        Status::Queued
        | Status::Paused
        | Status::Idle
        | Status::AwaitingToolResults
        | Status::Completed
        | Status::Failed
        | Status::TimedOut
        | Status::Interrupted => true,
    }
}
