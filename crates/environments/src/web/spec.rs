//! What a session says of the browser it wants, read and checked.

use super::{
    coordinates::Size,
    proxy::Upstream,
    tools::{Mode, web_address},
};
use crate::{Guard, Refused};
use quarterdeck_api::{Browser, BrowserMode};
use std::time::Duration;
use url::Url;

/// Pixels of a side of what is visible.
const SIDE_MIN: i64 = 200;
const SIDE_MAX: i64 = 4_096;
/// Characters of a chunk; fewer or more are taken as these.
const CHUNK_MIN: i64 = 1_000;
const CHUNK_MAX: i64 = 200_000;
/// What is visible in text mode, where nobody looks.
const TEXT_MODE_SIZE: Size = Size { width: 1_200, height: 1_200 };
/// Characters of a chunk of a page in visual mode.
const VISUAL_CHUNK_SIZE: usize = 20_000;

/// What a session wants.
#[derive(Clone, Debug)]
pub(crate) struct WebSpec {
    /// None for a blank page.
    pub(crate) start_url: Option<Url>,
    pub(crate) mode: Mode,
    pub(crate) size: Size,
    pub(crate) chunk_size: usize,
    pub(crate) settle: Duration,
    pub(crate) lazy: bool,
    pub(crate) upstream: Option<Upstream>,
    /// The browser of another session, to go on in.
    pub(crate) session_id: Option<String>,
}

impl WebSpec {
    /// Reads what a session wants of a browser of this server.
    ///
    /// # Errors
    /// [`Refused`] names the field and says what is wrong with it.
    pub(crate) fn read(browser: &Browser, guard: &Guard) -> Result<Self, Refused> {
        let invalid = |sentence: &str| Err(Refused::Invalid(sentence.to_owned()));
        let session_id = browser.session_id.clone().filter(|id| !id.is_empty());
        if session_id.is_some() && browser.network.is_some() {
            return invalid(
                "network: a browser that is open already, as session_id names one, keeps its own; leave it out",
            );
        }
        if browser.vault_id.is_some() {
            return invalid("vault_id: this server has no vaults");
        }
        if browser.browser_profile_id.is_some() || browser.use_default_browser_profile {
            return invalid(
                "this server keeps no browser profiles; leave browser_profile_id and use_default_browser_profile out",
            );
        }
        let (mode, size, chunk_size) = mode(&browser.mode)?;
        Ok(Self {
            start_url: start_url(&browser.start_url, guard)?,
            mode,
            size,
            chunk_size,
            settle: Duration::from_secs_f64(browser.settle_s.clamp(0.0, 10.0)),
            lazy: browser.lazy,
            upstream: upstream(browser, guard)?,
            session_id,
        })
    }
}

fn mode(mode: &BrowserMode) -> Result<(Mode, Size, usize), Refused> {
    match *mode {
        BrowserMode::Visual { width, height, markdown } => {
            let size = Size { width: side("width", width)?, height: side("height", height)? };
            Ok((Mode::Visual { markdown }, size, VISUAL_CHUNK_SIZE))
        }
        BrowserMode::Text { chunk_size } => {
            let chunk_size = usize::try_from(chunk_size.clamp(CHUNK_MIN, CHUNK_MAX)).unwrap_or(VISUAL_CHUNK_SIZE);
            Ok((Mode::Text, TEXT_MODE_SIZE, chunk_size))
        }
    }
}

fn side(name: &str, pixels: i64) -> Result<u32, Refused> {
    let fits = (SIDE_MIN..=SIDE_MAX).contains(&pixels);
    let wrong = || Refused::Invalid(format!("mode.{name} must be from {SIDE_MIN} to {SIDE_MAX} pixels, not {pixels}"));
    u32::try_from(pixels).ok().filter(|_| fits).ok_or_else(wrong)
}

