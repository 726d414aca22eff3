//! `cargo xtask compose`: builds the images and runs docker-compose.yml for real: a session with a file, restarts of each
//! container, a killed database, two servers behind a proxy, a browser on a page. It takes a quarter of an hour, so it is no
//! part of the tests.

mod stand_ins;

use crate::command::{output_of, run as run_command, works};
use crate::packages;
use crate::python::SDK;
use crate::report::say;
use crate::server::API_KEY;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROJECT: &str = "quarterdeck-trial";
/// Ports that are hardly in use.
const PUBLISH: &str = "127.0.0.1:18430";
const PROXY_PUBLISH: &str = "127.0.0.1:18431";
/// Every service that there is.
const ALL: [&str; 4] = ["--profile", "replicas", "--profile", "browser"];
/// What is run: the product's file, and what the trial adds.
const FILES: [&str; 4] = ["--file", "docker-compose.yml", "--file", "tests/compose/pages.yml"];

#[derive(clap::Args)]
#[group(id = "compose")]
pub(crate) struct Arguments {
    /// Make images from Debian's packages in the place of those that cannot be pulled; for machines without a registry
    #[arg(long)]
    stand_ins: bool,
    /// Leave the containers running, to look at
    #[arg(long)]
    keep: bool,
}

/// # Errors
/// When there is no engine, or anything does not work.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if !works("docker", &["version"]) {
        bail!("no Docker engine answers: start one, on Debian from the packages docker.io and docker-compose");
    }
    packages::ensure_installed()?;
    SDK.prepare(workspace)?;
    if arguments.stand_ins {
        stand_ins::make(workspace)?;
    }
    let project = Project::new(workspace)?;
    run_command(&mut project.compose_all(&["build"]))?;
    let tried = project.try_out(workspace);
    if tried.is_err() {
        // What the servers said explains more than the trial can.
        run_command(&mut project.compose_all(&["logs", "--tail=40"]))?;
    }
    if !arguments.keep {
        run_command(&mut project.compose_all(&["down", "--volumes"]))?;
    }
    tried
}

/// docker-compose.yml, with settings of its own.
struct Project {
    words: Vec<String>,
    root: PathBuf,
}

impl Project {
    fn new(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target("compose");
        fs::create_dir_all(&folder)?;
        let settings = folder.join("trial.env");
        let lines = [
            format!("QUARTERDECK_API_KEY={API_KEY}"),
            "POSTGRES_PASSWORD=trial".to_owned(),
            format!("QUARTERDECK_PUBLISH={PUBLISH}"),
            format!("QUARTERDECK_PROXY_PUBLISH={PROXY_PUBLISH}"),
        ];
        fs::write(&settings, lines.join("\n") + "\n")?;
        let mut words: Vec<String> = compose_program()?.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--project-name".to_owned(), PROJECT.to_owned(), "--env-file".to_owned(), text(&settings)]);
        words.extend(FILES.iter().map(|word| (*word).to_owned()));
        Ok(Self { words, root: workspace.path(".") })
    }

    fn compose(&self, arguments: &[&str]) -> Command {
        let (program, words) = self.words.split_first().map_or(("docker", &[][..]), |(first, rest)| (first, rest));
        let mut command = Command::new(program);
        command.args(words).args(arguments).current_dir(&self.root);
        // Older engines build with it only when they are asked to.
        command.envs([("DOCKER_BUILDKIT", "1"), ("COMPOSE_DOCKER_CLI_BUILD", "1")]);
        command
    }

    /// For the services of all profiles.
    fn compose_all(&self, arguments: &[&str]) -> Command {
        self.compose(&[&ALL[..], arguments].concat())
    }

    fn try_out(&self, workspace: &Workspace) -> Result<()> {
        run_command(&mut self.compose(&["up", "--detach"]))?;
        let mut trial = Command::new(SDK.program(workspace, "python"));
        trial.arg(workspace.path("tests/compose/trial.py")).args(&self.words).current_dir(&self.root);
        trial.envs([("PYTHONDONTWRITEBYTECODE", "1"), ("QUARTERDECK_API_KEY", API_KEY)]);
        trial.env("QUARTERDECK_URL", format!("http://{PUBLISH}"));
        trial.env("QUARTERDECK_PICTURES", workspace.target("compose"));
        run_command(trial.env("QUARTERDECK_PROXY_URL", format!("http://{PROXY_PUBLISH}")))?;
        say(output_of(Command::new("docker").args(["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"]))?);
        Ok(())
    }
}

/// The plugin, or the program of old.
fn compose_program() -> Result<&'static [&'static str]> {
    if works("docker", &["compose", "version"]) {
        return Ok(&["docker", "compose"]);
    }
    if works("docker-compose", &["version"]) {
        return Ok(&["docker-compose"]);
    }
    bail!("docker compose is missing: install Docker's plugin, or on Debian the package docker-compose")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
