//! A tab: which page it shows, and what that page is loading.

use super::state::text;
use serde_json::Value;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// A request that takes longer is one that the page keeps open on purpose.
const LONG_POLL: Duration = Duration::from_secs(2);
/// Requests that are followed at once.
const REQUESTS_MAX: usize = 1_000;

/// The number of a tab. It is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TabId(pub(crate) u32);

/// A tab.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) id: TabId,
    pub(crate) target: String,
    pub(crate) session: String,
    pub(crate) opener: Option<String>,
    pub(crate) main_frame: String,
    /// How many documents its main frame has shown.
    pub(crate) documents: u64,
    /// How often its address changed within a document.
    pub(crate) moves: u64,
    pub(crate) is_crashed: bool,
    /// Tabs that its page wanted to open and that were too many.
    pub(crate) tabs_refused: u32,
    /// An input that has asked for files.
    pub(crate) chooser: Option<Chooser>,
    /// Requests that it has made.
    pub(crate) asked: u64,
    loading_since: Option<Instant>,
    requests: HashMap<String, Instant>,
    /// The document that its main frame shows, and what a host answered with which document.
    loader: String,
    answered: Option<(String, u64)>,
}

/// An input of a page that waits for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chooser {
    pub(crate) node: i64,
}

impl Tab {
    pub(crate) fn new(id: TabId, target: &str, session: &str, opener: Option<String>) -> Self {
        Self {
            id,
            target: target.to_owned(),
            session: session.to_owned(),
            opener,
            main_frame: target.to_owned(),
            documents: 0,
            moves: 0,
            is_crashed: false,
            tabs_refused: 0,
            chooser: None,
            asked: 0,
            loading_since: None,
            requests: HashMap::new(),
            loader: String::new(),
            answered: None,
        }
    }

    /// Since when its main frame has been loading, if it is.
    pub(crate) fn loading_since(&self) -> Option<Instant> {
        self.loading_since
    }

    /// Whether requests are open that the page may be waiting for.
    pub(crate) fn is_requesting(&self, now: Instant) -> bool {
        self.requests.values().any(|since| now.duration_since(*since) < LONG_POLL)
    }

    /// The status that the host of its page answered with, if that was a fault.
    pub(crate) fn fault_of_host(&self) -> Option<u64> {
        let (loader, status) = self.answered.as_ref()?;
        (*loader == self.loader && *status >= 400).then_some(*status)
    }

    pub(super) fn crashed(&mut self) {
        self.is_crashed = true;
        self.loading_since = None;
        self.requests.clear();
    }

    /// Takes in an event of this tab, or of one of its frames that have a session of their own.
    pub(super) fn take_in(&mut self, session: &str, method: &str, params: &Value) {
        match method {
            "Network.requestWillBeSent" => self.requested(session, params),
            "Network.loadingFinished" | "Network.loadingFailed" => {
                self.requests.remove(&key(session, params));
            }
            "Page.fileChooserOpened" => {
                self.chooser = params["backendNodeId"].as_i64().map(|node| Chooser { node });
            }
            _ if session == self.session => self.take_in_of_page(method, params),
            _ => (),
        }
    }

    fn requested(&mut self, session: &str, params: &Value) {
        self.asked += 1;
        let is_stream = matches!(text(params, "type"), "EventSource" | "WebSocket" | "Ping" | "Media");
        if !is_stream && self.requests.len() < REQUESTS_MAX {
            self.requests.insert(key(session, params), Instant::now());
        }
    }

