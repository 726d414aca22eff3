use super::text;
use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, ValueEnum, value_parser};
use std::path::PathBuf;

/// What a server in front of a test suite may be told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tests")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub struct TestSettings {
    /// Serve tests: scenarios, faults, a clock and more below /_test/v1; not for production
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub test: bool,

    /// Let --test be reached from other machines
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub test_on_network: bool,

    /// Files of scenarios or recordings, or folders with files named *.scenario.yaml or *.recording.json; separated by commas;
    /// with --test [default: none]
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    pub scenarios: Vec<PathBuf>,

    /// What becomes of sessions that no scenario matches, with --test [default: model if there is one, else answer]
    #[arg(long, value_enum)]
    pub unmatched: Option<Unmatched>,

    /// The clock of sessions with --test: real, or frozen@2026-01-01T00:00:00Z
    #[arg(long, value_name = "CLOCK", value_parser = clock, default_value = "real")]
    pub clock: TestClock,

    /// Make ids from this number, 0 to 4294967295, with --test [default: none, at random]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(0..=4_294_967_295))]
    pub seed: Option<u64>,

    /// A file that says as JSON where the server is, once it listens: url, api_key, test_url, pid [default: none]
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// Print the same as one line on standard output, in place of the greeting
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub ready_json: bool,

    /// Stop when standard input closes: with the process that started the server
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", action = ArgAction::Set)]
    pub until_stdin_closes: bool,
}

/// What becomes of sessions that no scenario matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unmatched {
    /// They get the answer of a server without a model
    Answer,
    /// The model drives them
    Model,
    /// They fail, and say which scenarios came nearest
    Fail,
}

/// The clock of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestClock {
    /// The machine's, until it is moved on.
    Real,
    /// One that stands still until it is moved on.
    Frozen(DateTime<Utc>),
}

fn clock(given: &str) -> Result<TestClock, String> {
    let given = text(given)?;
    match (given.as_str(), given.strip_prefix("frozen@")) {
        ("real", _) => Ok(TestClock::Real),
        (_, Some(moment)) => match moment.parse::<DateTime<Utc>>() {
            Ok(moment) => Ok(TestClock::Frozen(moment)),
            Err(error) => Err(format!("{moment:?} is no time such as 2026-01-01T00:00:00Z: {error}")),
        },
        _ => Err("it is neither real nor frozen@TIME".into()),
    }
}
