//! Chromium as a [`Driver`]: a process of its own for each session, spoken to over pipes.

pub(crate) mod cdp;
pub(crate) mod downloads;
pub(crate) mod find;
mod input;
pub(crate) mod keyboard;
mod look;
pub(crate) mod memory;
mod navigation;
pub(crate) mod process;
pub(crate) mod profile;
mod script;
mod settle;
pub(crate) mod state;
pub(crate) mod tab;

use super::{
    coordinates::{Area, Point},
    driver::{Action, ActionError, Done, Driver, Element, PageText, Sight},
    proxy::Proxy,
};
use async_trait::async_trait;
use bytes::Bytes;
use cdp::{Cdp, CdpError};
use downloads::{DownloadLimits, Downloads};
use memory::{MemoryWatch, Watched};
use process::{Launch, Process};
use script::Page;
use serde_json::{Value, json};
use settle::{Settle, Signs, Verdict};
use state::{Shared, TabSetup, Watcher, auto_attach};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tab::TabId;

/// Time for a browser to start and show its first tab.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a page is asked whether it is still.
const SETTLE_POLL: Duration = Duration::from_millis(50);
/// Time for a page to say how still it is, or what is at a place. One that is busy is not waited for.
const GLANCE: Duration = Duration::from_millis(300);
/// Time for the other scripts.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one action without the waiting after it. With that it stays below 30 seconds.
const ACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long files that are under way are waited for.
const DOWNLOAD_WAIT: Duration = Duration::from_secs(5);

/// A running Chromium.
#[derive(Debug)]
pub(crate) struct Chromium {
    cdp: Cdp,
    shared: Shared,
    context: String,
    proxy: Proxy,
    process: tokio::sync::Mutex<Option<Process>>,
    _watched: Option<Watched>,
    uploads: std::path::PathBuf,
    user: Option<u32>,
    settle: Mutex<Duration>,
    mouse: Mutex<Point>,
    /// The picture after the last action.
    picture: Mutex<Option<Bytes>>,
}

/// What a page was before an action.
struct Before {
    active: Option<TabId>,
    documents: u64,
    moves: u64,
    changes: Option<u64>,
    picture: Option<Bytes>,
}

