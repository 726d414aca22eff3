//! The commands and their words. What all of them may be told is in [`crate::settings`].

#[cfg(feature = "agent-view")]
use crate::settings::PublicSettings;
use crate::settings::{DatabaseSettings, ListenSettings, Settings, SettingsFile};
use clap::{Args, Parser, Subcommand};
use std::str::FromStr;
use uuid::Uuid;

/// Self-hosted server for agent sessions: the Agents API on your own machine.
///
/// Settings come from flags, then from environment variables, then from quarterdeck.toml in the working folder
/// (the same names as the flags, without the dashes in front). Blank variables count as unset.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Serve(ServeOptions),
    /// Make, list and revoke API keys; works beside a running server.
    Keys(KeysOptions),
    /// Make and list organizations, and set how many sessions each may have; works beside a running server.
    Orgs(OrgsOptions),
    /// Make a link that signs a browser in to Agent View, once and within ten minutes; works beside a running server.
    #[cfg(feature = "agent-view")]
    ViewLink(ViewLinkOptions),
    /// Ask a running server whether it is alive; exits with 0 when it is.
    Health(HealthOptions),
    /// Bring the tables of the database up to date, as a server does at its start; for servers that may not.
    Migrate(MigrateOptions),
    /// Look at files of scenarios.
    Scenario(ScenarioOptions),
    /// Print the document of the API, as `OpenAPI` in YAML.
    Openapi,
    /// Look at the settings.
    Config(ConfigOptions),
    /// Try what the server needs: store, files, model; works beside a running server; exits with 1 when something fails.
    Doctor(ServeOptions),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct MigrateOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    /// Change nothing; exit with 1 when something is to be done.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigOptions {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what holds, and what says so: a flag, a variable, a line of the file, or the default. Secrets are masked.
    Show(ServeOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ScenarioOptions {
    #[command(subcommand)]
    pub(crate) command: ScenarioCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Check files of scenarios and recordings, or folders with them: every fault with its place; exits with 1 when there is one.
    Check {
        /// The files and folders.
        #[arg(required = true, value_name = "PATH")]
        files: Vec<std::path::PathBuf>,
    },
    /// Print the JSON Schema of scenario files, for editors.
    Schema,
    /// Write a session as a recording: Agent View opens it, tests play it; works beside a running server.
    Export(Box<ExportOptions>),
    /// Play a recording on a server of its own and compare what comes out; exits with 1 when it is not the same.
    Verify {
        /// The recording.
        #[arg(value_name = "FILE")]
        file: std::path::PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    pub(crate) serve: ServeOptions,
    /// The session's id.
    #[arg(value_name = "SESSION")]
    pub(crate) session: quarterdeck_api::SessionId,
    /// Mask what fits this regular expression too, as often as it is said. Keys and the secrets of the request always are.
    #[arg(long, value_name = "REGEX")]
    pub(crate) mask: Vec<regex::Regex>,
    /// The file to write, for this user alone [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<std::path::PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HealthOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) address: ListenSettings,
}

#[cfg(feature = "agent-view")]
#[derive(Args, Clone, Debug)]
pub(crate) struct ViewLinkOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    #[command(flatten)]
    pub(crate) address: ListenSettings,
    #[command(flatten)]
    pub(crate) public: PublicSettings,
    /// The key's id, as `keys list` shows it [default: the oldest key that is not revoked]
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<Uuid>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct KeysOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it; it is shown only this once.
    Create {
        /// The organization it belongs to; made when new.
        #[arg(long, value_name = "NAME")]
        org: String,
        /// The user it belongs to; made when new.
        #[arg(long, value_name = "NAME", default_value = "default")]
        user: String,
    },
    /// List the keys, without the keys themselves.
    List,
    /// Revoke a key.
    Revoke {
        /// Its id, as `keys list` shows it.
        id: Uuid,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OrgsOptions {
    #[command(flatten)]
    pub(crate) file: SettingsFile,
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    #[command(subcommand)]
    pub(crate) command: OrgsCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum OrgsCommand {
    /// Make an organization.
    Create {
        /// Its name.
        name: String,
        /// Sessions that it may have at once, 0 to 4294967295, or `default` for what the server says.
        // Not the setting of that name, which is for all organizations: hence an id of its own.
        #[arg(id = "limit", long = "max-concurrent-sessions", value_name = "NUMBER", default_value = "default")]
        max_concurrent_sessions: OwnLimit,
    },
    /// List the organizations: users, working keys, sessions and their limit.
    List,
    /// Show one organization, as `orgs list` does.
    Show {
        /// Its name.
        name: String,
    },
    /// Change how many sessions an organization may have.
    Set {
        /// Its name.
        name: String,
        /// Sessions that it may have at once, 0 to 4294967295, or `default` for what the server says.
        #[arg(id = "limit", long = "max-concurrent-sessions", value_name = "NUMBER")]
        max_concurrent_sessions: OwnLimit,
    },
}

/// An organization's own limit; none is the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnLimit(pub(crate) Option<u64>);

impl FromStr for OwnLimit {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(if text == "default" { None } else { Some(u64::from(text.parse::<u32>()?)) }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, KeysOptions, Options, OrgsOptions, OwnLimit};
    use clap::{CommandFactory, Parser};
    use std::path::PathBuf;

    #[test]
    fn every_command_can_be_parsed() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_limit_is_a_number_or_the_servers() {
        for (text, wanted) in [("0", Some(0)), ("12", Some(12)), ("default", None)] {
            assert_eq!(text.parse(), Ok(OwnLimit(wanted)));
        }
        for text in ["", "-1", "1.5", "many", "99999999999"] {
            assert!(text.parse::<OwnLimit>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_place_of_the_store_may_stand_before_or_behind_the_command() {
        for words in ["keys --data-dir d list", "keys list --data-dir d", "orgs list --data-dir d"] {
            let words = std::iter::once("quarterdeck").chain(words.split(' '));
            let options = Options::try_parse_from(words).unwrap();
            let (Command::Keys(KeysOptions { database, .. }) | Command::Orgs(OrgsOptions { database, .. })) =
                options.command
            else {
                panic!("another command")
            };
            assert_eq!(database.data_dir, Some(PathBuf::from("d")));
        }
    }
}
