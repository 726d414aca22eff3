//! Where clients reach this server. Logs and requests hold paths of files; clients get addresses, made when they are
//! read, so that what was written before the server moved leads to where it is now.

use crate::names;
use http::{HeaderMap, Request, header, uri::Authority};
use quarterdeck_api::SessionId;
use serde_json::value::RawValue;
use std::sync::Arc;
use thiserror::Error;
use url::Url;

const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// How the address of this server is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicUrl {
    /// As the operator says it.
    fixed: Option<String>,
    /// Whether what a proxy says of the original request is to be believed.
    trusts_proxy: bool,
}

/// Why an address cannot be this server's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no address of this server: it must be http:// or https://, a host, and perhaps a port and a path")]
pub struct BadPublicUrl(String);

impl PublicUrl {
    /// The address that the operator names.
    ///
    /// # Errors
    /// When it is no address that clients could call.
    pub fn fixed(text: &str) -> Result<Self, BadPublicUrl> {
        let bad = || BadPublicUrl(text.to_owned());
        let url = Url::parse(text).map_err(|_| bad())?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain || url.password().is_some() {
            return Err(bad());
        }
        Ok(Self { fixed: Some(url.as_str().trim_end_matches('/').to_owned()), trusts_proxy: false })
    }

    /// The address that each request was sent to; `trusts_proxy` says whether `X-Forwarded-Host` and
    /// `X-Forwarded-Proto` count.
    pub fn of_request(trusts_proxy: bool) -> Self {
        Self { fixed: None, trusts_proxy }
    }

    /// The request as it is without the path that stands before all paths of the server: some proxies take it away, some
    /// leave it.
    pub(crate) fn without_prefix<B>(&self, mut request: Request<B>) -> Request<B> {
        let rest = request.uri().path().strip_prefix(self.path()).filter(|rest| *rest != request.uri().path());
        let rest = rest.filter(|rest| rest.is_empty() || ROOTS.iter().any(|root| is_below(rest, root)));
        if let Some(rest) = rest
            && let Some(uri) = names::with_path(request.uri(), if rest.is_empty() { "/" } else { rest })
        {
            *request.uri_mut() = uri;
        }
        request
    }

    /// Whether clients come over TLS, for sure.
    #[cfg(feature = "agent-view")]
    pub(crate) fn is_secure(&self) -> bool {
        self.fixed.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// The path that a proxy puts before all paths of the server; mostly empty.
    pub(crate) fn path(&self) -> &str {
        let rest = self.fixed.as_deref().and_then(|url| url.split_once("://")).map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |slash| &rest[slash..])
    }

    /// The address without a slash at its end; none when the request names no host.
    pub(crate) fn base(&self, headers: &HeaderMap) -> Base {
        if let Some(fixed) = &self.fixed {
            return Base(Some(fixed.as_str().into()));
        }
        let forwarded = |name: &str| if self.trusts_proxy { first(headers, name) } else { None };
        let host = forwarded(FORWARDED_HOST).or_else(|| first(headers, header::HOST.as_str()));
        let scheme = match forwarded(FORWARDED_PROTO) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            Some(_) | None => "http",
        };
        let host = host.filter(|host| !host.contains('@') && host.parse::<Authority>().is_ok());
        Base(host.map(|host| format!("{scheme}://{host}").into()))
    }
}

/// What the server's own paths begin with. A prefix may look like one of them, and what follows it tells.
const ROOTS: [&str; 10] = [
    "/",
    "/agent-view",
    "/api/v2",
    "/docs",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/openapi.yaml",
    "/readyz",
    "/share",
];

fn is_below(path: &str, root: &str) -> bool {
    path == root || (root != "/" && path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/')))
}

/// A header's first value; proxies in a row list theirs.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.split(',').next().unwrap_or_default().trim()).filter(|value| !value.is_empty())
}

/// The address of this server for one client.
#[derive(Clone, Debug)]
pub(crate) struct Base(Option<Arc<str>>);

/// The fields of JSON that name files of sessions, up to their values.
const FIELDS: [&str; 2] = ["\"url\":\"", "\"source\":\""];