    fn take_in_of_page(&mut self, method: &str, params: &Value) {
        let is_main = text(params, "frameId") == self.main_frame;
        match method {
            "Page.frameNavigated" if params["frame"]["parentId"].is_null() => {
                text(&params["frame"], "id").clone_into(&mut self.main_frame);
                text(&params["frame"], "loaderId").clone_into(&mut self.loader);
                self.documents += 1;
                self.is_crashed = false;
                self.tabs_refused = 0;
                self.chooser = None;
                self.requests.retain(|_, since| since.elapsed() < Duration::from_millis(500));
            }
            "Network.responseReceived" if is_main && text(params, "type") == "Document" => {
                let status = params["response"]["status"].as_u64();
                self.answered = status.map(|status| (text(params, "loaderId").to_owned(), status));
            }
            "Page.navigatedWithinDocument" if is_main => self.moves += 1,
            "Page.frameStartedLoading" | "Page.frameStartedNavigating" if is_main => {
                self.loading_since.get_or_insert_with(Instant::now);
            }
            "Page.frameStoppedLoading" if is_main => self.loading_since = None,
            _ => (),
        }
    }
}

fn key(session: &str, params: &Value) -> String {
    format!("{session} {}", text(params, "requestId"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tab() -> Tab {
        Tab::new(TabId(1), "T", "S", None)
    }

    #[test]
    fn a_page_loads_from_its_start_to_its_end() {
        let mut tab = tab();
        tab.take_in("S", "Page.frameStartedLoading", &json!({"frameId": "other"}));
        assert!(tab.loading_since().is_none());
        tab.take_in("S", "Page.frameStartedLoading", &json!({"frameId": "T"}));
        assert!(tab.loading_since().is_some());
        tab.take_in("S", "Page.frameNavigated", &json!({"frame": {"id": "T", "loaderId": "L"}}));
        tab.take_in("S", "Page.frameNavigated", &json!({"frame": {"id": "F", "parentId": "T"}}));
        assert_eq!((tab.documents, tab.loading_since().is_some()), (1, true));
        tab.take_in("S", "Page.frameStoppedLoading", &json!({"frameId": "T"}));
        assert!(tab.loading_since().is_none());
    }

    #[test]
    fn a_fault_of_the_host_is_that_of_the_document_that_is_shown() {
        let mut tab = tab();
        let answered = |frame: &str, loader: &str, status: u64| json!({"frameId": frame, "loaderId": loader, "type": "Document", "response": {"status": status}});
        tab.take_in("S", "Network.responseReceived", &answered("T", "L", 404));
        assert_eq!(tab.fault_of_host(), None, "it is not shown yet");
        tab.take_in("S", "Page.frameNavigated", &json!({"frame": {"id": "T", "loaderId": "L"}}));
        tab.take_in("S", "Network.responseReceived", &answered("F", "M", 500));
        assert_eq!(tab.fault_of_host(), Some(404), "frames have their own");
        tab.take_in("S", "Page.frameNavigated", &json!({"frame": {"id": "T", "loaderId": "K"}}));
        assert_eq!(tab.fault_of_host(), None, "back on a page that was kept");
        tab.take_in("S", "Network.responseReceived", &answered("T", "N", 200));
        tab.take_in("S", "Page.frameNavigated", &json!({"frame": {"id": "T", "loaderId": "N"}}));
        assert_eq!(tab.fault_of_host(), None);
    }

    #[test]
    fn a_page_waits_for_young_requests_and_not_for_streams() {
        let mut tab = tab();
        tab.take_in("S", "Network.requestWillBeSent", &json!({"requestId": "1", "type": "EventSource"}));
        assert!(!tab.is_requesting(Instant::now()));
        tab.take_in("S", "Network.requestWillBeSent", &json!({"requestId": "1", "type": "Fetch"}));
        tab.take_in("frame", "Network.requestWillBeSent", &json!({"requestId": "1", "type": "Image"}));
        assert!(tab.is_requesting(Instant::now()));
        assert!(!tab.is_requesting(Instant::now() + LONG_POLL));
        tab.take_in("S", "Network.loadingFinished", &json!({"requestId": "1"}));
        assert!(tab.is_requesting(Instant::now()));
        tab.take_in("frame", "Network.loadingFailed", &json!({"requestId": "1"}));
        assert!(!tab.is_requesting(Instant::now()));
    }
}
