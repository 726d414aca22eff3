//! `cargo xtask test`: the tests in Rust; and against the real binary the contract's cases, the Python SDK, a generated
//! client in TypeScript, Agent View in Chromium, generated requests, and the crash harness.

mod agent_view;
mod chaos;
mod contract;
mod npm;
mod rust;
mod schemathesis;
mod sdk;
mod typescript;

pub(crate) use agent_view::chromium;

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
    #[command(flatten)]
    generation: schemathesis::Generation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// cargo test
    Rust,
    /// The cases of tests/contract
    Contract,
    /// The Python SDK and command line
    Sdk,
    /// A client generated for TypeScript
    Typescript,
    /// Agent View in Chromium
    AgentView,
    /// Generated requests, judged by openapi.yaml
    Schemathesis,
    /// Short runs of the crash harness
    Chaos,
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
    let outside = [Part::Contract, Part::Sdk, Part::Typescript, Part::AgentView, Part::Schemathesis, Part::Chaos];
    if outside.iter().any(|part| arguments.includes(*part)) {
        report.step("build the server", || workspace.build_server().map(|_| Tally::HELD));
    }
    if arguments.includes(Part::Contract) {
        contract::run(workspace, &postgres, report);
    }
    if arguments.includes(Part::Sdk) {
        report.step("Python environment", || python::SDK.prepare(workspace));
        report.step("SDK tests", || sdk::run(workspace, &postgres));
        report.step("example of the pytest fixture", || sdk::run_fixture(workspace));
    }
    if arguments.includes(Part::Typescript) {
        typescript::steps(workspace, &postgres, report);
    }
    if arguments.includes(Part::AgentView) {
        agent_view::steps(workspace, report);
    }
    if arguments.includes(Part::Schemathesis) {
        schemathesis::steps(workspace, &postgres, arguments.generation, report);
    }
    if arguments.includes(Part::Chaos) {
        chaos::test(workspace, report);
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