impl Base {
    /// The address without a slash at its end. A client that names no host is told the one that the server listens on by
    /// default.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("http://127.0.0.1:8430")
    }

    /// JSON with the addresses of a session's files in place of their paths; none when it holds no path. Within a text
    /// of the JSON a quote is escaped, so that what looks like a field is one.
    fn absolute(&self, json: &str, session: SessionId) -> Option<String> {
        let base = self.0.as_deref()?;
        let path = format!("/api/v2/sessions/{session}/resources/");
        if !json.contains(&path) {
            return None;
        }
        let replaced = FIELDS.iter().fold(json.to_owned(), |json, field| {
            json.replace(&format!("{field}{path}"), &format!("{field}{base}{path}"))
        });
        Some(replaced)
    }

    /// The same for the answer to a creation as it was kept, which says itself of which session it is.
    pub(crate) fn in_answer(&self, json: String) -> String {
        #[derive(serde::Deserialize)]
        struct Answer {
            id: SessionId,
        }
        match serde_json::from_str::<Answer>(&json) {
            Ok(Answer { id }) => self.in_text(json, id),
            Err(_) => json,
        }
    }

    pub(crate) fn in_text(&self, json: String, session: SessionId) -> String {
        self.absolute(&json, session).unwrap_or(json)
    }

    pub(crate) fn in_value(&self, json: Box<RawValue>, session: SessionId) -> Box<RawValue> {
        let absolute = self.absolute(json.get(), session).and_then(|text| RawValue::from_string(text).ok());
        absolute.unwrap_or(json)
    }

    pub(crate) fn in_events(&self, events: Vec<Arc<RawValue>>, session: SessionId) -> Vec<Arc<RawValue>> {
        events.into_iter().map(|event| self.in_event(event, session)).collect()
    }

    pub(crate) fn in_event(&self, event: Arc<RawValue>, session: SessionId) -> Arc<RawValue> {
        let absolute = self.absolute(event.get(), session).and_then(|text| RawValue::from_string(text).ok());
        absolute.map_or(event, Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;
    use http::HeaderMap;
    use quarterdeck_api::SessionId;
    use serde_json::json;
    use uuid::Uuid;

    const SESSION: SessionId = SessionId(Uuid::from_u128(7));

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn base(public: &PublicUrl, of: &[(&'static str, &'static str)]) -> Option<String> {
        public.base(&headers(of)).0.as_deref().map(str::to_owned)
    }

    #[test]
    fn the_operators_word_stands_before_the_requests() {
        let fixed = PublicUrl::fixed("https://agents.example.com/deck/").unwrap();
        assert_eq!(base(&fixed, &[("host", "else")]).as_deref(), Some("https://agents.example.com/deck"));
        assert_eq!((fixed.path(), PublicUrl::fixed("https://x.example").unwrap().path()), ("/deck", ""));
        for bad in ["agents.example.com", "ftp://a", "https://", "http://a?b", "http://u:p@a", "http://a#b", ""] {
            assert!(PublicUrl::fixed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_may_leave_the_prefix_or_take_it_away() {
        let check = |public: &str, sent: &str, routed: &str| {
            let request = http::Request::builder().uri(sent).body(()).unwrap();
            assert_eq!(PublicUrl::fixed(public).unwrap().without_prefix(request).uri(), routed, "{public} {sent}");
        };
        let deck = "https://x.example/deck";
        check(deck, "/deck/agent-view?a=b", "/agent-view?a=b");
        check(deck, "/deck/api/v2/sessions", "/api/v2/sessions");
        check(deck, "/api/v2/sessions", "/api/v2/sessions");
        for root in ["/deck", "/deck/"] {
            check(deck, root, "/");
        }
        check(deck, "/deckhand/agent-view", "/deckhand/agent-view");
        check(deck, "/deck/elsewhere", "/deck/elsewhere");
        check("https://x.example/api", "/api/v2/sessions", "/api/v2/sessions");
        check("https://x.example/api", "/api/api/v2/sessions", "/api/v2/sessions");
        check("https://x.example", "/agent-view", "/agent-view");
    }

    #[test]
    fn what_a_proxy_says_counts_only_when_it_is_trusted() {
        let sent = [("host", "in:8430"), ("x-forwarded-host", "out.example.com, in"), ("x-forwarded-proto", "HTTPS")];
        assert_eq!(base(&PublicUrl::of_request(false), &sent).as_deref(), Some("http://in:8430"));
        assert_eq!(base(&PublicUrl::of_request(true), &sent).as_deref(), Some("https://out.example.com"));
        assert_eq!(base(&PublicUrl::of_request(true), &sent[..1]).as_deref(), Some("http://in:8430"));
        for bad in ["a\"b", "a b", "u@h", "<script>", ""] {
            assert_eq!(base(&PublicUrl::of_request(false), &[("host", bad)]), None, "{bad}");
        }
    }

    #[test]
    fn only_fields_that_name_files_of_the_session_change() {
        let base = PublicUrl::fixed("http://h").unwrap().base(&HeaderMap::new());
        let path = format!("/api/v2/sessions/{SESSION}/resources/attachments/a");
        let other = format!("/api/v2/sessions/{}/resources/attachments/a", Uuid::from_u128(8));
        let event = json!({"url": path, "x": {"source": path}, "text": path, "said": json!({"url": path}).to_string(),
            "other": {"url": other}});
        let absolute = format!("http://h{path}");
        let wanted = json!({"url": absolute, "x": {"source": absolute}, "text": path,
            "said": json!({"url": path}).to_string(), "other": {"url": other}});
        assert_eq!(base.in_text(event.to_string(), SESSION), wanted.to_string());
        let unknown = PublicUrl::of_request(false).base(&HeaderMap::new());
        assert_eq!(unknown.in_text(event.to_string(), SESSION), event.to_string());
    }
}