impl Chromium {
    /// Starts a browser with one blank tab.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) async fn start(
        (launch, memory): (&Launch, &Arc<MemoryWatch>),
        proxy: Proxy,
        setup: TabSetup,
        settle: Duration,
    ) -> Result<Self, String> {
        let shared = Shared::new(Downloads::into(std::path::Path::new(""), DownloadLimits::USUAL), setup);
        let (process, cdp) = launch.start(proxy.address(), |cdp| {
            let watcher = Watcher { cdp, shared: shared.clone() };
            move |event| watcher.take_in(&event)
        })?;
        shared.lock().downloads = Downloads::into(&process.profile().downloads(), DownloadLimits::USUAL);
        let opening = open(&cdp, &shared, &process);
        let opened = tokio::time::timeout(START_TIMEOUT, opening).await.unwrap_or(Err(CdpError::Late));
        let context = match opened {
            Ok(context) => context,
            Err(error) => return Err(told(process, &error, launch).await),
        };
        Ok(Self {
            cdp,
            shared,
            context,
            proxy,
            uploads: process.profile().uploads(),
            user: launch.user,
            _watched: process.group().map(|group| memory.over(group)),
            process: tokio::sync::Mutex::new(Some(process)),
            settle: Mutex::new(settle),
            mouse: Mutex::default(),
            picture: Mutex::default(),
        })
    }

    /// Puts back cookies of a browser that was lost.
    pub(crate) async fn restore(&self, cookies: &[Value]) {
        let cookies = json!({"cookies": cookies, "browserContextId": self.context});
        if let Err(error) = self.cdp.call(None, "Storage.setCookies", cookies).await {
            tracing::warn!(%error, "cookies could not be put back");
        }
    }

    /// The page of the active tab. Without a tab, one is opened.
    async fn page(&self) -> Result<Page, ActionError> {
        if let Some(page) = self.active_page() {
            return Ok(page);
        }
        self.open_tab().await.map_err(|error| failed(&error))?;
        self.active_page().ok_or_else(|| ActionError::Refused("no tab could be opened".into()))
    }

    fn active_page(&self) -> Option<Page> {
        let state = self.shared.lock();
        let tab = state.active_tab()?;
        Some(Page::new(self.cdp.clone(), tab.session.clone(), tab.main_frame.clone()))
    }

    async fn open_tab(&self) -> Result<TabId, CdpError> {
        open_tab(&self.cdp, &self.shared, &self.context).await
    }

    fn settle(&self) -> Duration {
        *self.settle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mouse_at(&self, at: Point) {
        *self.mouse.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    async fn before(&self) -> Before {
        let (active, documents, moves) = self.standing();
        let picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Before { active, documents, moves, changes: self.changes().await, picture }
    }

    /// The active tab, how many documents it has shown, and how often its address moved.
    fn standing(&self) -> (Option<TabId>, u64, u64) {
        let state = self.shared.lock();
        let tab = state.active_tab();
        (state.active, tab.map_or(0, |tab| tab.documents), tab.map_or(0, |tab| tab.moves))
    }

    async fn changes(&self) -> Option<u64> {
        let page = self.active_page()?;
        page.helper(GLANCE, "quiet", &[]).await.ok()?["changes"].as_u64()
    }

    /// Waits until the page is still. Says what was not finished.
    async fn settled(&self) -> Option<String> {
        let settle = Settle { since: Instant::now(), cap: self.settle() };
        loop {
            let signs = self.signs().await;
            match settle.verdict(Instant::now(), signs) {
                Verdict::Look => return None,
                Verdict::Stop => {
                    if let Some(page) = self.active_page() {
                        page.post("Page.stopLoading", json!({}));
                    }
                    return Some(format!("not finished after {} s; stopped", settle::LOAD_MAX.as_secs()));
                }
                Verdict::Wait if self.cdp.has_ended() => return None,
                Verdict::Wait => tokio::time::sleep(SETTLE_POLL).await,
            }
        }
    }

    async fn signs(&self) -> Signs {
        let known = {
            let state = self.shared.lock();
            let tab = state.active_tab();
            let is_requesting = tab.is_some_and(|tab| tab.is_requesting(Instant::now()));
            Signs { loading_since: tab.and_then(tab::Tab::loading_since), is_requesting, unchanged: None }
        };
        // A page that is being replaced does not answer; and the answer would not matter.
        if known.loading_since.is_some() || self.settle().is_zero() {
            return known;
        }
        let Some(page) = self.active_page() else { return known };
        let quiet = page.helper(GLANCE, "quiet", &[]).await.ok();
        let unchanged = quiet.and_then(|quiet| quiet["unchanged"].as_f64());
        Signs { unchanged: unchanged.map(|ms| Duration::from_secs_f64((ms / 1_000.0).clamp(0.0, 3_600.0))), ..known }
    }

    /// Waits a little for files that are under way.
    async fn downloads_settled(&self) {
        let waiting = async {
            while self.shared.lock().downloads.is_running() && !self.cdp.has_ended() {
                tokio::time::sleep(SETTLE_POLL).await;
            }
        };
        let _ = tokio::time::timeout(DOWNLOAD_WAIT, waiting).await;
    }

    /// Tells what came of an action, once the page is still.
    async fn told(&self, before: Before, mut done: Done) -> Done {
        let load = self.settled().await;
        done.load = done.load.or(load);
        self.downloads_settled().await;
        let picture = self.capture(None).await;
        let (active, documents, moves) = self.standing();
        done.moved_on = active != before.active || documents != before.documents;
        let is_elsewhere = done.moved_on || moves != before.moves;
        let looks_other = picture.is_none() || picture != before.picture;
        done.changed =
            is_elsewhere || looks_other || before.changes.is_none() || self.changes().await != before.changes;
        *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = picture;
        if is_elsewhere {
            done.page = self.sight().await.ok().map(|sight| (sight.url, sight.title));
        }
        let (news, (arrived, failed), running) = {
            let mut state = self.shared.lock();
            (state.take_news(), state.downloads.take(), state.downloads.is_running())
        };
        done.moved_on |= !news.dialogs.is_empty();
        done.notes.extend(failed);
        if running {
            done.notes.push("a file is still being loaded; it will be told when it has arrived".into());
        }
        done.news = news;
        done.arrived = arrived;
        done.refused = self.proxy.take_refusals();
        done
    }
}

/// The first steps with a browser: a context whose storage is in memory, rules for tabs and files, and a blank tab.
async fn open(cdp: &Cdp, shared: &Shared, process: &Process) -> Result<String, CdpError> {
    let context = cdp.call(None, "Target.createBrowserContext", json!({"disposeOnDetach": true})).await?;
    let context = state::text(&context, "browserContextId").to_owned();
    shared.lock().context.clone_from(&context);
    let downloads = json!({
        "behavior": "allowAndName", "browserContextId": context, "eventsEnabled": true,
        "downloadPath": process.profile().downloads(),
    });
    cdp.call(None, "Browser.setDownloadBehavior", downloads).await?;
    let first = cdp.call(None, "Target.getTargets", json!({"filter": [{"type": "page"}]})).await?;
    cdp.call(None, "Target.setAutoAttach", auto_attach("page")).await?;
    open_tab(cdp, shared, &context).await?;
    // The tab that the browser opened by itself is in the other context.
    for target in first["targetInfos"].as_array().into_iter().flatten() {
        cdp.post(None, "Target.closeTarget", json!({"targetId": target["targetId"]}));
    }
    let firsts: Vec<&str> =
        first["targetInfos"].as_array().into_iter().flatten().map(|t| state::text(t, "targetId")).collect();
    let mut state = shared.lock();
    state.tabs.retain(|tab| !firsts.contains(&tab.target.as_str()));
    state.take_news();
    Ok(context)
}

/// Opens a blank tab and shows it.
async fn open_tab(cdp: &Cdp, shared: &Shared, context: &str) -> Result<TabId, CdpError> {
    if shared.lock().tabs.len() >= state::TABS_MAX {
        return Err(CdpError::Refused(format!("there are {} tabs already; close one first", state::TABS_MAX)));
    }
    let target = json!({"url": "about:blank", "browserContextId": context});
    let created = cdp.call(None, "Target.createTarget", target).await?;
    let id = state::text(&created, "targetId");
    loop {
        let changed = shared.changed.notified();
        {
            let mut state = shared.lock();
            if let Some(tab) = state.tabs.iter().find(|tab| tab.target == id) {
                let number = tab.id;
                state.active = Some(number);
                return Ok(number);
            }
        }
        // Attached to before the answer, or a moment after it.
        let _ = tokio::time::timeout(SETTLE_POLL, changed).await;
        if cdp.has_ended() {
            return Err(CdpError::Ended);
        }
    }
}

/// Why a browser could not be used.
async fn told(process: Process, error: &CdpError, launch: &Launch) -> String {
    let ended = process.end().await;
    let at = launch.executable.path.display();
    match ended {
        Some(how) => format!("{at} ended at its start ({how}){}", sandbox_hint(launch)),
        None => format!("{at} did not start as it should: {error}"),
    }
}

/// The usual cause.
fn sandbox_hint(launch: &Launch) -> &'static str {
    if launch.no_sandbox {
        return "";
    }
    "; its sandbox needs a user that is not root, and user namespaces, which a container's seccomp profile or the system may \
     forbid: docs/web.md says how to allow them, and --browser-no-sandbox does without"
}

