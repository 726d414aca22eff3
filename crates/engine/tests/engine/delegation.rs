//! Parents and children: how tasks are given, how results come back, and who stops whom. Agents play scripts; a child
//! that calls `ask` waits until the test lets it go on.

use crate::team::{Team, agent, boss, delegate, helper, team_of};
use quarterdeck_api::{Retention, SessionId, Status};
use quarterdeck_core::Command;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn children_work_side_by_side_and_their_answers_come_back() {
    let team = Team::new().await;
    let both = delegate("@call", "helper", "@call ask\n@outcome partial\n@answer one")
        + &delegate("@and", "helper", "@call ask\n@answer two")
        + "@answer done";
    let fields = json!({"group_id": "g", "timezone": "Europe/Paris", "delete_after_min": 60});
    let id = team.create(boss(), &both, fields).await;
    let [first, second] = team.children(id, 2).await[..] else { panic!("two children") };
    for child in [first, second] {
        team.until(child, Status::AwaitingToolResults).await;
    }
    let request = team.request(first).await;
    assert_eq!(request.parent_session_id, Some(id.to_string()));
    assert_eq!((request.group_id.as_deref(), request.timezone.as_deref()), (Some("g"), Some("Europe/Paris")));
    assert_eq!((request.max_time_s, request.idle_timeout_s), (None, None));
    assert_eq!((request.delete_after_min, request.delete_screenshot_after_min), (Some(60), None));
    let said = Retention { delete_after_min: Some(60), delete_screenshot_after_min: None };
    assert_eq!(team.session(first).await.settings.retention, said);
    team.settle(second).await;
    team.until(second, Status::Completed).await;
    team.settle(first).await;
    team.until(id, Status::Completed).await;
    let results = team.results(id).await;
    assert_eq!(results.iter().map(|result| &result["answer"]).collect::<Vec<_>>(), ["two", "one"], "as they came");
    let expected = json!({"session_id": first, "status": "completed", "answer": "one", "outcome": "partial"});
    assert_eq!(results[1], expected);
    let parent = team.session(id).await;
    assert_eq!((parent.steps, &parent.subagents[..]), (2, &[first, second][..]), "children count for themselves");
}

#[tokio::test]
async fn a_childs_failure_is_its_parents_to_handle() {
    let team = Team::new().await;
    let cases = [
        (delegate("@call", "helper", "@fail 401"), "failed: The session could not go on because of an internal fault."),
        (delegate("@call", "nobody", "@answer 1"), "there is none of the name \"nobody\""),
        (delegate("@call", "helper", " "), "the task is empty"),
        ("@call delegate {\"agent\": \"helper\"}\n".to_owned(), "it needs `agent` and `task`"),
    ];
    for (call, error) in cases {
        let id = team.create(boss(), &(call + "@answer sorry"), json!({})).await;
        team.until(id, Status::Completed).await;
        let errors = team.errors(id).await;
        assert!(errors.len() == 1 && errors[0].contains(error), "{errors:?} are not one that says {error}");
    }
}

#[tokio::test]
async fn a_child_that_is_cancelled_is_an_error_to_its_parent() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    team.submit(child, Command::Cancel).await;
    team.until(id, Status::Completed).await;
    assert!(team.errors(id).await[0].contains("was cancelled"));
}

#[tokio::test]
async fn a_pause_and_a_resume_reach_the_children() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    for _ in 0..3 {
        team.submit(id, Command::Pause).await;
        team.until(child, Status::Paused).await;
        team.submit(id, Command::Resume).await;
        team.until(child, Status::AwaitingToolResults).await;
    }
    team.settle(child).await;
    team.until(id, Status::Completed).await;
    assert_eq!(team.results(id).await[0]["answer"], "one");
}

#[tokio::test]
async fn a_child_that_ends_during_a_pause_is_heard_after_it() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    team.submit(id, Command::Pause).await;
    team.until(child, Status::Paused).await;
    team.submit(child, Command::ForceAnswer).await;
    team.until(child, Status::Completed).await;
    assert_eq!(team.session(id).await.state.status(), Status::Paused);
    team.submit(id, Command::Resume).await;
    team.until(id, Status::Completed).await;
    assert_eq!(team.results(id).await[0]["answer"], "one");
}

