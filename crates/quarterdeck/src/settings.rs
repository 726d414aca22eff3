//! Settings, a struct a concern. A field is a setting: its doc is its help, and its flag, its variable, its key in the
//! settings file, its default and its bounds are said there and nowhere else. `reading` reads them.
//!
//! A setting named `--max-workers` is the variable `QUARTERDECK_MAX_WORKERS` and the key `max-workers`. Flags come first,
//! then variables, then the file, then the default. A blank variable counts as unset.

#![expect(clippy::doc_markdown, reason = "what documents a setting is its help, and is printed as it stands")]

mod browser;
mod database;
mod endpoints;
mod environments;
mod http;
mod limits;
mod log;
mod model;
pub(crate) mod places;
pub(crate) mod reading;
mod secret;
mod testing;
pub(crate) mod wrong_form;

pub use browser::BrowserSettings;
pub use database::{DatabaseSettings, StoreSettings};
pub use endpoints::{EndpointEntry, ModelName, PriceEntry};
pub use environments::EnvironmentSettings;
pub use http::{HttpSettings, ListenSettings, PublicSettings};
pub use limits::LimitSettings;
pub use log::{LogFormat, LogSettings};
pub use model::{Coordinates, ModelApi, ModelSettings, Replies};
pub use secret::Secret;
pub use testing::{TestClock, TestSettings, Unmatched};

use clap::Args;
use std::path::PathBuf;

/// The settings file that is read when it is there and no other is named.
pub const SETTINGS_FILE: &str = "quarterdeck.toml";

/// Everything that a server can be told.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    #[command(flatten)]
    /// Where sessions and files are kept.
    pub store: StoreSettings,
    #[command(flatten)]
    /// How clients reach the server.
    pub http: HttpSettings,
    #[command(flatten)]
    /// What thinks.
    pub model: ModelSettings,
    #[command(flatten)]
    /// How much at once, and for how long.
    pub limits: LimitSettings,
    #[command(flatten)]
    /// What agents' tools may do.
    pub environments: EnvironmentSettings,
    #[command(flatten)]
    /// The browsers of agents.
    pub browser: BrowserSettings,
    #[command(flatten)]
    /// Tests that the server serves.
    pub test: TestSettings,
    #[command(flatten)]
    /// What is logged.
    pub log: LogSettings,
}

/// Which settings file is read. Not a setting itself: it cannot stand in the file.
#[derive(Args, Clone, Debug)]
pub struct SettingsFile {
    /// The settings file [default: quarterdeck.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A text that says something.
fn text(given: &str) -> Result<String, String> {
    if given.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(given.to_owned()) }
}