fn start_url(text: &str, guard: &Guard) -> Result<Option<Url>, Refused> {
    if text.trim().is_empty() || text.trim() == "about:blank" {
        return Ok(None);
    }
    let url = web_address(text).map_err(|fault| Refused::Invalid(format!("start_url: {fault}")))?;
    guard.check(&url).map_err(|refused| Refused::Invalid(format!("start_url: {refused}")))?;
    Ok(Some(url))
}

fn upstream(browser: &Browser, guard: &Guard) -> Result<Option<Upstream>, Refused> {
    let Some(network) = &browser.network else { return Ok(None) };
    if network.managed_proxy.is_some() {
        return Err(Refused::Invalid(
            "network.managed_proxy: this server runs no proxies; name your own in proxy_url".into(),
        ));
    }
    let Some(address) = network.proxy_url.as_deref().filter(|address| !address.is_empty()) else { return Ok(None) };
    let refused = |cause: String| Refused::Invalid(format!("network.proxy_url: {cause}"));
    let upstream = Upstream::parse(address).map_err(refused)?;
    guard.check(&upstream.url().map_err(refused)?).map_err(|cause| refused(cause.to_string()))?;
    Ok(Some(upstream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "made by a macro where it is given")]
    fn read(fields: Value) -> Result<WebSpec, Refused> {
        let mut browser = json!({
            "id": "w", "host": "cloud", "start_url": "https://example.com", "headless": false, "lazy": false,
            "mode": {"type": "visual", "width": 1200, "height": 800, "markdown": false}, "settle_s": 1.0,
            "use_default_browser_profile": false, "persist_browser_profile": false,
        });
        browser.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        WebSpec::read(&serde_json::from_value(browser).unwrap(), &Guard::default())
    }

    #[test]
    fn what_can_be_had_is_read() {
        let spec = read(json!({"network": {"proxy_url": "http://u:p@example.com:3128"}})).unwrap();
        assert_eq!((spec.size, spec.mode), (Size { width: 1_200, height: 800 }, Mode::Visual { markdown: false }));
        assert!(spec.upstream.is_some() && !format!("{spec:?}").contains("u:p"));
        assert_eq!(read(json!({"session_id": "x"})).unwrap().session_id.as_deref(), Some("x"));
        assert_eq!(read(json!({"session_id": ""})).unwrap().session_id, None);
        assert_eq!(read(json!({"start_url": "about:blank"})).unwrap().start_url, None);
        let text = read(json!({"mode": {"type": "text", "chunk_size": 5}})).unwrap();
        assert_eq!((text.mode, text.chunk_size), (Mode::Text, 1_000));
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_its_field() {
        let visual = |width: i64| json!({"mode": {"type": "visual", "width": width, "height": 800, "markdown": false}});
        let id = "018f0000-0000-7000-8000-000000000000";
        for (fields, told) in [
            (visual(199), "mode.width"),
            (visual(4_097), "mode.width"),
            (json!({"start_url": "http://127.0.0.1/"}), "start_url: the host"),
            (json!({"start_url": "file:///etc/passwd"}), "start_url: pages are opened by http"),
            (json!({"network": {"proxy_url": "socks4://u:secret@example.com:1"}}), "network.proxy_url: "),
            (json!({"network": {"proxy_url": "socks5://u:secret@127.0.0.1:1"}}), "network.proxy_url: the host"),
            (json!({"network": {"proxy_url": "http://u:secret@10.0.0.1:1"}}), "network.proxy_url: the host"),
            (json!({"network": {"managed_proxy": {"sticky": true, "pool": "isp"}}}), "network.managed_proxy"),
            (json!({"session_id": "x", "network": {"proxy_url": "http://example.com:1"}}), "session_id"),
            (json!({"vault_id": id}), "vault_id"),
            (json!({"browser_profile_id": id}), "browser_profile_id"),
        ] {
            let Err(Refused::Invalid(sentence)) = read(fields.clone()) else { panic!("{fields}") };
            assert!(sentence.contains(told) && !sentence.contains("secret"), "{fields}: {sentence}");
        }
    }
}
