//! The contract's table "State × command", copied by hand and checked against the machine, so that a wrong
//! table in `docs/state-machine.md` cannot be blessed.

use super::{
    matrix::http,
    world::{Run, every_state, results, say},
};
use crate::Command;

/// State; then message, pause, resume, `force_answer`, `tool_results` that answer every pending call, cancel.
/// A cell is the status afterwards, or `-` when it stays, and the HTTP answer.
///
/// The contract has one row for paused. Its cells that name `running` are for a pause of running; where the
/// pause began elsewhere, its "back to `awaiting_tool_results` if calls are still pending" is read for all of them.
const CONTRACT: [(&str, [&str; 6]); 16] = [
    ("queued", ["- 202", "- 409", "- 202", "- 409", "- 409", "interrupted 204"]),
    ("pending", ["- 202", "paused 202", "- 202", "- 202", "- 409", "interrupted 204"]),
    ("running", ["- 202", "paused 202", "- 202", "- 202", "- 409", "interrupted 204"]),
    ("running with an open call", ["- 202", "paused 202", "- 202", "- 202", "- 409", "interrupted 204"]),
    ("running with a subagent", ["- 202", "paused 202", "- 202", "- 202", "- 409", "interrupted 204"]),
    ("paused from pending", ["pending 202", "- 202", "pending 202", "pending 202", "- 409", "interrupted 204"]),
    ("paused from running", ["running 202", "- 202", "running 202", "running 202", "- 409", "interrupted 204"]),
    ("paused with an open call", ["running 202", "- 202", "running 202", "running 202", "- 409", "interrupted 204"]),
    ("paused with a subagent", ["running 202", "- 202", "running 202", "running 202", "- 409", "interrupted 204"]),
    (
        "paused from awaiting",
        ["awaiting_tool_results 202", "- 202", "awaiting_tool_results 202", "running 202", "- 202", "interrupted 204"],
    ),
    ("idle", ["running 202", "- 202", "- 202", "- 202", "- 409", "interrupted 204"]),
    ("awaiting_tool_results", ["- 202", "paused 202", "- 202", "running 202", "running 202", "interrupted 204"]),
    ("completed", ["running 202", "- 409", "- 409", "- 409", "- 409", "- 204"]),
    ("failed", ["running 202", "- 409", "- 409", "- 409", "- 409", "- 204"]),
    ("timed_out", ["running 202", "- 409", "- 409", "- 409", "- 409", "- 204"]),
    ("interrupted", ["- 409", "- 409", "- 409", "- 409", "- 409", "- 204"]),
];

#[test]
fn the_machine_does_what_the_contract_says() {
    let states = every_state();
    assert_eq!(CONTRACT.map(|(name, _)| name).to_vec(), states.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for ((name, cells), (_, run)) in CONTRACT.into_iter().zip(states) {
        for (cell, command) in cells.into_iter().zip(commands()) {
            assert_eq!(outcome(run.clone(), &command), cell, "{name} meets {command:?}");
        }
    }
}

#[test]
fn a_command_that_changes_the_status_says_so_in_the_log() {
    for (name, run) in every_state() {
        for command in commands() {
            let mut after = run.clone();
            let words = after.try_command(command.clone()).unwrap_or_default();
            assert!(!words.is_empty() || after.status() == run.status(), "{name} meets {command:?}");
        }
    }
}

fn commands() -> [Command; 6] {
    [
        say(&["And in dollars?"]),
        Command::Pause,
        Command::Resume,
        Command::ForceAnswer,
        results(&["ask", "look"]),
        Command::Cancel,
    ]
}

fn outcome(mut run: Run, command: &Command) -> String {
    let before = run.status();
    let answer = run.try_command(command.clone());
    let becomes = if run.status() == before { "-" } else { run.status().as_str() };
    format!("{becomes} {}", http(command, &answer))
}
