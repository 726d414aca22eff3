//! What is known of a browser from its events: tabs, what they load, dialogs, downloads. Events are taken in by
//! [`Watcher`], which answers at once what cannot wait, such as a dialog.

use super::{
    cdp::{Cdp, Event},
    downloads::Downloads,
    tab::{Tab, TabId},
};
use crate::web::coordinates::Size;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Tabs of a browser. Chromium's shell blocks no pop-ups.
pub(crate) const TABS_MAX: usize = 20;
/// Tabs beyond them that one page wants to open, after which it is stopped; after twice as many it is closed.
const TABS_REFUSED_MAX: u32 = 20;
/// Dialogs between two looks, after which the page is stopped; and after which its tab is closed.
const DIALOGS_MAX: u32 = 20;
const DIALOGS_MAX_STOPPED: u32 = 40;
/// Dialogs that are told of word for word, and characters of each.
const DIALOGS_TOLD: usize = 5;
const DIALOG_MAX_CHARS: usize = 1_000;

/// How the next dialog is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DialogAnswer {
    pub(crate) accept: bool,
    pub(crate) text: String,
}

/// What a page said in a dialog, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) accepted: bool,
}

/// What happened since the last receipt.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) dialogs: Vec<Dialog>,
    pub(crate) dialogs_untold: u32,
    /// A page went on opening dialogs and was stopped.
    pub(crate) stopped: bool,
    pub(crate) opened: Vec<TabId>,
    pub(crate) closed: Vec<TabId>,
    pub(crate) tabs_refused: u32,
    pub(crate) crashed: bool,
}

/// What is known of a browser.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tabs: Vec<Tab>,
    pub(crate) active: Option<TabId>,
    pub(crate) news: News,
    pub(crate) next_answer: Option<DialogAnswer>,
    pub(crate) downloads: Downloads,
    /// How tabs are set up.
    pub(crate) setup: TabSetup,
    /// The browser's context that all is in.
    pub(crate) context: String,
    next_tab: u32,
    dialogs: u32,
    /// Sessions of frames on other sites: the tab that each belongs to.
    frames: HashMap<String, TabId>,
}

/// The state of a browser, shared between its events and its driver.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    state: Arc<Mutex<State>>,
    /// Something has changed.
    pub(crate) changed: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(downloads: Downloads, setup: TabSetup) -> Self {
        let state = State {
            tabs: Vec::new(),
            active: None,
            news: News::default(),
            next_answer: None,
            downloads,
            setup,
            context: String::new(),
            next_tab: 1,
            dialogs: 0,
            frames: HashMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A tab by its number.
    pub(crate) fn tab(&self, id: TabId) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.id == id)
    }

    /// The tab that is looked at.
    pub(crate) fn active_tab(&self) -> Option<&Tab> {
        self.tab(self.active?)
    }

    /// Takes what happened since this was last asked; a new count of dialogs begins.
    pub(crate) fn take_news(&mut self) -> News {
        self.dialogs = 0;
        std::mem::take(&mut self.news)
    }

    /// Sessions of the frames on other sites in a tab.
    pub(crate) fn frame_sessions(&self, tab: TabId) -> Vec<String> {
        let of_tab = self.frames.iter().filter(|(_, owner)| **owner == tab);
        of_tab.map(|(session, _)| session.clone()).collect()
    }

    /// The tab of a session, its own or that of one of its frames.
    fn tab_of(&mut self, session: &str) -> Option<&mut Tab> {
        let frame_of = self.frames.get(session).copied();
        self.tabs.iter_mut().find(|tab| tab.session == session || Some(tab.id) == frame_of)
    }

    fn remove(&mut self, session: &str) {
        self.frames.remove(session);
        let Some(place) = self.tabs.iter().position(|tab| tab.session == session) else { return };
        let gone = self.tabs.remove(place);
        self.frames.retain(|_, tab| *tab != gone.id);
        self.news.closed.push(gone.id);
        if self.active == Some(gone.id) {
            let opener = self.tabs.iter().find(|tab| Some(&tab.target) == gone.opener.as_ref());
            self.active = opener.or(self.tabs.last()).map(|tab| tab.id);
        }
    }
}

