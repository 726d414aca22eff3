//! Settings, merged from their sources and completed with defaults.

use crate::options::{ServeOptions, ServerOptions, StoreOptions};
use anyhow::Context;
use etcetera::BaseStrategy;
use serde::Deserialize;
use std::{fmt, fs, path::Path, path::PathBuf, str::FromStr};

/// A value that no log and no error shows.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

const SETTINGS_FILE: &str = "quarterdeck.toml";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct SettingsFile {
    data_dir: Option<PathBuf>,
    database_url: Option<Secret>,
    listen: Option<String>,
    api_key: Option<Secret>,
    model_base_url: Option<String>,
    model_api_key: Option<Secret>,
    model: Option<String>,
    model_timeout: Option<u64>,
    max_workers: Option<usize>,
    lease: Option<u64>,
    drain_grace: Option<u64>,
    log: Option<String>,
    log_format: Option<crate::options::LogFormat>,
}

/// Fills in from the settings file what neither a flag nor a variable says.
pub(crate) fn merged(options: ServeOptions) -> anyhow::Result<(StoreOptions, ServerOptions)> {
    let file = read(options.config.as_deref())?;
    let (store, server) = (options.store, options.server);
    Ok((
        StoreOptions {
            data_dir: store.data_dir.or(file.data_dir),
            database_url: store.database_url.or(file.database_url),
        },
        ServerOptions {
            listen: server.listen.or(file.listen),
            api_key: server.api_key.or(file.api_key),
            model_base_url: server.model_base_url.or(file.model_base_url),
            model_api_key: server.model_api_key.or(file.model_api_key),
            model: server.model.or(file.model),
            model_timeout: server.model_timeout.or(file.model_timeout),
            max_workers: server.max_workers.or(file.max_workers),
            lease: server.lease.or(file.lease),
            drain_grace: server.drain_grace.or(file.drain_grace),
            log: server.log.or(file.log),
            log_format: server.log_format.or(file.log_format),
        },
    ))
}

fn read(named: Option<&Path>) -> anyhow::Result<SettingsFile> {
    let path = named.unwrap_or(Path::new(SETTINGS_FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(SettingsFile::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    toml::from_str(&text).with_context(|| format!("cannot use {}", path.display()))
}

/// The database's URL; makes the folder of an embedded one.
pub(crate) fn database_url(options: &StoreOptions) -> anyhow::Result<String> {
    if let Some(Secret(url)) = &options.database_url {
        return Ok(url.clone());
    }
    let folder = match &options.data_dir {
        Some(folder) => folder.clone(),
        None => data_folder()?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    Ok(format!("sqlite://{}", folder.join("quarterdeck.db").display()))
}

fn data_folder() -> anyhow::Result<PathBuf> {
    let folders = etcetera::choose_base_strategy().context("no home folder; name one with --data-dir")?;
    Ok(folders.data_dir().join("quarterdeck"))
}
