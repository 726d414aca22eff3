//! Going to pages, through history, and from tab to tab.

use super::{
    Chromium, SCRIPT_TIMEOUT, Standing, cdp::CdpError, failed, script::Page, settle::LOAD_TIMEOUT, state::text,
    tab::TabId,
};
use crate::web::driver::{ActionError, Done};
use serde_json::json;
use std::time::Duration;
use url::Url;

/// How long a page is given to begin what it was told, before it is looked at.
const BEGIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a text that is waited for is looked for.
const TEXT_POLL_INTERVAL: Duration = Duration::from_millis(200);

impl Chromium {
    pub(super) async fn go(&self, page: &Page, url: &Url) -> Result<Done, ActionError> {
        // A navigation that hangs would keep this one from beginning.
        page.post("Page.stopLoading", json!({}));
        match page.call_within(LOAD_TIMEOUT, "Page.navigate", json!({"url": url.as_str()})).await {
            Ok(answer) => Ok(Done { load: load_fault(text(&answer, "errorText")), ..Done::default() }),
            Err(CdpError::Late) => {
                page.post("Page.stopLoading", json!({}));
                let load = format!("no answer within {} s; stopped", LOAD_TIMEOUT.as_secs());
                Ok(Done { load: Some(load), ..Done::default() })
            }
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) async fn go_by_history(&self, page: &Page, step: i64) -> Result<Done, ActionError> {
        let none = || {
            let place = if step < 0 { "before" } else { "after" };
            ActionError::Refused(format!("there is no page {place} this one in this tab"))
        };
        let history = page.call("Page.getNavigationHistory", json!({})).await.map_err(|error| failed(&error))?;
        let place = history["currentIndex"].as_i64().unwrap_or_default() + step;
        let place = usize::try_from(place).map_err(|_| none())?;
        let entry = history["entries"].get(place).ok_or_else(none)?;
        if !is_page(text(entry, "url")) {
            return Err(none());
        }
        let before = self.standing();
        let begun = page.call("Page.navigateToHistoryEntry", json!({"entryId": entry["id"]})).await;
        begun.map_err(|error| failed(&error))?;
        self.begun(before).await;
        Ok(Done::default())
    }

    pub(super) async fn reload(&self, page: &Page) -> Result<Done, ActionError> {
        let before = self.standing();
        page.post("Page.stopLoading", json!({}));
        page.call("Page.reload", json!({})).await.map_err(|error| failed(&error))?;
        self.begun(before).await;
        Ok(Done::default())
    }

    /// Waits until a navigation shows.
    async fn begun(&self, before: Standing) {
        let begun = async {
            loop {
                let is_loading = self.shared.lock().active_tab().is_none_or(|tab| tab.loading_since().is_some());
                let Standing { documents, moves, .. } = self.standing();
                if is_loading || documents != before.documents || moves != before.moves || self.cdp.has_ended() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(BEGIN_TIMEOUT, begun).await;
    }

    pub(super) async fn open_and_go(&self, url: Option<&Url>) -> Result<Done, ActionError> {
        self.open_tab().await.map_err(|error| failed(&error))?;
        let page = self.page().await?;
        match url {
            Some(url) => self.go(&page, url).await,
            None => Ok(Done::default()),
        }
    }

    /// Shows a blank page in a tab that a page opened on an address that the browser does not let it open, such as one of
    /// `data:`. It would show nothing ever, and give no picture. Says whether it was so.
    pub(super) async fn has_blanked(&self) -> bool {
        let Some(page) = self.active_page() else { return false };
        let Some(target) = self.shared.lock().active_tab().map(|tab| tab.target.clone()) else { return false };
        let known = self.cdp.call(None, "Target.getTargetInfo", json!({"targetId": target})).await;
        if !known.is_ok_and(|known| text(&known["targetInfo"], "url").is_empty()) {
            return false;
        }
        page.call("Page.navigate", json!({"url": "about:blank"})).await.is_ok()
    }

    pub(super) async fn switch(&self, wanted: TabId) -> Result<Done, ActionError> {
        {
            let mut state = self.shared.lock();
            if state.tab(wanted).is_none() {
                return Err(no_tab(wanted, state.tabs.iter().map(|tab| tab.id)));
            }
            state.active = Some(wanted);
        }
        // A whole Chromium takes no pictures of tabs in the background.
        self.page().await?.post("Page.bringToFront", json!({}));
        Ok(Done::default())
    }

    pub(super) async fn close_tab(&self, wanted: Option<TabId>) -> Result<Done, ActionError> {
        let (target, is_last) = {
            let state = self.shared.lock();
            let id = wanted.or(state.active).unwrap_or(TabId(0));
            let tab = state.tab(id).ok_or_else(|| no_tab(id, state.tabs.iter().map(|tab| tab.id)))?;
            (tab.target.clone(), state.tabs.len() == 1)
        };
        if is_last {
            self.open_tab().await.map_err(|error| failed(&error))?;
        }
        let closed = self.cdp.call(None, "Target.closeTarget", json!({"targetId": target})).await;
        closed.map_err(|error| failed(&error))?;
        let gone = async {
            while self.shared.lock().tabs.iter().any(|tab| tab.target == target) && !self.cdp.has_ended() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), gone).await;
        self.page().await?.post("Page.bringToFront", json!({}));
        Ok(Done::default())
    }

    pub(super) async fn wait(&self, seconds: f64, wanted: Option<&str>) -> Result<Done, ActionError> {
        let limit = Duration::from_secs_f64(seconds.clamp(0.1, 10.0));
        let Some(wanted) = wanted else {
            tokio::time::sleep(limit).await;
            return Ok(Done::default());
        };
        let showing = async {
            loop {
                let page = self.page().await?;
                if page.helper(SCRIPT_TIMEOUT, "has", &[wanted.into()]).await.is_ok_and(|has| has == true) {
                    return Ok::<_, ActionError>(());
                }
                tokio::time::sleep(TEXT_POLL_INTERVAL).await;
            }
        };
        let note = match tokio::time::timeout(limit, showing).await {
            Ok(shown) => shown.map(|()| format!("{wanted:?} is on the page"))?,
            Err(_) => format!("{wanted:?} did not appear within {} s", limit.as_secs_f64()),
        };
        Ok(Done { notes: vec![note], ..Done::default() })
    }
}

fn no_tab(wanted: TabId, known: impl Iterator<Item = TabId>) -> ActionError {
    let known: Vec<String> = known.map(|TabId(number)| number.to_string()).collect();
    ActionError::Refused(format!("there is no tab {}; open are {}", wanted.0, known.join(", ")))
}

fn is_page(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://") || url == "about:blank"
}

/// A page that was not loaded, in a sentence. A file that is loaded instead of a page aborts the navigation.
fn load_fault(error: &str) -> Option<String> {
    let cause = match error {
        "" | "net::ERR_ABORTED" => return None,
        "net::ERR_TUNNEL_CONNECTION_FAILED" | "net::ERR_PROXY_CONNECTION_FAILED" => "its host cannot be reached",
        "net::ERR_TOO_MANY_REDIRECTS" => "it redirects without end",
        "net::ERR_INVALID_AUTH_CREDENTIALS" => "it wants credentials",
        "net::ERR_EMPTY_RESPONSE" => "its host answered nothing",
        error if error.starts_with("net::ERR_CERT") => "its certificate is not valid",
        error if error.starts_with("net::ERR_SSL") => "its host does not speak TLS as it should",
        error => return Some(format!("the page was not loaded ({error})")),
    };
    Some(format!("the page was not loaded: {cause}"))
}