/// Takes in the events of a browser.
pub(crate) struct Watcher {
    pub(crate) cdp: Cdp,
    pub(crate) shared: Shared,
}

/// How each tab is set up before its first request.
#[derive(Clone, Debug)]
pub(crate) struct TabSetup {
    pub(crate) size: Size,
    pub(crate) user_agent: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) timezone: Option<String>,
    /// By how much pictures are made smaller; 1 is not at all.
    pub(crate) picture_scale: f64,
}

impl TabSetup {
    /// Sets up what is a tab's own, not its frames'.
    pub(super) fn apply_to_tab(&self, cdp: &Cdp, session: &str) {
        let Size { width, height } = self.size;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        cdp.post(Some(session), "Emulation.setDeviceMetricsOverride", size);
        if let Some(timezone) = &self.timezone {
            cdp.post(Some(session), "Emulation.setTimezoneOverride", json!({"timezoneId": timezone}));
        }
    }
}

impl Watcher {
    /// Takes in one event.
    pub(crate) fn take_in(&self, event: &Event) {
        let params = &event.params;
        let session = event.session.as_deref();
        match (event.method.as_str(), session) {
            ("Target.attachedToTarget", parent) => self.attached(parent, params),
            ("Target.detachedFromTarget", _) => self.shared.lock().remove(text(params, "sessionId")),
            ("Page.javascriptDialogOpening", Some(session)) => self.dialog(session, params),
            ("Browser.downloadWillBegin", _) => {
                let refused = self.shared.lock().downloads.begin(params);
                self.cancel(refused);
            }
            ("Browser.downloadProgress", _) => {
                let refused = self.shared.lock().downloads.progress(params);
                self.cancel(refused);
            }
            ("Inspector.targetCrashed", Some(session)) => self.crashed(session),
            (method, Some(session)) => {
                if let Some(tab) = self.shared.lock().tab_of(session) {
                    tab.take_in(session, method, params);
                }
            }
            (_, None) => return,
        }
        self.shared.changed.notify_waiters();
    }

    fn cancel(&self, download: Option<String>) {
        if let Some(guid) = download {
            // Without its context none is found.
            let download = json!({"guid": guid, "browserContextId": self.shared.lock().context});
            self.cdp.post(None, "Browser.cancelDownload", download);
        }
    }

    fn crashed(&self, session: &str) {
        let mut state = self.shared.lock();
        state.news.crashed = true;
        if let Some(tab) = state.tab_of(session) {
            tab.crashed();
        }
    }

    fn attached(&self, parent: Option<&str>, params: &Value) {
        let session = text(params, "sessionId");
        let target = &params["targetInfo"];
        match (text(target, "type"), parent) {
            ("page", None) => self.attached_page(session, target),
            ("iframe", Some(parent)) => {
                let tab = self.shared.lock().tab_of(parent).map(|tab| tab.id);
                if let Some(tab) = tab {
                    self.shared.lock().frames.insert(session.to_owned(), tab);
                }
                let setup = self.shared.lock().setup.clone();
                self.set_up_frame(session, &setup);
            }
            _ => self.cdp.post(Some(session), "Runtime.runIfWaitingForDebugger", json!({})),
        }
    }

    fn attached_page(&self, session: &str, target: &Value) {
        let id = text(target, "targetId");
        let mut state = self.shared.lock();
        if state.tabs.len() >= TABS_MAX {
            state.news.tabs_refused += 1;
            self.refused_to(&mut state, text(target, "openerId"));
            self.cdp.post(None, "Target.closeTarget", json!({"targetId": id}));
            // One that stood still to its end would hold its opener, which waits for it in the same process.
            self.cdp.post(Some(session), "Runtime.runIfWaitingForDebugger", json!({}));
            return;
        }
        let opener = target["openerId"].as_str().map(str::to_owned);
        let number = TabId(state.next_tab);
        state.next_tab += 1;
        // What a page opens comes to the front, as a person would see it.
        if opener.is_some() {
            state.active = Some(number);
        }
        state.news.opened.push(number);
        state.tabs.push(Tab::new(number, id, session, opener));
        drop(state);
        self.set_up_tab(session);
    }

