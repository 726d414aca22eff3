//! `quarterdeck keys`, and the first key of a new store.

use crate::{
    Failure,
    options::{KeysCommand, KeysOptions},
    output, say,
    settings::{Secret, places},
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
    let url = places::database_url(&options.database).map_err(Failure::Settings)?;
    let store = quarterdeck_store::open_beside(&url).await.map_err(|error| Failure::Settings(error.into()))?;
    let result = match options.command {
        KeysCommand::Create { org, user } => create(&*store, org, user).await.map(|()| String::new()),
        KeysCommand::List => list(&*store).await,
        KeysCommand::Revoke { id } => revoke(&*store, id).await,
    };
    store.close().await;
    say(&result.map_err(Failure::Fault)?)
}

/// The key is stored once it was printed: one that nobody has seen would be accepted for ever.
async fn create(store: &dyn Store, organization: String, user: String) -> anyhow::Result<()> {
    let key = random_key();
    output::print(&format!("{key}\n")).context("no key was made, since it could not be printed")?;
    store_key(store, &key, organization, user).await.context("the key that was printed does not work")
}

async fn list(store: &dyn Store) -> anyhow::Result<String> {
    let lines = store.keys().await?.into_iter().map(|key| {
        let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {}", at.to_rfc3339()));
        let owner = format!("{}/{}", key.organization, key.user);
        format!("{}  {}…  {owner}  {}  {state}\n", key.id, key.prefix, key.created_at.to_rfc3339())
    });
    Ok(lines.collect())
}

async fn revoke(store: &dyn Store, id: Uuid) -> anyhow::Result<String> {
    if !store.revoke_key(id, SystemClock.now()).await? {
        bail!("there is no active key {id}; see `quarterdeck keys list`");
    }
    Ok(format!("revoked {id}\n"))
}

/// How somebody gets in for the first time.
pub(crate) enum FirstKey {
    /// There is a key already, or one is configured.
    Known,
    /// There is none at all: this one may be stored, once somebody has seen it.
    New(String),
}

/// Makes sure that somebody can call: stores the configured key, or makes one up when there is none at all.
pub(crate) async fn first_key(store: &dyn Store, configured: Option<&Secret>) -> anyhow::Result<FirstKey> {
    if let Some(key) = configured {
        store_first(store, key.reveal()).await?;
        return Ok(FirstKey::Known);
    }
    Ok(if store.keys().await?.is_empty() { FirstKey::New(random_key()) } else { FirstKey::Known })
}

/// Stores a key of nobody in particular.
pub(crate) async fn store_first(store: &dyn Store, key: &str) -> anyhow::Result<()> {
    store_key(store, key, DEFAULT_NAME.into(), DEFAULT_NAME.into()).await
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
