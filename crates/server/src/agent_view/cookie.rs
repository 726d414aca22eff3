//! The cookie that pays for requests of the page.

use crate::{App, ServerSettings, error::ApiError, keys::sha256};
use http::{HeaderMap, HeaderValue, Method, header};
use quarterdeck_api::Problem;
use quarterdeck_store::{Caller, TokenHash};

/// The cookie's name. All ports of a host share its cookies, so a server on another port needs another name; where the
/// public address is https, the browser itself makes sure that nobody else has set it.
pub(super) fn name(settings: &ServerSettings, headers: &HeaderMap) -> String {
    if is_secure(settings) {
        return "__Host-quarterdeck".to_owned();
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let port = if port.bytes().all(|byte| byte.is_ascii_digit()) { port } else { "80" };
    format!("quarterdeck-{port}")
}

fn is_secure(settings: &ServerSettings) -> bool {
    settings.public_url.is_secure()
}

/// The header that sets the cookie; no value takes it away.
pub(super) fn set(settings: &ServerSettings, headers: &HeaderMap, value: Option<&str>) -> HeaderValue {
    let name = name(settings, headers);
    let secure = if is_secure(settings) { "; Secure" } else { "" };
    let age = if value.is_some() { quarterdeck_store::SIGN_IN_TTL.num_seconds() } else { 0 };
    let value = value.unwrap_or_default();
    let cookie = format!("{name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}");
    #[expect(clippy::expect_used, reason = "digits, letters and punctuation are a header value")]
    HeaderValue::try_from(cookie).expect("a cookie is a header value")
}

/// What of a cookie is kept.
pub(super) fn token(app: &App, headers: &HeaderMap) -> Option<TokenHash> {
    let name = name(&app.settings, headers);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, value)| *known == name && !value.is_empty())?;
    Some(TokenHash(sha256(value.as_bytes())))
}

/// Who calls by a cookie, if the request has one. One that has ended is refused even where none is needed: "no such
/// session" would stand where "sign in again" should.
pub(crate) async fn caller(app: &App, method: &Method, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    let Some(token) = token(app, headers) else { return Ok(None) };
    if !is_same_origin(method, headers) {
        return Err(Problem::forbidden("a cookie counts only for requests of this server's own pages").into());
    }
    let found = app.store.signed_in(token, app.sessions.clock().now()).await?;
    match found {
        Some(signed_in) => Ok(Some(signed_in.caller)),
        None => Err(ApiError::signed_out(set(&app.settings, headers, None))),
    }
}

/// Whether a page of this server asks. `SameSite` does not tell: pages on other ports of the host are the same site.
pub(super) fn is_same_origin(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let reads = method == Method::GET || method == Method::HEAD;
    let host = text("host");
    let same = |origin: &str| origin.split_once("://").map(|(_, rest)| rest) == host;
    match text("sec-fetch-site") {
        Some("same-origin") => true,
        // Typed into the address bar.
        Some("none") => reads,
        Some(_) => false,
        None => text("origin").map_or(reads, same),
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_origin;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    fn check(method: &Method, headers: &[(&'static str, &'static str)], counts: bool) {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(is_same_origin(method, &map), counts, "{method} {headers:?}");
    }

    #[test]
    fn a_cookie_counts_only_for_pages_of_this_server() {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let reads = method == Method::GET;
            check(&method, &[("sec-fetch-site", "same-origin")], true);
            check(&method, &[("sec-fetch-site", "none")], reads);
            check(&method, &[("sec-fetch-site", "same-site")], false);
            check(&method, &[("sec-fetch-site", "cross-site")], false);
            check(&method, &[("host", "a:1")], reads);
            check(&method, &[("host", "a:1"), ("origin", "http://a:1")], true);
            check(&method, &[("host", "a:1"), ("origin", "http://a:2")], false);
            check(&method, &[("host", "a:1"), ("origin", "null")], false);
        }
    }
}
