//! `cargo xtask test`: the tests in Rust, the contract's cases and the Python SDK against the real binary.

mod contract;
mod rust;
mod sdk;

use crate::report::{Report, Tally, say};
use crate::workspace::{Workspace, variable};
use crate::{packages, python};
use anyhow::Result;
use clap::ValueEnum;
use quarterdeck_test_support::postgres::{Binaries, PostgresCluster, URL_VARIABLE};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to run; everything when none is named
    parts: Vec<Part>,
    /// Leave a part out
    #[arg(long, value_name = "PART")]
    skip: Vec<Part>,
    /// Install no system packages; what is missing fails the tests that need it
    #[arg(long)]
    skip_packages: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// cargo test
    Rust,
    /// The cases of tests/contract
    Contract,
    /// The Python SDK and command line
    Sdk,
}

impl Arguments {
    fn includes(&self, part: Part) -> bool {
        (self.parts.is_empty() || self.parts.contains(&part)) && !self.skip.contains(&part)
    }
}

/// Runs the parts asked for.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments, report: &mut Report) {
    if !arguments.skip_packages {
        report.step("system packages", packages::ensure_installed);
    }
    let mut postgres = None;
    report.step("Postgres", || {
        postgres = Some(Postgres::open()?);
        Ok(Tally::HELD)
    });
    let Some(postgres) = postgres else { return };
    if arguments.includes(Part::Rust) {
        report.step("Rust tests", || rust::run(workspace, &postgres));
    }
    if arguments.includes(Part::Contract) || arguments.includes(Part::Sdk) {
        report.step("build the server", || workspace.build_server().map(|_| Tally::HELD));
    }
    if arguments.includes(Part::Contract) {
        contract::run(workspace, &postgres, report);
    }
    if arguments.includes(Part::Sdk) {
        report.step("Python environment", || python::prepare(workspace));
        report.step("SDK tests", || sdk::run(workspace, &postgres));
    }
}

/// The one server that all tests of a run share.
struct Postgres {
    url: String,
    programs: PathBuf,
    _cluster: Option<PostgresCluster>,
}

impl Postgres {
    /// Takes the one that the environment names, else starts one.
    fn open() -> Result<Self> {
        let programs = Binaries::find()?.folder().to_owned();
        if let Some(url) = variable(URL_VARIABLE) {
            say(format_args!("using the server that {URL_VARIABLE} names"));
            return Ok(Self { url, programs, _cluster: None });
        }
        let cluster = PostgresCluster::new()?;
        say(format_args!("started the server of {} in {}", programs.display(), cluster.folder().display()));
        Ok(Self { url: cluster.url("postgres"), programs, _cluster: Some(cluster) })
    }
}
