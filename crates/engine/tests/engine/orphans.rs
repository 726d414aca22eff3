//! Delegation over crashes: whoever takes over finds in the store what was decided, and does the rest.

use crate::{
    team::{Team, agent, boss, delegate, team_of},
    world::{caller, in_time, open, quick},
};
use quarterdeck_api::{Agent, SessionId, SessionRequest, Status, ToolRequest};
use quarterdeck_core::{
    ChildOrder, Command, Effect, Fact, Reply, Report, Session, Settings, Steering, StepMode, Transition,
};
use quarterdeck_engine::{Clock, EngineSettings, SystemClock};
use quarterdeck_store::{Admission, Commit, CommitLease, CommitSlot, NewSession, Store};
use quarterdeck_test_support::postgres::{self, Database};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_child_that_was_allotted_and_never_created_is_created_by_the_next() {
    let (store, parent) = left_behind("@call ask\n@answer one", &[]).await;
    let team = Team::over(store, 8).await;
    assert_eq!(team.children(parent.id, 1).await, parent.subagents);
    team.settle(parent.subagents[0]).await;
    team.until(parent.id, Status::Completed).await;
    assert_eq!(team.results(parent.id).await[0]["answer"], "one");
}

#[tokio::test]
async fn a_child_of_a_cancelled_parent_is_created_to_be_cancelled() {
    let (store, parent) = left_behind("@wait 60m\n@answer never", &[Command::Cancel]).await;
    let child = parent.subagents[0];
    let team = Team::over(store, 8).await;
    team.at_rest(parent.id).await;
    assert_eq!(team.session(child).await.state.status(), Status::Interrupted, "whoever is late finds it there");
}

#[tokio::test]
async fn a_pause_that_was_not_passed_on_is_passed_on_by_the_next() {
    let (store, parent) = left_behind("@wait 60m\n@answer never", &[Command::Pause]).await;
    let child = parent.subagents[0];
    let team = Team::over(store, 8).await;
    team.at_rest(parent.id).await;
    assert_eq!(team.session(child).await.state.status(), Status::Paused);
}

#[tokio::test]
async fn an_order_that_was_given_and_not_recorded_is_given_again_without_harm() {
    let (store, parent) = left_behind("@call ask\n@answer one", &[]).await;
    let child = parent.subagents[0];
    let store = {
        let team = Team::over(store, 8).await;
        team.children(parent.id, 1).await;
        team.until(child, Status::AwaitingToolResults).await;
        team.stop().await
    };
    // The parent is paused; a worker tells the child, and dies before it can say so.
    let parent = commit(&store, &stored(&store, parent.id).await, Command::Pause).await;
    let steering = Steering { version: parent.version, order: ChildOrder::Pause };
    let told = commit(&store, &stored(&store, child).await, Command::Steer(steering)).await;
    let team = Team::over(store, 8).await;
    team.at_rest(parent.id).await;
    assert_eq!(team.session(child).await.log_length, told.log_length, "it is told once, as the log shows");
    team.submit(parent.id, Command::Resume).await;
    team.settle(child).await;
    team.until(parent.id, Status::Completed).await;
}

#[test]
fn a_parent_goes_back_to_its_children_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let call = delegate("@call", "helper", "@call ask\n@answer one") + &delegate("@and", "helper", "@answer two");
    let (id, children) = life(&url, async |team| {
        let id = team.create(boss(), &(call + "@answer end"), json!({})).await;
        let children = team.children(id, 2).await;
        team.until(children[0], Status::AwaitingToolResults).await;
        team.until(children[1], Status::Completed).await;
        (id, children)
    });
    life(&url, async |team| {
        team.settle(children[0]).await;
        team.until(id, Status::Completed).await;
        assert_eq!(team.children(id, 2).await, children, "nobody was started again");
        let mut answers: Vec<_> = team.results(id).await.iter().map(|result| result["answer"].clone()).collect();
        answers.sort_by_key(Value::to_string);
        assert_eq!((answers, team.errors(id).await), (vec![json!("one"), json!("two")], vec![]));
    });
}

