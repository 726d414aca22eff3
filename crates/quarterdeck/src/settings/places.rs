//! Where the database and the files are, as settings and defaults say together.

use super::{DatabaseSettings, Secret, StoreSettings};
use anyhow::{Context, bail};
use etcetera::BaseStrategy;
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

const DATABASE_FILE: &str = "quarterdeck.db";
const BLOBS: &str = "blobs";
const FOLDER_MODE: u32 = 0o700;

/// The database's URL.
pub(crate) fn database_url(settings: &DatabaseSettings) -> anyhow::Result<String> {
    if let Some(url) = &settings.database_url {
        return Ok(url.reveal().to_owned());
    }
    let folder = data_folder(settings)?;
    let Some(url) = quarterdeck_store::file_url(&folder.join(DATABASE_FILE)) else {
        bail!("the data folder {} is not UTF-8; name another one with --data-dir", folder.display());
    };
    Ok(url)
}

/// Makes the data folder of a server that keeps something in it, for this user alone: it holds secrets.
pub(crate) fn make_data_folder(settings: &StoreSettings) -> anyhow::Result<()> {
    let Ok(folder) = data_folder(&settings.database) else { return Ok(()) };
    let holds_files =
        settings.blob_url.is_none() && blob_url(settings)?.starts_with(&format!("file://{}", folder.display()));
    if settings.database.database_url.is_some() && !holds_files {
        return Ok(());
    }
    let failed = || format!("cannot make the data folder {}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder).with_context(failed)?;
    if is_ours(&folder) {
        fs::set_permissions(&folder, fs::Permissions::from_mode(FOLDER_MODE)).with_context(failed)?;
    }
    Ok(())
}

/// Whether a folder is the server's alone: somebody may have named one that others need, such as /tmp.
fn is_ours(folder: &Path) -> bool {
    /// What a server makes there beside its database.
    const OURS: [&str; 3] = [BLOBS, "browsers", "secret.key"];
    const STICKY: u32 = 0o1000;
    let is_shared = fs::metadata(folder).map_or(true, |metadata| metadata.permissions().mode() & STICKY != 0);
    let is_foreign = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with("quarterdeck.db") && !OURS.iter().any(|ours| name == *ours)
    };
    let entries = fs::read_dir(folder).map(Iterator::flatten);
    !is_shared && entries.is_ok_and(|mut entries| !entries.any(|entry| is_foreign(&entry)))
}

/// Where files are kept: in memory beside a database in memory, in a folder beside one in a file.
pub(crate) fn blob_url(settings: &StoreSettings) -> anyhow::Result<String> {
    if let Some(url) = &settings.blob_url {
        return Ok(url.clone());
    }
    let url = settings.database.database_url.as_ref().map_or("", Secret::reveal);
    let folder = match quarterdeck_store::database_file(url) {
        Ok(None) if url.starts_with("sqlite:") => return Ok("memory:".to_owned()),
        Ok(Some(file)) if settings.database.data_dir.is_none() => {
            file.parent().map_or_else(PathBuf::new, Path::to_owned)
        }
        Ok(_) | Err(_) => data_folder(&settings.database)?,
    };
    let folder = std::path::absolute(folder.join(BLOBS)).context("cannot find the working folder")?;
    let Some(folder) = folder.to_str() else { bail!("the folder {} is not UTF-8", folder.display()) };
    Ok(format!("file://{folder}"))
}

/// What the tools of AWS are set up by, as far as it is set.
pub(crate) fn aws_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with("AWS_") && !value.trim().is_empty())
        .collect()
}

pub(crate) fn data_folder(settings: &DatabaseSettings) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &settings.data_dir {
        return Ok(folder.clone());
    }
    let folders = etcetera::choose_base_strategy().context("no home folder; name one with --data-dir")?;
    Ok(folders.data_dir().join("quarterdeck"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(data_dir: Option<&str>, url: Option<&str>) -> StoreSettings {
        let database = DatabaseSettings { data_dir: data_dir.map(Into::into), database_url: url.map(Secret::new) };
        StoreSettings { database, database_connections: 18, blob_url: None }
    }

    #[test]
    fn files_are_beside_the_database() {
        for (data_dir, url, wanted) in [
            (Some("/d"), None, "file:///d/blobs"),
            (Some("/d"), Some("sqlite://:memory:"), "memory:"),
            (None, Some("sqlite::memory:"), "memory:"),
            (None, Some("sqlite:///e/x.db?mode=rwc"), "file:///e/blobs"),
            (Some("/d"), Some("sqlite:///e/x.db"), "file:///d/blobs"),
            (Some("/d"), Some("postgres://h/d"), "file:///d/blobs"),
        ] {
            assert_eq!(blob_url(&store(data_dir, url)).unwrap(), wanted, "{data_dir:?} {url:?}");
        }
    }

    #[test]
    fn only_a_folder_of_our_own_is_closed_to_others() {
        let base = tempfile::tempdir().unwrap();
        let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        for (name, content, wanted) in
            [("new", None, 0o700), ("ours", Some("quarterdeck.db-wal"), 0o700), ("shared", Some("letters"), 0o755)]
        {
            let folder = base.path().join(name);
            if let Some(content) = content {
                fs::create_dir(&folder).unwrap();
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
                fs::write(folder.join(content), "").unwrap();
            }
            make_data_folder(&store(folder.to_str(), None)).unwrap();
            assert_eq!(mode(&folder), wanted, "{name}");
        }
    }
}
