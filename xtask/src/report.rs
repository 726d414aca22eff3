//! What is said while steps run, and the summary at the end.

use anyhow::Result;
use std::fmt::Display;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The one door to standard output.
#[expect(clippy::print_stdout, reason = "these commands speak to a person or a log")]
pub(crate) fn say(text: impl Display) {
    println!("{text}");
}

/// How many checks a step held, and which failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// What the summary repeats of the failures, since a log is often kept only from its end: a name and a reason each.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// A step that is one check, and held.
    pub(crate) const HELD: Self = Self { passed: 1, failed: 0, skipped: 0, failures: Vec::new() };
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// The steps that ran.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    tally: Tally,
    took: Duration,
}

impl Report {
    /// Runs a step under a heading. A step that breaks off counts as one failure, and the next ones still run.
    pub(crate) fn step(&mut self, name: impl Into<String>, work: impl FnOnce() -> Result<Tally>) {
        let name = name.into();
        say(format_args!("\n==> {name}"));
        let begun = Instant::now();
        let tally = work().unwrap_or_else(|error| {
            say(format_args!("error: {error:?}"));
            Tally { failed: 1, failures: vec![format!("{error:#}")], ..Tally::default() }
        });
        self.steps.push(Step { name, tally, took: begun.elapsed() });
    }

    /// Prints the summary. The closing line is `N passed, N failed`.
    pub(crate) fn close(&self) -> ExitCode {
        let mut total = Tally::default();
        say("\n==> summary");
        for step in &self.steps {
            say(step);
            total += step.tally.clone();
        }
        for failure in &total.failures {
            say(format_args!("\nfailed: {}", shortened(failure)));
        }
        say(format_args!("{} passed, {} failed", total.passed, total.failed));
        if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A failure as the summary repeats it; the whole of it stands where it happened.
fn shortened(failure: &str) -> String {
    const LINES: usize = 8;
    const LINE_CHARACTERS: usize = 400;
    let lines = failure.trim().lines().take(LINES).map(|line| line.chars().take(LINE_CHARACTERS).collect::<String>());
    lines.collect::<Vec<_>>().join("\n    ")
}

impl Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { passed, failed, skipped, .. } = &self.tally;
        let verdict = if *failed == 0 { "ok" } else { "FAILED" };
        write!(f, "{verdict:6} {:6.1} s  {}: {passed} passed, {failed} failed", self.took.as_secs_f32(), self.name)?;
        if *skipped > 0 { write!(f, ", {skipped} skipped") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_step_that_breaks_off_fails_the_run_and_stops_nothing() {
        let mut report = Report::default();
        report.step("breaks", || bail!("no"));
        report.step("holds", || Ok(Tally { passed: 2, skipped: 1, ..Tally::default() }));
        assert_eq!(report.steps[0].tally, Tally { failed: 1, failures: vec!["no".to_owned()], ..Tally::default() });
        assert!(report.steps[1].to_string().ends_with("holds: 2 passed, 0 failed, 1 skipped"));
        assert_eq!(report.close(), ExitCode::FAILURE);
    }

    #[test]
    fn the_summary_repeats_the_beginning_of_a_failure() {
        let long = format!("a::test\n{}\n{}", "x".repeat(1_000), "line\n".repeat(100));
        let shortened = shortened(&long);
        assert!(shortened.starts_with("a::test\n    xxx"), "{shortened}");
        assert_eq!((shortened.lines().count(), shortened.len() < 600), (8, true));
    }

    #[test]
    fn a_run_without_failures_succeeds() {
        let mut report = Report::default();
        report.step("holds", || Ok(Tally::HELD));
        assert_eq!(report.close(), ExitCode::SUCCESS);
    }
}
