//! The command line, the environment and the settings file: three ways to say the same things.

#![expect(clippy::doc_markdown, reason = "what documents an option is its help, and is printed as it stands")]

use crate::settings::Secret;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use std::{path::PathBuf, str::FromStr};
use uuid::Uuid;

/// Self-hosted server for agent sessions: the Agents API on your own machine.
///
/// Settings come from flags, then from environment variables, then from quarterdeck.toml in the working folder
/// (the same names as the flags, without the dashes in front).
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, made once")]
pub(crate) enum Command {
    /// Run the server.
    Serve(ServeOptions),
    /// Make, list and revoke API keys; works beside a running server.
    Keys(KeysOptions),
    /// Make and list organizations, and set how many sessions each may have; works beside a running server.
    Orgs(OrgsOptions),
    /// Ask a running server whether it is alive; exits with 0 when it is.
    Health {
        /// Where the server listens.
        #[arg(long, env = "QUARTERDECK_LISTEN", default_value = "127.0.0.1:8430")]
        listen: String,
    },
    /// Print the OpenAPI document.
    Openapi,
}

/// Where things are stored.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StoreOptions {
    /// Folder for the embedded database and files [default: the platform's data folder, below it quarterdeck]
    #[arg(long, env = "QUARTERDECK_DATA_DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,

    /// sqlite://FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE [default: SQLite in the data folder]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub(crate) database_url: Option<Secret>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeOptions {
    /// The settings file [default: quarterdeck.toml, if there is one]
    #[arg(long, env = "QUARTERDECK_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) store: StoreOptions,

    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

/// Everything about serving but the store. All of it may stand in the settings file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerOptions {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8430]
    #[arg(long, env = "QUARTERDECK_LISTEN")]
    pub(crate) listen: Option<String>,

    /// Where files are kept: file:///FOLDER, memory: or s3://BUCKET/PREFIX, which reads the AWS_* variables; several
    /// servers on one Postgres need one place for all [default: blobs beside the embedded database, else in the data
    /// folder]
    #[arg(long, env = "QUARTERDECK_BLOB_URL")]
    pub(crate) blob_url: Option<String>,

    /// An API key to accept [default: the first start on an empty store makes one and prints it once]
    #[arg(long, env = "QUARTERDECK_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<Secret>,

    /// Base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1 [default: none, the scripted model]
    #[arg(long, env = "QUARTERDECK_MODEL_BASE_URL")]
    pub(crate) model_base_url: Option<String>,

    /// Key for the model's endpoint [default: none]
    #[arg(long, env = "QUARTERDECK_MODEL_API_KEY", hide_env_values = true)]
    pub(crate) model_api_key: Option<Secret>,

    /// Model for agents that name none [default: the endpoint's first]
    #[arg(long, env = "QUARTERDECK_MODEL")]
    pub(crate) model: Option<String>,

    /// Pictures of environments and tools that one request shows the model, the latest; 0 for a model that reads text
    /// only [default: 3]
    #[arg(long, env = "QUARTERDECK_MODEL_IMAGES")]
    pub(crate) model_images: Option<usize>,

    /// How the model names a place in a picture: in pixels, in thousandths of its width and height, or in fractions
    /// [default: by the model's name, pixels where it is not known]
    #[arg(long, env = "QUARTERDECK_MODEL_COORDINATES")]
    pub(crate) model_coordinates: Option<ModelCoordinates>,

    /// Seconds a model may take for one reply [default: 120]
    #[arg(long, env = "QUARTERDECK_MODEL_TIMEOUT")]
    pub(crate) model_timeout: Option<u64>,

    /// Sessions that this process runs at once; more wait for a place [default: 1024]
    #[arg(long, env = "QUARTERDECK_MAX_WORKERS")]
    pub(crate) max_workers: Option<usize>,

    /// Sessions of one organization that may run, pause or idle at once, unless it has a limit of its own; more are
    /// queued [default: 64]
    #[arg(long, env = "QUARTERDECK_MAX_CONCURRENT_SESSIONS")]
    pub(crate) max_concurrent_sessions: Option<u64>,

    /// Sessions of one organization that may be queued; more are refused [default: 100]
    #[arg(long, env = "QUARTERDECK_MAX_QUEUED_SESSIONS")]
    pub(crate) max_queued_sessions: Option<u64>,

    /// Seconds after which the sessions of a server that vanished are taken over by another one [default: 10]
    #[arg(long, env = "QUARTERDECK_LEASE")]
    pub(crate) lease: Option<u64>,

    /// Seconds that running steps may take to finish when the server is stopped [default: 5]
    #[arg(long, env = "QUARTERDECK_DRAIN_GRACE")]
    pub(crate) drain_grace: Option<u64>,

    /// Hosts that agents' tools may reach although they are not public: names, IP addresses and networks, separated by
    /// commas, such as localhost,10.1.0.0/16 [default: none]
    #[arg(long, env = "QUARTERDECK_ALLOW_PRIVATE_HOSTS")]
    pub(crate) allow_private_hosts: Option<String>,

    /// A program that MCP servers may be run by, as NAME=PROGRAM [ARGUMENT...]: whoever may create sessions runs it with
    /// arguments of their own; once for each program (in the variable, separated by commas) [default: none]
    #[arg(long, env = "QUARTERDECK_MCP_ALLOW_COMMAND", value_name = "NAME=PROGRAM", value_delimiter = ',')]
    pub(crate) mcp_allow_command: Option<Vec<String>>,

    /// Kinds of environment that sessions are refused for, separated by commas: web, desktop, android, code,
    /// workstation, mcp, memory [default: none; those that this server does not have are told to the agent]
    #[arg(long, env = "QUARTERDECK_REFUSE_ENVIRONMENTS", value_name = "KINDS", value_delimiter = ',')]
    pub(crate) refuse_environments: Option<Vec<String>>,

    /// Seconds that a browser stays open while its session waits [default: 600]
    #[arg(long, env = "QUARTERDECK_BROWSER_IDLE")]
    pub(crate) browser_idle: Option<u64>,

    /// What is logged to stderr: a level, or a tracing filter such as quarterdeck_engine=debug [default: info]
    #[arg(long, env = "QUARTERDECK_LOG")]
    pub(crate) log: Option<String>,

    /// How log lines look [default: text]
    #[arg(long, env = "QUARTERDECK_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelCoordinates {
    /// Pixels of the picture.
    #[serde(rename = "pixels")]
    Pixels,
    /// Thousandths of its width and height.
    #[serde(rename = "0-1000")]
    #[value(name = "0-1000")]
    Thousandths,
    /// Fractions of its width and height.
    #[serde(rename = "0-1")]
    #[value(name = "0-1")]
    Fractions,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct KeysOptions {
    #[command(flatten)]
    pub(crate) store: StoreOptions,
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
    pub(crate) store: StoreOptions,
    #[command(subcommand)]
    pub(crate) command: OrgsCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum OrgsCommand {
    /// Make an organization.
    Create {
        /// Its name.
        name: String,
        /// Sessions that it may have at once, or `default` for what the server says.
        #[arg(long, value_name = "NUMBER", default_value = "default")]
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
        /// Sessions that it may have at once, or `default` for what the server says.
        #[arg(long, value_name = "NUMBER")]
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
            let store = match options.command {
                Command::Keys(KeysOptions { store, .. }) | Command::Orgs(OrgsOptions { store, .. }) => store,
                Command::Serve(_) | Command::Health { .. } | Command::Openapi => panic!("another command"),
            };
            assert_eq!(store.data_dir, Some(PathBuf::from("d")));
        }
    }
}
