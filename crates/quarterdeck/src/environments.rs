//! Which environments the server hosts, from its settings.

use crate::options::ServerOptions;
use anyhow::{Context, anyhow, bail};
use quarterdeck_api::EnvironmentKind;
use quarterdeck_environments::{Guard, Hosting, HostingSettings};
use std::{collections::BTreeMap, path::Path};

/// The binary that runs, also when another one has taken its place on disk.
const THIS_BINARY: &str = "/proc/self/exe";

/// # Errors
/// Names the setting that cannot be used.
pub(crate) fn hosting(options: &ServerOptions) -> anyhow::Result<Hosting> {
    let guard = Guard::allowing(options.allow_private_hosts.as_deref().unwrap_or_default());
    let guard = guard.context("cannot use --allow-private-hosts")?;
    let commands = options.mcp_allow_command.iter().flatten().map(|text| command(text));
    let variables = options.mcp_allow_variables.as_ref();
    let refused = options.refuse_environments.iter().flatten().map(|word| kind(word));
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    let path = std::env::var_os("PATH");
    let defaults = HostingSettings::default();
    Ok(Hosting::new(HostingSettings {
        guard,
        commands: commands.collect::<anyhow::Result<BTreeMap<_, _>>>()?,
        path: path.unwrap_or(defaults.path),
        supervisor: cfg!(target_os = "linux").then(|| THIS_BINARY.into()),
        variables: variables.map(|names| names.iter().map(|name| name.trim().to_owned()).collect()),
        refused: refused.collect::<anyhow::Result<Vec<_>>>()?,
        ..defaults
    }))
}

/// `NAME=PROGRAM [ARGUMENT...]`.
fn command(text: &str) -> anyhow::Result<(String, Vec<String>)> {
    let parts = text.split_once('=').map(|(name, command)| (name.trim(), command.split_whitespace()));
    let (name, words) = parts.ok_or_else(|| anyhow!("--mcp-allow-command {text:?} is not NAME=PROGRAM"))?;
    let words: Vec<String> = words.map(str::to_owned).collect();
    match words.first() {
        Some(program) if !name.is_empty() && Path::new(program).is_absolute() => Ok((name.to_owned(), words)),
        Some(_) | None => bail!("--mcp-allow-command {text:?} does not name a program by its whole path"),
    }
}

fn kind(word: &str) -> anyhow::Result<EnvironmentKind> {
    let word = word.trim();
    let known = EnvironmentKind::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, kind)| *kind).ok_or_else(|| anyhow!("--refuse-environments: there is no kind {word:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_name_and_a_program_with_its_first_arguments() {
        let (name, words) = command("files=/usr/bin/python3  -m files").unwrap();
        assert_eq!((name.as_str(), words), ("files", ["/usr/bin/python3", "-m", "files"].map(str::to_owned).to_vec()));
        for wrong in ["files", "files=", "=/bin/true", "files=python3"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_are_read_by_their_words() {
        assert_eq!(kind(" desktop").unwrap(), EnvironmentKind::Desktop);
        assert!(kind("cloud").is_err());
    }
}
