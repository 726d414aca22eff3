//! Developer commands. `cargo xtask --help` lists them; CI runs `cargo xtask ci` and knows nothing more.

mod bench;
mod chaos;
mod ci;
mod command;
mod compose;
mod dist;
mod openapi;
mod packages;
mod python;
mod report;
mod server;
mod test;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::process::ExitCode;
use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Developer commands", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests: Rust, the contract's cases, the Python SDK. Installs what it needs when it is root
    Test(test::Arguments),
    /// Run what CI runs: format, lints, documentation, openapi.yaml, dependencies, then all tests
    Ci(ci::Arguments),
    /// Measure a release build: throughput, latency, memory
    Bench(bench::Arguments),
    /// Break running servers in every way and check what they promise
    Chaos(chaos::Arguments),
    /// Make what is published: archive, Debian package, bill of materials, checksums
    Dist(dist::Arguments),
    /// Build the image, run docker-compose.yml, and break it. Takes a quarter of an hour and a Docker engine
    Compose(compose::Arguments),
    /// Write openapi.yaml as the binary prints it
    Openapi(openapi::Arguments),
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let workspace = Workspace::find()?;
    let mut report = Report::default();
    match arguments.command {
        Command::Test(arguments) => test::run(&workspace, &arguments, &mut report),
        Command::Ci(arguments) => ci::run(&workspace, &arguments, &mut report),
        Command::Bench(arguments) => return bench::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Chaos(arguments) => return chaos::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Dist(arguments) => return dist::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Compose(arguments) => return compose::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Openapi(arguments) => return openapi::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
    }
    Ok(report.close())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_can_be_parsed() {
        super::Arguments::command().debug_assert();
    }
}
