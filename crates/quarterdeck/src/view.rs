//! Where Agent View is, for the person who runs the server.

use crate::{Failure, options::ViewLinkOptions, say, settings::places};
use anyhow::{Context, bail, ensure};
use quarterdeck_engine::{Clock, SystemClock};
use quarterdeck_server::{PublicUrl, new_token, sha256};
use quarterdeck_store::{Error, Store, TokenHash};
use std::{
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use uuid::Uuid;

/// The page's address. To somebody who looks at a terminal of this machine it also signs a browser in, once and within
/// ten minutes; what goes into a file or over the network does not.
pub(crate) async fn address(url: &str, listening: SocketAddr, store: &dyn Store) -> Result<String, Error> {
    let page = page(url);
    if !listening.ip().is_loopback() || !std::io::stdout().is_terminal() {
        return Ok(page);
    }
    let Some(key) = first_key(store).await? else { return Ok(page) };
    let token = link(store, key).await?;
    Ok(token.map_or_else(|| page.clone(), |token| with_token(&page, &token)))
}

/// Runs `quarterdeck view-link`.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(options: &ViewLinkOptions) -> Result<(), Failure> {
    let url = server_url(options).map_err(Failure::Settings)?;
    let database = places::database_url(&options.database).map_err(Failure::Settings)?;
    let store = quarterdeck_store::open_beside(&database).await.map_err(|error| Failure::Settings(error.into()))?;
    let made = make_link(&*store, &page(&url), options.key).await;
    store.close().await;
    say(&format!("{}\n", made.map_err(Failure::Fault)?))
}

/// Where browsers reach the server, as its own settings say.
fn server_url(options: &ViewLinkOptions) -> anyhow::Result<String> {
    if let Some(url) = &options.public.public_url {
        PublicUrl::fixed(url).context("cannot use --public-url")?;
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let listen = &options.address.listen;
    let Ok(address) = listen.parse::<SocketAddr>() else { return Ok(format!("http://{listen}")) };
    ensure!(address.port() != 0, "--listen {listen} names no port: say the one that the server listens on");
    // No address that leads anywhere: the server listens on all, this machine's own among them.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, address.port())))
}

async fn make_link(store: &dyn Store, page: &str, key: Option<Uuid>) -> anyhow::Result<String> {
    let found = match key {
        Some(key) => Some(key),
        None => first_key(store).await?,
    };
    let Some(key) = found else { bail!("there is no key yet; make one with `quarterdeck keys create --org default`") };
    let Some(token) = link(store, key).await? else {
        bail!("there is no active key {key}; see `quarterdeck keys list`");
    };
    Ok(with_token(page, &token))
}

async fn first_key(store: &dyn Store) -> Result<Option<Uuid>, Error> {
    Ok(store.keys().await?.into_iter().find(|key| key.revoked_at.is_none()).map(|key| key.id))
}

/// What signs a browser in once, in place of the key; none when there is no such key.
async fn link(store: &dyn Store, key: Uuid) -> Result<Option<String>, Error> {
    let token = new_token(SystemClock.random());
    let is_made = store.link_to_sign_in(key, TokenHash(sha256(token.as_bytes())), SystemClock.now()).await?;
    Ok(is_made.then_some(token))
}

fn page(url: &str) -> String {
    format!("{}/agent-view", url.trim_end_matches('/'))
}

/// Behind the `#` it is in no log and no referrer.
fn with_token(page: &str, token: &str) -> String {
    format!("{page}#once={token}")
}

#[cfg(test)]
mod tests {
    use super::server_url;
    use crate::options::{Command, Options};
    use clap::Parser;

    fn url(words: &str) -> anyhow::Result<String> {
        let words = ["quarterdeck", "view-link"].into_iter().chain(words.split_whitespace());
        let Command::ViewLink(options) = Options::try_parse_from(words)?.command else { panic!("another command") };
        server_url(&options)
    }

    #[test]
    fn a_link_leads_to_where_browsers_reach_the_server() {
        for (words, wanted) in [
            ("", "http://127.0.0.1:8430"),
            ("--listen 127.0.0.1:99", "http://127.0.0.1:99"),
            ("--listen 0.0.0.0:99", "http://127.0.0.1:99"),
            ("--listen [::]:99", "http://[::1]:99"),
            ("--listen deck.example:99", "http://deck.example:99"),
            ("--listen 0.0.0.0:99 --public-url https://x.example/deck/", "https://x.example/deck"),
        ] {
            assert_eq!(url(words).unwrap(), wanted, "{words}");
        }
        for words in ["--listen 127.0.0.1:0", "--public-url x.example", "--key 1"] {
            assert!(url(words).is_err(), "{words}");
        }
    }
}
