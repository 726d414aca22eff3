//! Environments that stay open while their session waits.

use crate::{
    fake::FakeProvider,
    world::{World, in_time, open},
};
use quarterdeck_api::{EnvironmentKind, SessionId, Status, ToolRequest, ToolResult, ToolResultItem};
use quarterdeck_core::Command;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const TWO_TURNS: &str = "@call quick\n@answer One.\n@call quick\n@answer Two.";

#[tokio::test]
async fn a_browser_stays_open_while_its_session_is_idle() {
    let world = World::new(FakeProvider::browser()).await;
    let id = idle(&world).await;
    second_turn(&world, id).await;
    assert_eq!((world.provider.opened(), world.provider.closed()), (1, 0));
    assert_eq!(world.count(id, "RunnerSessionEvent").await, 1);
    assert_eq!(world.provider.looks(), 4, "one before each turn, one after each call");
}

#[tokio::test]
async fn a_browser_stays_open_while_the_client_owes_results() {
    let world = World::new(FakeProvider::browser()).await;
    let ask = json!({"name": "ask", "description": "Asks."});
    let memory = json!({"kind": "memory", "id": "m", "namespace": "n"});
    let agent = json!({"name": "a", "description": "d", "environments": [memory], "tools": [ask]});
    let id = world.create("@call quick\n@and ask\n@call quick\n@answer Done.", json!({"agent": agent})).await;
    let waiting = world.until(id, Status::AwaitingToolResults).await;
    let call: ToolRequest = waiting.state.pending_tool_calls()[0].clone();
    let result = ToolResult { tool_req: call, result: "yes".into(), truncated: false, output_artifact_path: None };
    world.submit(id, Command::ToolResults(vec![ToolResultItem::Result(result)])).await;
    world.until(id, Status::Completed).await;
    assert_eq!(world.provider.opened(), 1);
    in_time(world.provider.until_closed(1)).await;
}

#[tokio::test]
async fn a_parked_browser_is_closed_with_its_session() {
    let world = World::new(FakeProvider::browser()).await;
    let id = idle(&world).await;
    assert_eq!(world.provider.closed(), 0);
    world.submit(id, Command::Cancel).await;
    in_time(world.provider.until_closed(1)).await;
}

#[tokio::test]
async fn a_parked_browser_is_closed_after_a_while_and_opened_anew() {
    let world = World::parking(open().await, FakeProvider::browser(), Duration::from_millis(50)).await;
    let id = idle(&world).await;
    in_time(world.provider.until_closed(1)).await;
    second_turn(&world, id).await;
    assert_eq!((world.provider.opened(), world.count(id, "RunnerSessionEvent").await), (2, 2));
    let reopened: Vec<bool> = world.provider.contexts().iter().map(|context| context.reopened).collect();
    assert_eq!(reopened, [false, true]);
}

#[tokio::test]
async fn the_browser_that_was_parked_first_makes_room() {
    let world = World::new(FakeProvider::browser()).await;
    let (first, second) = (idle(&world).await, idle(&world).await);
    let parked = Arc::clone(&world.provider.contexts()[0].parked);
    assert!(!parked.evict(EnvironmentKind::Desktop).await);
    assert!(parked.evict(EnvironmentKind::Web).await);
    in_time(world.provider.until_closed(1)).await;
    second_turn(&world, second).await;
    assert_eq!(world.provider.opened(), 2, "the other one is still there");
    second_turn(&world, first).await;
    assert_eq!(world.provider.opened(), 3);
}

#[tokio::test]
async fn a_parked_browser_is_closed_when_the_server_stops() {
    let store = open().await;
    let world = World::over(Arc::clone(&store), FakeProvider::browser()).await;
    let id = idle(&world).await;
    let provider = Arc::clone(&world.provider);
    in_time(world.engine.stop()).await;
    assert_eq!((provider.opened(), provider.closed()), (1, 1));
    let next = World::over(store, FakeProvider::browser()).await;
    second_turn(&next, id).await;
    assert!(next.provider.contexts()[0].reopened);
    assert_eq!(next.count(id, "RunnerSessionEvent").await, 2);
}

async fn idle(world: &World) -> SessionId {
    let id = world.create(TWO_TURNS, json!({"idle_timeout_s": 60})).await;
    world.until(id, Status::Idle).await;
    // The worker lets go a moment later.
    in_time(async {
        while world.store.session(id).await.unwrap().unwrap().owner.replica.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    id
}

async fn second_turn(world: &World, id: SessionId) {
    world.say(id, "Go on.").await;
    world.until_that(id, |session| session.steps == 4 && session.state.status() == Status::Idle).await;
}
