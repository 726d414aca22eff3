//! The keys that stored secrets are encrypted with: from a setting, or from a file beside an embedded database.

use crate::settings::Secret;
use anyhow::{Context, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use quarterdeck_store::SecretKey;
use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

const FILE: &str = "secret.key";

/// The keys, the one that encrypts first; none when nothing is to be encrypted. A file is made when there is none.
pub(crate) fn secret_keys(configured: Option<&Secret>, database: Option<&Path>) -> anyhow::Result<Vec<SecretKey>> {
    if let Some(secret) = configured {
        return keys_in(secret.reveal()).context("cannot use --secret-key");
    }
    let Some(database) = database else { return Ok(Vec::new()) };
    let file = database.with_file_name(FILE);
    keys_of_file(&file).with_context(|| format!("cannot use the keys in {}", file.display()))
}

fn keys_of_file(file: &Path) -> anyhow::Result<Vec<SecretKey>> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut made) => {
            let key: SecretKey = rand::random();
            writeln!(made, "{}", STANDARD.encode(key))?;
            made.sync_all()?;
            Ok(vec![key])
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // Who may not change it may still read it: a file that an operator mounts.
            let _ = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
            keys_in(&fs::read_to_string(file)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn keys_in(text: &str) -> anyhow::Result<Vec<SecretKey>> {
    let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
    let keys = words.map(key).collect::<anyhow::Result<Vec<_>>>()?;
    if keys.is_empty() {
        bail!("it holds no key");
    }
    Ok(keys)
}

fn key(text: &str) -> anyhow::Result<SecretKey> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| SecretKey::try_from(bytes).ok());
    bytes.ok_or_else(|| anyhow!("a key is 32 bytes in base64, such as `openssl rand -base64 32` prints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_the_setting_or_from_a_file_that_is_made_once() {
        let folder = std::env::temp_dir().join(format!("quarterdeck-keys-{}", rand::random::<u64>()));
        fs::create_dir_all(&folder).unwrap();
        let database = folder.join("quarterdeck.db");
        let made = secret_keys(None, Some(&database)).unwrap();
        assert_eq!(secret_keys(None, Some(&database)).unwrap(), made);
        let two = Secret::new(format!("{},{}", STANDARD.encode([1; 32]), STANDARD.encode([2; 32])));
        assert_eq!(secret_keys(Some(&two), Some(&database)).unwrap(), [[1; 32], [2; 32]]);
        assert_eq!(secret_keys(None, None).unwrap(), Vec::<SecretKey>::new());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in ["", ",", "CANARY", "Q0FOQVJZ"] {
            let refused = format!("{:#}", secret_keys(Some(&Secret::new(text)), None).unwrap_err());
            assert!(refused.contains("--secret-key") && !refused.contains("CANARY"), "{refused}");
        }
    }
}