fn failed(error: &CdpError) -> ActionError {
    match error {
        CdpError::Ended => ActionError::Ended,
        CdpError::Late | CdpError::Refused(_) => ActionError::Refused(error.to_string()),
    }
}

#[async_trait]
impl Driver for Chromium {
    async fn act(&self, action: Action) -> Result<Done, ActionError> {
        let page = self.page().await?;
        let before = self.before().await;
        if before.changes.is_none() && action.leaves_the_page() {
            // A script that runs without end would keep the next page of the same site from being shown.
            page.post("Runtime.terminateExecution", json!({}));
        }
        let acting = tokio::time::timeout(ACTION_TIMEOUT, self.perform(&page, action));
        let acted = tokio::select! {
            () = self.cdp.ended() => return Err(ActionError::Ended),
            acted = acting => acted,
        };
        let done = match acted {
            Ok(Err(ActionError::Refused(_))) if self.cdp.has_ended() => return Err(ActionError::Ended),
            Ok(done) => done?,
            Err(_) => Done { notes: vec!["the page did not answer in time".into()], ..Done::default() },
        };
        let told = self.told(before, done).await;
        if self.cdp.has_ended() { Err(ActionError::Ended) } else { Ok(told) }
    }

    async fn sight(&self) -> Result<Sight, ActionError> {
        self.look_around().await
    }

    async fn picture(&self, of: Option<Area>) -> Option<Bytes> {
        if of.is_some() {
            return self.capture(of).await;
        }
        let kept = self.picture.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.is_some() {
            return kept;
        }
        let picture = self.capture(None).await;
        self.picture.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&picture);
        picture
    }

    async fn text(&self, only_visible: bool) -> Result<PageText, ActionError> {
        self.read(only_visible).await
    }

    async fn elements(&self, max: usize) -> Result<Vec<Element>, ActionError> {
        self.list_elements(max).await
    }

    async fn cookies(&self) -> Option<Vec<Value>> {
        let got = self.cdp.call(None, "Storage.getCookies", json!({"browserContextId": self.context})).await;
        got.ok()?["cookies"].as_array().cloned()
    }

    async fn set_up(&self, setup: TabSetup, settle: Duration) {
        *self.settle.lock().unwrap_or_else(PoisonError::into_inner) = settle;
        *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let sessions: Vec<String> = {
            let mut state = self.shared.lock();
            state.setup = setup.clone();
            state.tabs.iter().map(|tab| tab.session.clone()).collect()
        };
        for session in sessions {
            setup.apply_to_tab(&self.cdp, &session);
        }
        // The page lays itself out anew.
        let _ = self.settled().await;
    }

    fn has_ended(&self) -> bool {
        self.cdp.has_ended()
    }

    async fn close(&self) {
        self.cdp.end();
        let process = self.process.lock().await.take();
        if let Some(process) = process {
            process.end().await;
        }
    }
}

#[cfg(test)]
mod tests;
