//! `quarterdeck keys`, and the first key of a new store.

use crate::{
    Failure,
    options::{KeysCommand, KeysOptions},
    settings::{self, Secret},
};
use anyhow::{Context, bail};
use quarterdeck_engine::{Clock, SystemClock};
use quarterdeck_server::{key_hash, new_key};
use quarterdeck_store::{NewKey, Store};
use uuid::Uuid;

/// Who the first key belongs to.
const DEFAULT_NAME: &str = "default";
/// Characters of a key that are kept to recognize it by; far too few to guess the rest.
const PREFIX_LENGTH: usize = 9;

/// A short key, chosen by somebody, shows less of itself.
fn prefix(key: &str) -> String {
    key.chars().take(PREFIX_LENGTH.min(key.chars().count() / 4)).collect()
}

/// Runs a `keys` command.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(options: KeysOptions) -> Result<(), Failure> {
    let url = settings::database_url(&options.store).map_err(Failure::Settings)?;
    let store = quarterdeck_store::open_beside(&url).await.map_err(|error| Failure::Settings(error.into()))?;
    let result = match options.command {
        KeysCommand::Create { org, user } => create(&*store, org, user).await,
        KeysCommand::List => list(&*store).await,
        KeysCommand::Revoke { id } => revoke(&*store, id).await,
    };
    store.close().await;
    result.map_err(Failure::Fault)
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn create(store: &dyn Store, organization: String, user: String) -> anyhow::Result<()> {
    let key = random_key();
    store_key(store, &key, organization, user).await?;
    println!("{key}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn list(store: &dyn Store) -> anyhow::Result<()> {
    for key in store.keys().await? {
        let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {}", at.to_rfc3339()));
        println!(
            "{}  {}…  {}/{}  {}  {state}",
            key.id,
            key.prefix,
            key.organization,
            key.user,
            key.created_at.to_rfc3339()
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn revoke(store: &dyn Store, id: Uuid) -> anyhow::Result<()> {
    if !store.revoke_key(id, SystemClock.now()).await? {
        bail!("there is no active key {id}; see `quarterdeck keys list`");
    }
    println!("revoked {id}");
    Ok(())
}

/// Characters of a key that is chosen by hand, when others than this machine can try keys.
const LENGTH_MIN: usize = 16;

/// Refuses a key that can be guessed, unless only this machine can try.
pub(crate) fn check_strength(configured: Option<&Secret>, is_local: bool) -> anyhow::Result<()> {
    let Some(Secret(key)) = configured else { return Ok(()) };
    if !is_local && key.trim().len() < LENGTH_MIN {
        bail!(
            "--api-key is shorter than {LENGTH_MIN} characters and can be guessed from other machines: make it longer"
        );
    }
    Ok(())
}

/// Makes sure that somebody can call: stores the configured key, or makes one when there is none at all.
/// Returns a key that was made.
pub(crate) async fn first_key(store: &dyn Store, configured: Option<&Secret>) -> anyhow::Result<Option<String>> {
    if let Some(Secret(key)) = configured {
        if key.trim().is_empty() {
            bail!("--api-key is empty");
        }
        store_key(store, key, DEFAULT_NAME.into(), DEFAULT_NAME.into()).await?;
        return Ok(None);
    }
    if !store.keys().await?.is_empty() {
        return Ok(None);
    }
    let key = random_key();
    store_key(store, &key, DEFAULT_NAME.into(), DEFAULT_NAME.into()).await?;
    Ok(Some(key))
}

async fn store_key(store: &dyn Store, key: &str, organization: String, user: String) -> anyhow::Result<()> {
    let clock = SystemClock;
    let key = NewKey {
        ids: [clock.id(), clock.id(), clock.id()],
        organization,
        user,
        hash: key_hash(key.as_bytes()),
        prefix: prefix(key),
        created_at: clock.now(),
    };
    store.create_key(key).await.context("cannot store the key")
}

fn random_key() -> String {
    new_key(rand::random())
}
