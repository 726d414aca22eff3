//! Where Agent View is, for the person who starts the server.

use quarterdeck_engine::{Clock, SystemClock};
use quarterdeck_server::{new_token, sha256};
use quarterdeck_store::{Error, Store, TokenHash};
use std::{io::IsTerminal, net::SocketAddr};

/// The page's address. To somebody who looks at a terminal of this machine it also signs a browser in, once and within
/// ten minutes; what goes into a file or over the network does not.
pub(crate) async fn address(url: &str, listening: SocketAddr, store: &dyn Store) -> Result<String, Error> {
    let page = format!("{url}/agent-view");
    if !listening.ip().is_loopback() || !std::io::stdout().is_terminal() {
        return Ok(page);
    }
    let Some(key) = store.keys().await?.into_iter().find(|key| key.revoked_at.is_none()) else { return Ok(page) };
    let token = new_token(SystemClock.random());
    store.link_to_sign_in(key.id, TokenHash(sha256(token.as_bytes())), SystemClock.now()).await?;
    // Behind the `#` it is in no log and no referrer.
    Ok(format!("{page}#once={token}"))
}