#[tokio::test]
async fn a_cancel_reaches_all_below_in_every_phase() {
    for pause in [false, true] {
        let team = Team::new().await;
        let leaf = delegate("@call", "leaf", "@wait 60m\n@answer never");
        let id = team.create(team_of(3), &delegate("@call", "middle", &leaf), json!({})).await;
        let middle = team.children(id, 1).await[0];
        let leaf = team.children(middle, 1).await[0];
        team.until(leaf, Status::Running).await;
        if pause {
            team.submit(id, Command::Pause).await;
            team.until(leaf, Status::Paused).await;
        }
        team.submit(id, Command::Cancel).await;
        for below in [middle, leaf] {
            team.until(below, Status::Interrupted).await;
        }
        team.at_rest(id).await;
    }
}

#[tokio::test]
async fn a_forced_answer_makes_the_children_answer_and_takes_what_they_have() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    team.submit(id, Command::ForceAnswer).await;
    team.until(id, Status::Completed).await;
    assert_eq!(team.session(child).await.state.status(), Status::Completed);
    assert_eq!(team.results(id).await[0]["answer"], "one");
    assert!(team.words(child).await.contains(&"flow_event force_answer user".to_owned()));
}

#[tokio::test]
async fn a_child_that_does_not_answer_in_time_is_cancelled() {
    let team = Team::new().await;
    let id =
        team.create(boss(), &(delegate("@call", "helper", "@wait 60m\n@answer 1") + "@answer end"), json!({})).await;
    let child = team.children(id, 1).await[0];
    team.until(child, Status::Running).await;
    team.submit(id, Command::ForceAnswer).await;
    team.until_that(child, |session| session.turn.force.is_some()).await;
    team.pass_time(Duration::from_secs(31));
    // The clock was moved behind the back of whoever sleeps: a message makes them look at it.
    team.say(id, "?").await;
    team.until(child, Status::Interrupted).await;
    team.until(id, Status::Completed).await;
    assert!(team.errors(id).await[0].contains("was cancelled"));
    assert!(team.words(id).await.contains(&"answer_event end".to_owned()));
}

#[tokio::test]
async fn the_time_limit_of_a_parent_is_its_childrens_too() {
    let team = Team::new().await;
    let call = delegate("@call", "helper", "@call ask\n@answer one") + "@answer in time";
    let id = team.create(boss(), &call, json!({"max_time_s": 0.5, "max_steps": 7})).await;
    let child = team.children(id, 1).await[0];
    let request = team.request(child).await;
    assert!(request.max_time_s.is_some_and(|left| left <= 0.5) && request.max_steps == Some(7), "{request:?}");
    team.until(id, Status::Completed).await;
    assert!(team.words(id).await.contains(&"flow_event force_answer server".to_owned()));
    assert_eq!(team.results(id).await[0]["answer"], "one");
}

#[tokio::test]
async fn a_message_to_a_parent_waits_for_its_children() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    team.say(id, "hurry").await;
    team.settle(child).await;
    team.until(id, Status::Completed).await;
    let words = team.words(id).await;
    let place = |wanted: &str| words.iter().position(|word| word == wanted).unwrap();
    assert!(place("tool_result") < place("message_event hurry"));
}

#[tokio::test]
async fn who_talks_to_a_child_afterwards_talks_to_it_alone() {
    let team = Team::new().await;
    let call = delegate("@call", "helper", "@answer one\n@call ask\n@answer two");
    let id = team.create(boss(), &(call + "@answer end"), json!({"idle_timeout_s": 600})).await;
    team.until(id, Status::Idle).await;
    let child = team.children(id, 1).await[0];
    team.say(child, "and more?").await;
    team.until(child, Status::AwaitingToolResults).await;
    team.submit(id, Command::Cancel).await;
    team.at_rest(id).await;
    assert_eq!(team.session(child).await.state.status(), Status::AwaitingToolResults);
    team.settle(child).await;
    team.until(child, Status::Completed).await;
}

