//! Short runs of the crash harness.

use crate::chaos::harness;
use crate::command::run;
use crate::report::{Report, Tally};
use crate::workspace::Workspace;

/// How long things are broken on each engine.
const SECONDS: &str = "15";

/// Breaks debug servers on each engine, a step each; a random seed, which it prints.
pub(super) fn test(workspace: &Workspace, report: &mut Report) {
    report.step("build the crash harness", || {
        run(&mut workspace.cargo(&["build", "--package", "quarterdeck-chaos"])).map(|()| Tally::HELD)
    });
    for engine in ["sqlite", "postgres"] {
        report.step(format!("crashes on {engine}"), || {
            run(&mut harness(workspace, "debug", &["--engine", engine, "--seconds", SECONDS])).map(|()| Tally::HELD)
        });
    }
}
