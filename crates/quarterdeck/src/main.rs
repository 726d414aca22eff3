//! Quarterdeck: a self-hosted server for agent sessions, in one binary.
//!
//! This crate reads the settings, builds the parts, starts and stops them. It holds no logic of sessions; and
//! nothing below it reads the environment.

mod environments;
mod health;
mod keys;
mod options;
mod orgs;
mod serve;
mod settings;
#[cfg(feature = "agent-view")]
mod view;

use clap::Parser;
use options::{Command, Options};
use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

/// Many small allocations from many threads are the workload of thousands of waiters. Without huge pages: they
/// would hold 15 MiB of an idle server that nothing uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a wrong setting exits with; a fault at run time exits with 1.
const EXIT_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(error)) => {
            complain(&error);
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(Failure::Fault(error)) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Why the process ends.
enum Failure {
    /// Something to change before the next try.
    Settings(anyhow::Error),
    /// Something that happened.
    Fault(anyhow::Error),
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn complain(error: &anyhow::Error) {
    eprintln!("quarterdeck: {error:#}");
}

fn run(options: Options) -> Result<(), Failure> {
    match options.command {
        Command::Serve(options) => serve::run(options),
        Command::Keys(options) => keys::run(options),
        Command::Orgs(options) => orgs::run(options),
        Command::Health { listen } => health::run(&listen).map_err(Failure::Fault),
        Command::Openapi => print_openapi().map_err(Failure::Fault),
    }
}

/// A reader that has seen enough is no fault.
fn print_openapi() -> anyhow::Result<()> {
    match std::io::stdout().write_all(quarterdeck_server::document().to_yaml()?.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