    /// A page that does nothing but open tabs is stopped, and at last closed: the tabs that it did open share its process.
    fn refused_to(&self, state: &mut State, opener: &str) {
        let Some(tab) = state.tabs.iter_mut().find(|tab| tab.target == opener) else { return };
        tab.tabs_refused += 1;
        if tab.tabs_refused == TABS_REFUSED_MAX {
            self.cdp.post(Some(&tab.session), "Page.stopLoading", json!({}));
            self.cdp.post(Some(&tab.session), "Runtime.terminateExecution", json!({}));
        } else if tab.tabs_refused == 2 * TABS_REFUSED_MAX {
            self.cdp.post(None, "Target.closeTarget", json!({"targetId": tab.target}));
        }
    }

    fn set_up_tab(&self, session: &str) {
        let setup = self.shared.lock().setup.clone();
        let post = |method, params| self.cdp.post(Some(session), method, params);
        post("Page.enable", json!({}));
        post("Inspector.enable", json!({}));
        post("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        post("Page.setInterceptFileChooserDialog", json!({"enabled": true}));
        setup.apply_to_tab(&self.cdp, session);
        self.set_up_frame(session, &setup);
    }

    /// What tabs and frames on other sites have in common.
    fn set_up_frame(&self, session: &str, setup: &TabSetup) {
        let post = |method, params| self.cdp.post(Some(session), method, params);
        if setup.user_agent.is_some() || setup.language.is_some() {
            let agent = setup.user_agent.clone().unwrap_or_default();
            let mut agent = json!({"userAgent": agent});
            if let Some(language) = &setup.language {
                agent["acceptLanguage"] = language.as_str().into();
            }
            post("Emulation.setUserAgentOverride", agent);
        }
        post("Network.enable", json!({"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}));
        post("Target.setAutoAttach", auto_attach("iframe"));
        post("Runtime.runIfWaitingForDebugger", json!({}));
    }

    fn dialog(&self, session: &str, params: &Value) {
        let mut state = self.shared.lock();
        state.dialogs += 1;
        let count = state.dialogs;
        let answer = state.next_answer.take().unwrap_or(DialogAnswer { accept: true, text: String::new() });
        let accept = answer.accept && count <= DIALOGS_MAX;
        let answered = json!({"accept": accept, "promptText": answer.text});
        if count > DIALOGS_MAX {
            state.news.stopped = true;
            self.stop(session, count, &state);
        }
        self.cdp.post(Some(session), "Page.handleJavaScriptDialog", answered);
        if state.news.dialogs.len() >= DIALOGS_TOLD {
            state.news.dialogs_untold += 1;
            return;
        }
        let message = text(params, "message").chars().take(DIALOG_MAX_CHARS).collect();
        state.news.dialogs.push(Dialog { kind: text(params, "type").to_owned(), message, accepted: accept });
    }

    /// Stops a page that does nothing but open dialogs; closes it if that does not help.
    fn stop(&self, session: &str, dialogs: u32, state: &State) {
        self.cdp.post(Some(session), "Page.stopLoading", json!({}));
        self.cdp.post(Some(session), "Runtime.terminateExecution", json!({}));
        let tab = state.tabs.iter().find(|tab| tab.session == session);
        if let (true, Some(tab)) = (dialogs > DIALOGS_MAX_STOPPED, tab) {
            self.cdp.post(None, "Target.closeTarget", json!({"targetId": tab.target}));
        }
    }
}

/// Attaches to every new target of a type, stopped before its first request.
pub(crate) fn auto_attach(kind: &str) -> Value {
    json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true, "filter": [{"type": kind}]})
}

/// A text in an event; empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// A number in an event, rounded; none if it is no number, or a very large one.
#[expect(clippy::cast_possible_truncation, reason = "checked to be small enough")]
pub(crate) fn whole(value: &Value) -> Option<i64> {
    let rounded = || value.as_f64().map(f64::round).filter(|number| number.abs() < 1e15);
    value.as_i64().or_else(|| rounded().map(|number| number as i64))
}
