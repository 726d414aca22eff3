//! `openapi.yaml` is what the binary says it is.

use crate::command::output_of;
use crate::report::{Tally, say};
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use std::fs;
use std::process::Command;

const FILE: &str = "openapi.yaml";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail when the file is not what the binary prints
    #[arg(long)]
    check: bool,
}

/// `cargo xtask openapi`.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check(workspace).map(drop);
    }
    fs::write(workspace.path(FILE), generate(workspace)?)?;
    say(format_args!("wrote {FILE}"));
    Ok(())
}

/// Fails when the file differs, and says where.
pub(crate) fn check(workspace: &Workspace) -> Result<Tally> {
    let generated = generate(workspace)?;
    let written = fs::read_to_string(workspace.path(FILE)).unwrap_or_default();
    ensure!(
        generated == written,
        "{FILE} is out of date from line {}: run cargo xtask openapi",
        first_difference(&generated, &written)
    );
    say(format_args!("{FILE} is up to date"));
    Ok(Tally::HELD)
}

fn generate(workspace: &Workspace) -> Result<String> {
    output_of(Command::new(workspace.build_server()?).arg("openapi"))
}

/// The number of the first line that differs, from 1.
fn first_difference(one: &str, other: &str) -> usize {
    one.lines().zip(other.lines()).take_while(|(left, right)| left == right).count() + 1
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_line_that_differs_is_found() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), 2);
        assert_eq!(first_difference("a\nb\n", "a\n"), 2);
        assert_eq!(first_difference("", "a\n"), 1);
    }
}
