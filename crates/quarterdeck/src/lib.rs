//! Quarterdeck: a self-hosted server for agent sessions, in one binary.
//!
//! This crate reads the settings, builds the parts, starts and stops them. It holds no logic of sessions; and
//! nothing below it reads the environment.

mod browsers;
mod clock;
mod config;
mod doctor;
mod front;
mod health;
mod hosting;
mod keys;
mod log;
mod manual;
mod migrate;
mod models;
mod options;
mod orgs;
mod output;
mod ready;
mod recordings;
mod scenarios;
mod secret_keys;
mod serve;
pub mod settings;
mod test_clock;
#[cfg(feature = "agent-view")]
mod view;

use options::{Command, Options};
use settings::reading::{self, ReadError, Reading};
use std::{
    ffi::{OsStr, OsString},
    io,
    process::ExitCode,
};

/// What a wrong setting exits with; a fault at run time exits with 1.
const EXIT_SETTINGS: u8 = 2;

/// Runs the command that `words` name, the program's own name first, with `variables` as its environment.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    // Before anything is read: the variables and the folder are those of a program.
    if let [_, word, parent, _, command @ ..] = &words[..]
        && word == quarterdeck_environments::SUPERVISE
    {
        return supervise(parent, command).unwrap_or_else(report);
    }
    let failure = match reading::read(&words, variables) {
        Ok(reading) => start(reading).err(),
        Err(ReadError::Words(error)) => {
            // Help that nobody reads is no fault.
            let error = settings::wrong_form::in_words(error);
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_SETTINGS));
        }
        Err(ReadError::Value(error)) => Some(Failure::Settings(error)),
    };
    failure.map_or(ExitCode::SUCCESS, report)
}

/// Runs a program of an MCP server and looks after what it starts, as the process `parent` asked.
fn supervise(parent: &OsStr, command: &[OsString]) -> Result<ExitCode, Failure> {
    let parent = parent.to_str().and_then(|parent| parent.parse().ok());
    let parent =
        parent.ok_or_else(|| Failure::Settings(anyhow::anyhow!("a supervisor is started by a server only")))?;
    let ended = quarterdeck_environments::supervise(parent, command);
    ended.map(ExitCode::from).map_err(|error| Failure::Fault(error.into()))
}

/// Why the process ends.
enum Failure {
    /// Something to change before the next try.
    Settings(anyhow::Error),
    /// Something that happened.
    Fault(anyhow::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Fault(anyhow::Error::new(error).context("cannot write to standard output"))
    }
}

/// Nothing is said of a reader that has seen enough.
fn report(failure: Failure) -> ExitCode {
    let (error, code) = match failure {
        Failure::Settings(error) => (error, ExitCode::from(EXIT_SETTINGS)),
        Failure::Fault(error) => (error, ExitCode::FAILURE),
    };
    if error.downcast_ref::<io::Error>().is_none_or(|error| !output::is_closed(error)) {
        output::complain(&format!("{error:#}"));
    }
    code
}

fn start(Reading { options: Options { command }, values, warnings }: Reading) -> Result<(), Failure> {
    if let Command::Serve(options) = command {
        return serve::run(&options.settings, warnings);
    }
    for warning in warnings {
        output::complain(&warning);
    }
    match command {
        Command::Serve(_) => Ok(()),
        Command::Keys(options) => keys::run(options),
        Command::Orgs(options) => orgs::run(options),
        #[cfg(feature = "agent-view")]
        Command::ViewLink(options) => view::run(&options),
        Command::Health(options) => health::run(&options.address.listen).map_err(Failure::Fault),
        Command::Migrate(options) => migrate::run(&options),
        Command::Scenario(options) => scenarios::run(&options),
        Command::Openapi => say(&quarterdeck_server::document().to_yaml().map_err(|e| Failure::Fault(e.into()))?),
        Command::Config(_) => say(&config::lines(&values)),
        Command::Doctor(options) => doctor::run(&options.settings),
        Command::Completions { shell } => say(&manual::completions(shell)),
        Command::Man => say(&manual::page().map_err(Failure::Fault)?),
    }
}

/// Prints what a command was asked for; whoever reads only its beginning has seen enough.
fn say(text: &str) -> Result<(), Failure> {
    match output::print(text) {
        Err(error) if !output::is_closed(&error) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
