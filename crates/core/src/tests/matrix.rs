//! Every state meets every command and every fact; `docs/state-machine.md` shows the outcome.

use super::{
    tables::{check, table},
    world::{Run, answered, decided, every_state, failed, messages, result, results, say, started, steered},
};
use crate::{ChildOrder, Command, Fact, Rejection, Report, Session, StepMode};
use quarterdeck_api::{AgentEvent, EnvironmentKind, FileContent, JsonObject, SourceType, Status};
use uuid::Uuid;

#[test]
fn every_state_meets_every_command() {
    let sections = commands().map(|(title, command)| {
        let outcomes = every_state().into_iter().map(|(name, run)| (name, on_command(run, &command))).collect();
        format!("### {title}\n\n{}", table(&["state", "becomes", "HTTP", "events written"], outcomes))
    });
    check("commands", &sections.join("\n"));
}

#[test]
fn every_state_meets_every_fact() {
    let sections = facts().map(|(title, fact)| {
        let outcomes = every_state().into_iter().map(|(name, run)| (name, on_fact(run, &fact))).collect();
        format!("### {title}\n\n{}", table(&["state", "becomes", "events written"], outcomes))
    });
    check("facts", &sections.join("\n"));
}

fn commands() -> [(&'static str, Command); 8] {
    [
        ("message", say(&["And in dollars?"])),
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("force_answer", Command::ForceAnswer),
        ("tool_results: all pending calls (`ask` and `look`)", results(&["ask", "look"])),
        ("tool_results: one of two pending calls", results(&["ask"])),
        ("tool_results: no call matches", results(&["guess"])),
        ("cancel", Command::Cancel),
    ]
}

fn on_command(mut run: Run, command: &Command) -> Vec<String> {
    let before = run.status();
    let outcome = run.try_command(command.clone());
    let code = http(command, &outcome).to_string();
    vec![becomes(before, &run), code, events(outcome.unwrap_or_default())]
}

fn becomes(before: Status, run: &Run) -> String {
    if run.status() == before { "—".into() } else { run.status().as_str().into() }
}

/// How the server answers; it adds 404, 422 and 429, which the machine knows nothing of.
pub(super) fn http(command: &Command, outcome: &Result<Vec<String>, Rejection>) -> u16 {
    match (outcome, command) {
        (Err(_), _) => 409,
        (Ok(_), Command::Cancel) => 204,
        (
            Ok(_),
            Command::Message(_)
            | Command::Pause
            | Command::Resume
            | Command::ForceAnswer
            | Command::ToolResults(_)
            | Command::Steer(_)
            | Command::Adopt(_),
        ) => 202,
    }
}

fn facts() -> [(&'static str, Fact); 22] {
    let rejected = Fact::Reported(Report::Decided {
        mode: StepMode::Act,
        reply: super::world::reply(),
        calls: Vec::new(),
        validation_errors: vec!["no such tool".into()],
    });
    let observation = AgentEvent::ObservationEvent {
        source: "memory".into(),
        text: Some("Empty.".into()),
        image: None,
        metadata: JsonObject::new(),
    };
    let delivered = Fact::Delivered { messages: messages(&["And in dollars?"]), inbox_through: 1 };
    [
        ("promoted", Fact::Promoted),
        ("started, with a message", started(&["Find the price"])),
        ("started, without a message", started(&[])),
        ("delivered", delivered),
        ("observed", Fact::Reported(Report::Observed(observation))),
        ("environment ready", environment_ready()),
        ("file moved", Fact::FileMoved(file())),
        ("troubled", Fact::Reported(Report::Troubled { error: "503".into(), origin: "model".into() })),
        ("decided: a call of the server's", decided(&["click"])),
        ("decided: calls of both", decided(&["click", "ask"])),
        ("decided: a call of the client's", decided(&["ask"])),
        ("decided: a call for a subagent", decided(&["delegate"])),
        ("decided: a reply that cannot be used", rejected),
        ("returned", Fact::Reported(Report::Returned(result("click")))),
        ("returned, by a subagent", Fact::Reported(Report::Returned(result("delegate")))),
        ("steered: the subagent was told to answer", steered(1, ChildOrder::Answer)),
        ("answered", answered("19 €")),
        ("asked the user", Fact::Reported(Report::Asked { reply: super::world::reply() })),
        ("timed out", Fact::Reported(Report::TimedOut)),
        ("failed", failed()),
        ("taken over, the fourth time without a step", Fact::TakenOver { epoch: 1 }),
        ("time passed, every timer due", Fact::TimePassed),
    ]
}

fn environment_ready() -> Fact {
    let live_view_url = Some("https://example.com/live".to_owned());
    Fact::EnvironmentReady { runner_session_id: Uuid::from_u128(9), kind: EnvironmentKind::Web, live_view_url }
}

fn file() -> FileContent {
    let source = "/api/v2/sessions/s/resources/files/a.pdf".to_owned();
    let (name, media_type) = ("a.pdf".to_owned(), Some("application/pdf".to_owned()));
    FileContent { source_type: SourceType::Url, source, name, media_type, size_bytes: Some(3) }
}

fn on_fact(mut run: Run, fact: &Fact) -> Vec<String> {
    let before = run.status();
    match prepared(&mut run, fact).try_fact(fact.clone()) {
        Ok(words) => vec![becomes(before, &run), events(words)],
        Err(_) => vec!["refused".into(), events(Vec::new())],
    }
}

/// A message has to wait before it can be delivered, time has to pass before a timer is due, and three workers have
/// to die before the fourth is one too many.
fn prepared<'a>(run: &'a mut Run, fact: &Fact) -> &'a mut Run {
    if matches!(fact, Fact::Delivered { .. }) {
        run.session.inbox.next = 1;
    }
    if matches!(fact, Fact::TakenOver { .. }) {
        run.session.recoveries = Session::RECOVERIES_MAX;
    }
    if *fact == Fact::TimePassed {
        run.wait_s(86_400);
    }
    run
}

fn events(words: Vec<String>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
