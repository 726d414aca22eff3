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
use settle::{Pastime, Settle, Signs, Verdict};
use state::{Shared, TabSetup, Watcher, auto_attach};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tab::TabId;

/// Time for a browser to start and show its first tab.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is looked whether files and tabs have come.
const ARRIVAL_POLL: Duration = Duration::from_millis(50);
/// Time for a page to say how still it is, or what is at a place. One that is busy is not waited for.
const GLANCE_TIMEOUT: Duration = Duration::from_millis(300);
/// Time after which a page that answers nothing is taken to be busy with a script without end.
const HANG: Duration = Duration::from_secs(2);
/// Time for the other scripts.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one action without the waiting after it. With that it stays below 30 seconds.
const ACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long files that are under way are waited for.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(5);

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
    taken: Mutex<Taken>,
}

/// The picture that was taken last; none if there was none to be had.
#[derive(Debug, Default)]
struct Taken {
    picture: Option<Bytes>,
    /// Whether it was taken after an action and nobody has looked at it.
    is_new: bool,
}

/// Where a browser stands: when it does anything, one of these is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    active: Option<TabId>,
    /// How many documents the active tab has shown.
    documents: u64,
    /// How often its address moved.
    moves: u64,
    /// How many requests it has made.
    asked: u64,
}

/// What a page was before an action.
struct Before {
    standing: Standing,
    changes: Option<u64>,
    picture: Option<Bytes>,
}

/// A picture that was taken while a page was waited for.
struct Early {
    at: Instant,
    standing: Standing,
    picture: Option<Bytes>,
}

impl Early {
    /// Whether nothing has happened since.
    fn fits(&self, now: Instant, standing: Standing, signs: Signs) -> bool {
        self.standing == standing && signs.unchanged.is_some_and(|unchanged| unchanged >= now - self.at)
    }
}

/// How the waiting for a page ended.
#[derive(Default)]
struct Settled {
    /// What was not finished.
    load: Option<String>,
    /// How often the document has changed, if it said so.
    changes: Option<u64>,
    /// The picture, if it was taken meanwhile and the page is as it was then.
    early: Option<Early>,
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
            taken: Mutex::default(),
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

    /// The same for what needs one that answers.
    async fn living_page(&self) -> Result<Page, ActionError> {
        let page = self.page().await?;
        if self.is_crashed() {
            return Err(ActionError::Refused("the page has crashed; load it again, or go to another one".into()));
        }
        Ok(page)
    }

    fn active_page(&self) -> Option<Page> {
        let state = self.shared.lock();
        let tab = state.active_tab()?;
        Some(Page::new(self.cdp.clone(), tab.session.clone(), tab.main_frame.clone()))
    }

    async fn open_tab(&self) -> Result<TabId, CdpError> {
        open_tab(&self.cdp, &self.shared, &self.context, cdp::CALL_TIMEOUT).await
    }

