//! The address that clients know the server by.

use crate::ServerSettings;
use http::{HeaderMap, header};

/// Without a slash at its end. Where the operator names none, what the client itself asked for.
pub(crate) fn of(settings: &ServerSettings, headers: &HeaderMap) -> String {
    if let Some(url) = &settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(|host| is_plain(host));
    format!("http://{}", host.unwrap_or("127.0.0.1:8430"))
}

/// The path that a proxy puts before all paths of the server; mostly empty.
#[cfg(any(test, feature = "agent-view"))]
pub(crate) fn path(settings: &ServerSettings) -> String {
    let path =
        settings.public_url.as_deref().and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.split_once('/'));
    path.map_or_else(String::new, |(_, path)| format!("/{path}").trim_end_matches('/').to_owned())
}

/// Whether this is a host with or without a port, and nothing that could end up as anything else in a page.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{of, path};
    use crate::ServerSettings;
    use http::{HeaderMap, HeaderValue, header};

    #[test]
    fn the_operators_address_rules_and_else_the_clients() {
        let named =
            |url: Option<&str>| ServerSettings { public_url: url.map(str::to_owned), ..ServerSettings::default() };
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("here:8430"))]);
        for (url, address, below) in [
            (None, "http://here:8430", ""),
            (Some("https://x.example"), "https://x.example", ""),
            (Some("https://x.example/agents/"), "https://x.example/agents", "/agents"),
        ] {
            assert_eq!((of(&named(url), &headers).as_str(), path(&named(url)).as_str()), (address, below), "{url:?}");
        }
        let strange = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a\"><b"))]);
        assert_eq!(of(&named(None), &strange), "http://127.0.0.1:8430");
    }
}