#[test]
fn another_replica_takes_over_parents_and_children() {
    let (first, second) = (runtime(), runtime());
    let database = postgres::shared().unwrap();
    let leaf = delegate("@call", "leaf", "@call ask\n@answer one") + "@answer middle";
    let script = delegate("@call", "middle", &leaf) + "@answer end";
    let (id, leaf) = first.block_on(async {
        let team = replica(&database).await;
        let id = team.create(team_of(3), &script, json!({})).await;
        let middle = team.children(id, 1).await[0];
        let leaf = team.children(middle, 1).await[0];
        team.until(leaf, Status::AwaitingToolResults).await;
        (id, leaf)
    });
    first.shutdown_timeout(Duration::from_secs(10));
    second.block_on(async {
        let team = replica(&database).await;
        team.settle(leaf).await;
        team.until(id, Status::Completed).await;
        stop(team).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parents_and_children_on_two_replicas_hear_of_each_other() {
    let database = tokio::task::spawn_blocking(postgres::shared).await.unwrap().unwrap();
    // The first has no place for a child beside the parent's own turn, so the other one may get it.
    let (one, two) = (replica(&database).await, replica(&database).await);
    let script = delegate("@call", "helper", "@call ask\n@answer one") + "@answer end";
    let mut parents = Vec::new();
    for place in [&one, &two, &one, &two] {
        parents.push(place.create(boss(), &script, json!({})).await);
    }
    for (place, id) in parents.iter().enumerate() {
        let (here, there) = if place % 2 == 0 { (&two, &one) } else { (&one, &two) };
        let child = here.children(*id, 1).await[0];
        here.until(child, Status::AwaitingToolResults).await;
        here.submit(*id, Command::Pause).await;
        here.until(child, Status::Paused).await;
        there.submit(*id, Command::Resume).await;
        there.settle(child).await;
        here.until(*id, Status::Completed).await;
    }
    stop(one).await;
    stop(two).await;
}

/// A store in which a parent waits for a child that was never created, and that was then commanded, as a server leaves
/// it that dies at this moment.
async fn left_behind(task: &str, commands: &[Command]) -> (Arc<dyn Store>, Session) {
    let store = open("sqlite::memory:").await;
    let call = ToolRequest {
        tool_name: "delegate".into(),
        args: Some(serde_json::from_value(json!({"agent": "helper", "task": task})).unwrap()),
        id: Some("c1".into()),
    };
    let mut parent = created(&store).await;
    let child = SessionId(SystemClock.id());
    let calls = vec![call.clone()];
    let decided = Fact::Reported(Report::Decided {
        mode: StepMode::Act,
        reply: Reply::default(),
        calls,
        validation_errors: Vec::new(),
    });
    for fact in [decided, Fact::Delegated { call, child }] {
        parent = commit_effect(&store, parent.fact(fact, SystemClock.now()).unwrap()).await;
    }
    for command in commands {
        parent = commit(&store, &parent, command.clone()).await;
    }
    (store, parent)
}

/// A session whose agent is at work, though nobody runs it.
async fn created(store: &Arc<dyn Store>) -> Session {
    let helper = agent("helper", &json!([]));
    let agent: Agent = serde_json::from_value(agent("boss", &json!([helper]))).unwrap();
    // The call is made already: the script's first line is used up by it.
    let request = json!({"agent": agent, "messages": "@empty\n@answer end", "queue": true});
    let request: SessionRequest = serde_json::from_value(request).unwrap();
    let (id, settings) = (SessionId(SystemClock.id()), Settings::of(&request, &agent));
    let mut transition = Session::create(id, caller().organization, caller().user, settings, false, SystemClock.now());
    transition.start_at_once(&request.opening_messages());
    let session = NewSession {
        transition: transition.clone(),
        request: Arc::new(request),
        agent: Arc::new(agent),
        agent_reference: None,
        agent_revision: None,
        parent: None,
        owner: None,
        idempotency: None,
        admission: Admission::Granted,
    };
    store.create(session).await.unwrap();
    transition.session
}

async fn commit(store: &Arc<dyn Store>, session: &Session, command: Command) -> Session {
    commit_effect(store, session.command(command, SystemClock.now()).unwrap()).await
}

async fn commit_effect(store: &Arc<dyn Store>, effect: Effect) -> Session {
    let Effect::Changed(transition) = effect else { panic!("it does something") };
    let transition: Transition = *transition;
    let (lease, slot) = (CommitLease::Leave, CommitSlot::Keep);
    store.commit(Commit { transition: transition.clone(), lease, slot }).await.unwrap();
    transition.session
}

async fn stored(store: &Arc<dyn Store>, id: SessionId) -> Session {
    store.session(id).await.unwrap().unwrap().session
}

/// One life of a server on a file. Its tasks die with its runtime, wherever they stand.
fn life<T>(url: &str, live: impl AsyncFnOnce(&Team) -> T) -> T {
    let runtime = runtime();
    let lived = runtime.block_on(async {
        let team = Team::over(crate::recovery::open_unlocked(url).await, 8).await;
        live(&team).await
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    lived
}

async fn replica(database: &Database) -> Team {
    let settings = EngineSettings { lease: Duration::from_secs(1), workers_max: 2, ..quick() };
    Team::with(open(database.url()).await, settings).await
}

async fn stop(team: Team) {
    let store = team.stop().await;
    in_time(store.close()).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
