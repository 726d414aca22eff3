//! Debian packages that the tests need.

use crate::command::{output_of, run, works};
use crate::report::{Tally, say};
use anyhow::{Result, bail};
use quarterdeck_test_support::postgres::Binaries;
use std::process::Command;

/// What is needed, how to see that it is there, and what brings it.
struct Need {
    what: &'static str,
    is_met: fn() -> bool,
    packages: &'static [&'static str],
}

const NEEDS: [Need; 4] = [
    Need { what: "a Postgres server, 15 or newer", is_met: postgres_is_there, packages: &["postgresql"] },
    Need { what: "Python 3 with venv", is_met: python_is_there, packages: &["python3", "python3-venv"] },
    Need { what: "Chromium", is_met: chromium_is_there, packages: &["chromium"] },
    Need {
        what: "Chromium's headless shell, with fonts",
        is_met: headless_shell_is_there,
        packages: &["chromium-headless-shell", "fonts-liberation"],
    },
];

/// Makes sure that everything is there, and installs it when it may.
pub(crate) fn ensure_installed() -> Result<Tally> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_met)()).collect();
    if missing.is_empty() {
        say("nothing is missing");
        return Ok(Tally::HELD);
    }
    for need in &missing {
        say(format_args!("missing: {}", need.what));
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    install(&packages)?;
    match missing.iter().find(|need| !(need.is_met)()) {
        None => Ok(Tally::HELD),
        Some(need) => bail!("{} is still missing after installing {}", need.what, need.packages.join(" ")),
    }
}

fn chromium_is_there() -> bool {
    super::test::chromium().is_ok()
}

/// Without fonts pages are white.
fn headless_shell_is_there() -> bool {
    ["/usr/lib/chromium/chromium-headless-shell", "/usr/share/fonts/truetype/liberation"]
        .iter()
        .all(|place| std::path::Path::new(place).exists())
}

fn install(packages: &[&str]) -> Result<()> {
    if !is_root() || !works("apt-get", &["--version"]) {
        let list = packages.join(" ");
        bail!("install it first, on Debian: apt-get update && apt-get install -y --no-install-recommends {list}");
    }
    run(&mut apt(&["update", "-qq"]))?;
    run(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn postgres_is_there() -> bool {
    Binaries::find().is_ok_and(|found| works(&found.psql().to_string_lossy(), &["--version"]))
}

fn python_is_there() -> bool {
    works("python3", &["-c", "import ensurepip, venv"])
}
