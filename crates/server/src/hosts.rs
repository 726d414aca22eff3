//! The `Host` that requests are for. A server on loopback is reached by people's browsers, too, and any page can have its
//! own name lead there: such a request names the page's host.

use http::{Request, header, uri::Authority};
use quarterdeck_api::Problem;
use std::{borrow::Cow, net::IpAddr};

/// Refuses a host that is not among the known ones with 421. Addresses of loopback and `localhost` are always known, and
/// so is a request that names no host: browsers always do.
pub(crate) fn check<B>(request: &Request<B>, known: Option<&[String]>) -> Result<(), Problem> {
    let is_known = known.is_none_or(|known| host_of(request).is_none_or(|host| is_known(&host, known)));
    if is_known {
        return Ok(());
    }
    Err(Problem::typed(421, "misdirected_request", "this server does not go by that host; see --public-url"))
}

/// The host without its port; an empty text when it cannot be read.
fn host_of<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.host().into());
    }
    let host = request.headers().get(header::HOST)?;
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    Some(host.map_or(Cow::Borrowed(""), |host| host.host().to_owned().into()))
}

fn is_known(host: &str, known: &[String]) -> bool {
    let host = host.trim_end_matches('.');
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || known.iter().any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: bool) {
        let request = Request::builder().header("host", host).body(()).unwrap();
        let known = ["agents.example".to_owned()];
        assert_eq!(is_known(&host_of(&request).unwrap(), &known), expected, "{host}");
    }

    #[test]
    fn only_names_of_this_server_are_known() {
        for host in ["localhost", "LocalHost:8430", "127.0.0.1:8430", "127.8.9.1", "[::1]:8430", "agents.example:443"] {
            check(host, true);
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "", "a b", "[::2]"]
        {
            check(host, false);
        }
    }
}