#[tokio::test]
async fn subagents_of_subagents_run_several_levels_deep() {
    let team = Team::new().await;
    let bottom = delegate("@call", "leaf", "@answer deep") + "@answer bottom";
    let task = ["d", "c", "b", "a"].iter().fold(bottom, |task, name| delegate("@call", name, &task) + "@answer up");
    let leaf = agent("leaf", &json!([]));
    let spec = ["d", "c", "b", "a", "top"].iter().fold(leaf, |below, name| agent(name, &json!([below])));
    let id = team.create(spec, &task, json!({})).await;
    team.until(id, Status::Completed).await;
    let mut deepest = id;
    for _ in 0..5 {
        deepest = team.children(deepest, 1).await[0];
    }
    assert_eq!(team.session(deepest).await.state.status(), Status::Completed);
    assert_eq!(team.session(deepest).await.subagents, []);
}

#[tokio::test]
async fn two_workers_are_enough_for_ten_parents() {
    let team = Team::with_workers(2).await;
    let call = delegate("@call", "helper", "@wait 5ms\n@answer 1") + &delegate("@and", "helper", "@answer 2");
    let mut parents = Vec::new();
    for _ in 0..10 {
        parents.push(team.create(boss(), &(call.clone() + "@answer end"), json!({})).await);
    }
    for id in parents {
        team.until(id, Status::Completed).await;
        assert_eq!(team.results(id).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_come_while_children_are_created_leave_nobody_behind() {
    let team = Team::new().await;
    let calls = ["@call", "@and", "@and", "@and"].map(|how| delegate(how, "helper", "@answer 1")).concat();
    for _ in 0..20 {
        let id = team.create(boss(), &(calls.clone() + "@answer end"), json!({})).await;
        // It may be over before the last of them.
        for command in [Command::Pause, Command::Resume].into_iter().cycle().take(10) {
            drop(team.try_submit(id, command).await);
        }
        team.until(id, Status::Completed).await;
        assert_eq!((team.results(id).await.len(), team.errors(id).await), (4, vec![]));
    }
}

#[tokio::test]
async fn an_order_does_not_wait_for_a_worker() {
    let team = Team::with_workers(1).await;
    let id = team.create(boss(), &delegate("@call", "helper", "@wait 60m\n@answer never"), json!({})).await;
    let child = team.children(id, 1).await[0];
    team.until(child, Status::Running).await;
    for (command, status) in
        [(Command::Pause, Status::Paused), (Command::Resume, Status::Running), (Command::Cancel, Status::Interrupted)]
    {
        team.submit(id, command).await;
        team.until(child, status).await;
    }
    // A paused parent is nobody's; while another session has the only place, its cancel is still heard.
    let id = team.create(boss(), &delegate("@call", "helper", "@wait 60m\n@answer never"), json!({})).await;
    let child = team.children(id, 1).await[0];
    team.submit(id, Command::Pause).await;
    team.until(child, Status::Paused).await;
    let busy = team.create(helper(), "@wait 60m\n@answer never", json!({})).await;
    team.until(busy, Status::Running).await;
    team.submit(id, Command::Cancel).await;
    team.until(child, Status::Interrupted).await;
}

impl Team {
    /// A parent that waits for a child, which waits for the test.
    async fn waiting_for_one(&self) -> (SessionId, SessionId) {
        let call = delegate("@call", "helper", "@call ask\n@answer one") + "@answer end";
        let id = self.create(boss(), &call, json!({})).await;
        let child = self.children(id, 1).await[0];
        self.until(child, Status::AwaitingToolResults).await;
        (id, child)
    }
}

#[tokio::test]
async fn a_server_that_drains_leaves_parents_and_children_to_the_next() {
    let team = Team::new().await;
    let (id, child) = team.waiting_for_one().await;
    let store = team.stop().await;
    let stored = store.session(id).await.unwrap().unwrap();
    assert_eq!((stored.owner.replica, stored.session.state.status()), (None, Status::Running));
    let team = Team::over(store, 8).await;
    team.settle(child).await;
    team.until(id, Status::Completed).await;
    assert_eq!(
        team.results(id).await,
        [json!({"session_id": child, "status": "completed", "answer": "one", "outcome": "success"})] as [Value; 1]
    );
}
