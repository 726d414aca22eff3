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
    blob_url: Option<String>,
    api_key: Option<Secret>,
    model_base_url: Option<String>,
    model_api_key: Option<Secret>,
    model: Option<String>,
    model_timeout: Option<u64>,
    model_images: Option<usize>,
    model_coordinates: Option<crate::options::ModelCoordinates>,
    max_workers: Option<usize>,
    max_concurrent_sessions: Option<u64>,
    max_queued_sessions: Option<u64>,
    lease: Option<u64>,
    drain_grace: Option<u64>,
    allow_private_hosts: Option<String>,
    mcp_allow_command: Option<Vec<String>>,
    refuse_environments: Option<Vec<String>>,
    browser_idle: Option<u64>,
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
            blob_url: server.blob_url.or(file.blob_url),
            api_key: server.api_key.or(file.api_key),
            model_base_url: server.model_base_url.or(file.model_base_url),
            model_api_key: server.model_api_key.or(file.model_api_key),
            model: server.model.or(file.model),
            model_timeout: server.model_timeout.or(file.model_timeout),
            model_images: server.model_images.or(file.model_images),
            model_coordinates: server.model_coordinates.or(file.model_coordinates),
            max_workers: server.max_workers.or(file.max_workers),
            max_concurrent_sessions: server.max_concurrent_sessions.or(file.max_concurrent_sessions),
            max_queued_sessions: server.max_queued_sessions.or(file.max_queued_sessions),
            lease: server.lease.or(file.lease),
            drain_grace: server.drain_grace.or(file.drain_grace),
            allow_private_hosts: server.allow_private_hosts.or(file.allow_private_hosts),
            mcp_allow_command: server.mcp_allow_command.or(file.mcp_allow_command),
            refuse_environments: server.refuse_environments.or(file.refuse_environments),
            browser_idle: server.browser_idle.or(file.browser_idle),
            log: server.log.or(file.log),
            log_format: server.log_format.or(file.log_format),
        },
    ))
}

fn read(named: Option<&Path>) -> anyhow::Result<SettingsFile> {
    let path = named.unwrap_or(Path::new(SETTINGS_FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(SettingsFile::default());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    toml::from_str(&text).with_context(|| format!("cannot use {}", path.display()))
}

/// The database's URL; makes the folder of an embedded one.
pub(crate) fn database_url(options: &StoreOptions) -> anyhow::Result<String> {
    if let Some(Secret(url)) = &options.database_url {
        return Ok(url.clone());
    }
    let folder = data_folder(options)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    Ok(format!("sqlite://{}", folder.join("quarterdeck.db").display()))
}

/// Where files are kept: in memory beside a database in memory, in a folder beside one in a file.
pub(crate) fn blob_url(options: &ServerOptions, store: &StoreOptions) -> anyhow::Result<String> {
    if let Some(url) = &options.blob_url {
        return Ok(url.clone());
    }
    let database = store.database_url.as_ref().map_or("", |Secret(url)| url);
    let folder = match database.strip_prefix("sqlite:") {
        Some(":memory:") => return Ok("memory:".to_owned()),
        Some(file) if store.data_dir.is_none() => {
            Path::new(file.trim_start_matches("//")).parent().map_or_else(PathBuf::new, Path::to_owned)
        }
        Some(_) | None => data_folder(store)?,
    };
    Ok(format!("file://{}", folder.join("blobs").display()))
}

/// What the tools of AWS are set up by, as far as it is set.
pub(crate) fn aws_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("AWS_"))
        .collect()
}

fn data_folder(options: &StoreOptions) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &options.data_dir {
        return Ok(folder.clone());
    }
    let folders = etcetera::choose_base_strategy().context("no home folder; name one with --data-dir")?;
    Ok(folders.data_dir().join("quarterdeck"))
}
