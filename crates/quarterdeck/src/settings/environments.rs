use super::text;
use clap::{Args, builder::TypedValueParser};
use quarterdeck_api::EnvironmentKind;
use std::path::Path;

/// What agents' tools may do.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Environments")]
pub struct EnvironmentSettings {
    /// Hosts that agents' tools may reach although they are not public: names, IP addresses and networks, separated by
    /// commas, such as localhost,10.1.0.0/16 [default: none]
    #[arg(long, value_name = "HOSTS", value_parser = text)]
    pub allow_private_hosts: Option<String>,

    /// A program that MCP servers may be run by, as NAME=PROGRAM [ARGUMENT...]: whoever may create sessions runs it with
    /// arguments of their own; once for each program (in the variable, separated by commas) [default: none]
    #[arg(long, value_name = "NAME=PROGRAM", value_delimiter = ',', value_parser = command)]
    pub mcp_allow_command: Vec<AllowedCommand>,

    /// Kinds of environment that sessions are refused for, separated by commas [default: none; those that this server
    /// does not have are told to the agent]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind())]
    pub refuse_environments: Vec<EnvironmentKind>,
}

/// A program that MCP servers may be run by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedCommand {
    /// What agents call it.
    pub name: String,
    /// The program's whole path, and its first arguments.
    pub words: Vec<String>,
}

/// `NAME=PROGRAM [ARGUMENT...]`.
fn command(text: &str) -> Result<AllowedCommand, String> {
    let parts = text.split_once('=').map(|(name, command)| (name.trim(), command.split_whitespace()));
    let (name, words) = parts.ok_or_else(|| "it is not NAME=PROGRAM".to_owned())?;
    let words: Vec<String> = words.map(str::to_owned).collect();
    match words.first() {
        Some(program) if !name.is_empty() && Path::new(program).is_absolute() => {
            Ok(AllowedCommand { name: name.to_owned(), words })
        }
        Some(_) | None => Err("it does not name a program by its whole path, as NAME=PROGRAM does".to_owned()),
    }
}

fn kind() -> impl TypedValueParser<Value = EnvironmentKind> {
    let words = EnvironmentKind::WORDS.iter().map(|(word, _)| *word);
    clap::builder::PossibleValuesParser::new(words).try_map(|word| {
        let known = EnvironmentKind::WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, kind)| *kind).ok_or("there is no such kind")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_name_and_a_program_with_its_first_arguments() {
        let AllowedCommand { name, words } = command("files=/usr/bin/python3  -m files").unwrap();
        assert_eq!((name.as_str(), words), ("files", ["/usr/bin/python3", "-m", "files"].map(str::to_owned).to_vec()));
        for wrong in ["files", "files=", "=/bin/true", "files=python3"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }
}