    fn settle(&self) -> Duration {
        *self.settle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mouse_at(&self, at: Point) {
        *self.mouse.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    async fn before(&self) -> Before {
        let standing = self.standing();
        let picture = self.taken().picture.clone();
        Before { standing, changes: self.changes().await, picture }
    }

    fn standing(&self) -> Standing {
        let state = self.shared.lock();
        let of_tab = |of: fn(&tab::Tab) -> u64| state.active_tab().map_or(0, of);
        Standing {
            active: state.active,
            documents: of_tab(|tab| tab.documents),
            moves: of_tab(|tab| tab.moves),
            asked: of_tab(|tab| tab.asked),
        }
    }

    async fn changes(&self) -> Option<u64> {
        let page = self.active_page()?;
        page.helper(GLANCE_TIMEOUT, "quiet", &[]).await.ok()?["changes"].as_u64()
    }

    /// Whether a page is kept busy by a script of its own. One that is only slow, or that has none as it is still blank, must
    /// not be taken for it: what ends a script when there is none ends the whole page of a whole Chromium.
    async fn hangs(&self, page: &Page) -> bool {
        self.standing().documents > 0
            && !self.is_crashed()
            && page.helper(HANG, "quiet", &[]).await == Err(CdpError::Late)
    }

    /// Waits until the page is still.
    async fn settled(&self) -> Settled {
        let settle = Settle { since: Instant::now(), cap: self.settle() };
        let mut early: Option<Early> = None;
        loop {
            let (standing, signs, now) = (self.standing(), self.signs().await, Instant::now());
            match settle.verdict(now, signs) {
                Verdict::Look => {
                    let early = early.filter(|early| early.fits(now, standing, signs));
                    return Settled { load: None, changes: signs.changes, early };
                }
                Verdict::Stop => {
                    if let Some(page) = self.active_page() {
                        page.post("Page.stopLoading", json!({}));
                    }
                    let load = format!("not finished after {} s; stopped", settle::LOAD_TIMEOUT.as_secs());
                    return Settled { load: Some(load), ..Settled::default() };
                }
                Verdict::Wait if self.cdp.has_ended() => return Settled::default(),
                Verdict::Wait => match settle.pastime(now, signs) {
                    Pastime::Sleep(time) if signs.loading_since.is_some() => {
                        let _ = tokio::time::timeout(time, self.shared.changed.notified()).await;
                    }
                    Pastime::Sleep(time) => tokio::time::sleep(time).await,
                    Pastime::Picture(until) => {
                        early = Some(Early { at: now, standing, picture: self.capture(None).await });
                        tokio::time::sleep_until(until.into()).await;
                    }
                },
            }
        }
    }

    async fn signs(&self) -> Signs {
        let known = {
            let state = self.shared.lock();
            let tab = state.active_tab();
            let is_requesting = tab.is_some_and(|tab| tab.is_requesting(Instant::now()));
            Signs { loading_since: tab.and_then(tab::Tab::loading_since), is_requesting, ..Signs::default() }
        };
        // A page that is being replaced does not answer; and the answer would not matter.
        if known.loading_since.is_some() || self.settle().is_zero() {
            return known;
        }
        let Some(page) = self.active_page() else { return known };
        let quiet = page.helper(GLANCE_TIMEOUT, "quiet", &[]).await.unwrap_or_default();
        let unchanged = quiet["unchanged"].as_f64();
        let unchanged = unchanged.map(|ms| Duration::from_secs_f64((ms / 1_000.0).clamp(0.0, 3_600.0)));
        Signs { unchanged, changes: quiet["changes"].as_u64(), ..known }
    }

    /// Waits a little for files that are under way. Says whether there were any.
    async fn downloads_settled(&self) -> bool {
        let is_running = || self.shared.lock().downloads.is_running();
        if !is_running() {
            return false;
        }
        let waiting = async {
            while is_running() && !self.cdp.has_ended() {
                tokio::time::sleep(ARRIVAL_POLL).await;
            }
        };
        let _ = tokio::time::timeout(DOWNLOAD_TIMEOUT, waiting).await;
        true
    }

    /// Tells what came of an action, once the page is still.
    async fn told(&self, before: Before, mut done: Done) -> Done {
        let Settled { load, changes, early } = self.settled().await;
        done.load = done.load.or(load);
        let has_waited = self.downloads_settled().await;
        let mut picture = match early {
            Some(early) if !has_waited => early.picture,
            Some(_) | None => self.capture(None).await,
        };
        if picture.is_none() && self.has_blanked().await {
            picture = self.capture(None).await;
        }
        let standing = self.standing();
        done.moved_on = standing.active != before.standing.active || standing.documents != before.standing.documents;
        let is_elsewhere = done.moved_on || standing.moves != before.standing.moves;
        let looks_other = picture.is_none() || picture != before.picture;
        done.changed = is_elsewhere || looks_other || before.changes.is_none() || {
            let changes = if changes.is_some() { changes } else { self.changes().await };
            changes != before.changes
        };
        *self.taken() = Taken { picture, is_new: true };
        if is_elsewhere {
            done.page = self.sight().await.ok().map(|sight| (sight.url, sight.title));
            done.load = done.load.or_else(|| self.fault_of_host());
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

    fn is_crashed(&self) -> bool {
        self.shared.lock().active_tab().is_some_and(|tab| tab.is_crashed)
    }

    fn fault_of_host(&self) -> Option<String> {
        let status = self.shared.lock().active_tab()?.fault_of_host()?;
        Some(format!("the page's host answered {status}"))
    }
}

/// The first steps with a browser: a context whose storage is in memory, rules for tabs and files, and a blank tab.
async fn open(cdp: &Cdp, shared: &Shared, process: &Process) -> Result<String, CdpError> {
    // On a busy machine the first answers take long; all of them together have the time for the start.
    let call = |method: &'static str, params| cdp.call_within(START_TIMEOUT, None, method, params);
    let context = call("Target.createBrowserContext", json!({"disposeOnDetach": true})).await?;
    let context = state::text(&context, "browserContextId").to_owned();
    shared.lock().context.clone_from(&context);
    let downloads = json!({
        "behavior": "allowAndName", "browserContextId": context, "eventsEnabled": true,
        "downloadPath": process.profile().downloads(),
    });
    call("Browser.setDownloadBehavior", downloads).await?;
    // A whole Chromium would ask a person, and a page that waits for the answer would wait for ever.
    let notifications = json!({
        "permission": {"name": "notifications"}, "setting": "denied", "browserContextId": context,
    });
    cdp.post(None, "Browser.setPermission", notifications);
    let first = call("Target.getTargets", json!({"filter": [{"type": "page"}]})).await?;
    call("Target.setAutoAttach", auto_attach("page")).await?;
    open_tab(cdp, shared, &context, START_TIMEOUT).await?;
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
async fn open_tab(cdp: &Cdp, shared: &Shared, context: &str, limit: Duration) -> Result<TabId, CdpError> {
    if shared.lock().tabs.len() >= state::TABS_MAX {
        return Err(CdpError::Refused(format!("there are {} tabs already; close one first", state::TABS_MAX)));
    }
    let target = json!({"url": "about:blank", "browserContextId": context});
    let created = cdp.call_within(limit, None, "Target.createTarget", target).await?;
    let id = state::text(&created, "targetId");
    let (number, session) = attached(cdp, shared, id).await?;
    // Answered by the page's process once it has taken all that a tab is set up with. A whole Chromium that is busy has no
    // such process yet, and one that is told to go elsewhere before it stands often crashes.
    cdp.call_within(limit, Some(&session), "Runtime.runIfWaitingForDebugger", json!({})).await?;
    Ok(number)
}

/// The number and the session of a tab that was opened; it is the one that is looked at from now on.
async fn attached(cdp: &Cdp, shared: &Shared, target: &str) -> Result<(TabId, String), CdpError> {
    loop {
        let changed = shared.changed.notified();
        {
            let mut state = shared.lock();
            if let Some(tab) = state.tabs.iter().find(|tab| tab.target == target) {
                let found = (tab.id, tab.session.clone());
                state.active = Some(found.0);
                return Ok(found);
            }
        }
        // Attached to before the answer, or a moment after it.
        let _ = tokio::time::timeout(ARRIVAL_POLL, changed).await;
        if cdp.has_ended() {
            return Err(CdpError::Ended);
        }
    }
}

/// Why a browser could not be used.
async fn told(mut process: Process, error: &CdpError, launch: &Launch) -> String {
    if *error == CdpError::Ended {
        // Its pipes close a moment before it has ended.
        process.wait().await;
    }
    let ended = process.end().await;
    let at = launch.executable.path.display();
    match ended {
        Some(how) => format!("{at} ended at its start ({how}){}", sandbox_hint(launch)),
        None if *error == CdpError::Ended => format!("{at} ended at its start{}", sandbox_hint(launch)),
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
        let page = if action.needs_the_page() { self.living_page().await? } else { self.page().await? };
        let before = self.before().await;
        if before.changes.is_none() && action.leaves_the_page() && self.hangs(&page).await {
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
        {
            let mut taken = self.taken();
            if std::mem::take(&mut taken.is_new) {
                return taken.picture.clone();
            }
        }
        let picture = self.capture(None).await;
        *self.taken() = Taken { picture: picture.clone(), is_new: false };
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
        *self.taken() = Taken::default();
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
