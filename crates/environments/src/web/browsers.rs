//! The browsers of this server: how they are run, and how many at once.

use super::{
    chromium::{Chromium, find::Executable, memory::MemoryWatch, process::Launch, profile::sweep, state::TabSetup},
    coordinates::{Size, scale},
    driver::Driver,
    proxy::{OwnPorts, Proxy, Upstream},
};
use crate::{Guard, OpenContext};
use quarterdeck_api::EnvironmentKind;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// How long a session waits for a browser while all are in use.
const PLACE_TIMEOUT: Duration = Duration::from_secs(45);
/// How often it looks for one that nobody works with.
const PLACE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that one browser may load in its life.
const TRAFFIC_MAX_BYTES: u64 = 5 << 30;

/// How browsers are run.
#[derive(Clone, Debug)]
pub struct BrowserSettings {
    /// The browser, as [`find_browser`](crate::find_browser) found it.
    pub executable: Executable,
    /// Where the folders of running browsers lie. Those that a dead server left behind are removed.
    pub profiles: PathBuf,
    /// Browsers at once. Each takes about 80 MB with a small page.
    pub count_max: usize,
    /// Megabytes that a browser may hold: each of its processes, of data, and all together. Default: 1,000.
    pub memory_mb: u64,
    /// The user that browsers run as, if not the server's own.
    pub user: Option<u32>,
    /// Whether pages run without the browser's sandbox. It needs a user that is not root.
    pub no_sandbox: bool,
    /// What browsers say they are; their own if absent.
    pub user_agent: Option<String>,
    /// The language that pages are asked for, such as `de-DE`; the browser's own if absent.
    pub language: Option<String>,
    /// The time zone that pages see, unless the session names one.
    pub timezone: Option<String>,
    /// Ports of this server, which no page reaches whatever is let through.
    pub own_ports: Vec<u16>,
}

/// The browsers of this server.
#[derive(Debug)]
pub(crate) struct Browsers {
    settings: BrowserSettings,
    guard: Guard,
    own_ports: OwnPorts,
    places: Arc<Semaphore>,
    memory: Arc<MemoryWatch>,
}

/// What one session wants of its browser.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) setup: TabSetup,
    pub(crate) settle: Duration,
    pub(crate) upstream: Option<Upstream>,
}

impl Browsers {
    /// Removes what a dead server left behind.
    pub(crate) fn new(settings: BrowserSettings, guard: Guard) -> Self {
        let swept = sweep(&settings.profiles);
        if swept > 0 {
            tracing::info!(swept, "removed folders of browsers whose server is gone");
        }
        let own_ports = OwnPorts::of(settings.own_ports.iter().copied());
        let places = Arc::new(Semaphore::new(settings.count_max.max(1)));
        let memory = MemoryWatch::new(settings.memory_mb.saturating_mul(1_000));
        Self { settings, guard, own_ports, places, memory }
    }

    /// How tabs are set up for a session.
    pub(crate) fn tab_setup(&self, size: Size, timezone: Option<String>, picture_side_max: Option<u32>) -> TabSetup {
        TabSetup {
            size,
            picture_scale: scale(size, picture_side_max),
            user_agent: self.settings.user_agent.clone(),
            language: self.settings.language.clone(),
            timezone: timezone.or_else(|| self.settings.timezone.clone()),
        }
    }

    /// A place for one more browser. Those that nobody works with make room; then it is waited for a while.
    ///
    /// # Errors
    /// A sentence, when there is none in time.
    pub(crate) async fn place(&self, context: &OpenContext) -> Result<OwnedSemaphorePermit, String> {
        let until = Instant::now() + PLACE_TIMEOUT;
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok(place);
            }
            if context.parked.evict(EnvironmentKind::Web).await {
                continue;
            }
            let waited = tokio::time::timeout(PLACE_POLL_INTERVAL, Arc::clone(&self.places).acquire_owned()).await;
            match waited {
                Ok(Ok(place)) => return Ok(place),
                Ok(Err(_)) => return Err("this server is being stopped".into()),
                Err(_) => (),
            }
            if Instant::now() >= until {
                return Err(format!("all {} browsers of this server are in use", self.settings.count_max));
            }
        }
    }

    /// Gives no more places.
    pub(crate) fn close(&self) {
        self.places.close();
    }

    /// Starts a browser.
    ///
    /// # Errors
    /// A sentence for the session's owner; the cause is logged.
    pub(crate) async fn start(&self, wanted: &Wanted) -> Result<Chromium, String> {
        self.launch(wanted).await.map_err(|cause| {
            tracing::error!(cause, "a browser could not be started");
            "no browser could be started; the server's log says why".to_owned()
        })
    }

    /// Starts a browser and ends it again.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) async fn try_one(&self) -> Result<(), String> {
        let setup = self.tab_setup(Size { width: 200, height: 200 }, None, None);
        let browser = self.launch(&Wanted { setup, settle: Duration::ZERO, upstream: None }).await?;
        browser.close().await;
        Ok(())
    }

    async fn launch(&self, wanted: &Wanted) -> Result<Chromium, String> {
        let settings = &self.settings;
        let launch = Launch {
            executable: settings.executable.clone(),
            profiles: settings.profiles.clone(),
            memory_kb: settings.memory_mb.saturating_mul(1_000),
            user: settings.user,
            no_sandbox: settings.no_sandbox,
        };
        let proxy =
            Proxy::start(self.guard.clone(), self.own_ports.clone(), wanted.upstream.clone(), TRAFFIC_MAX_BYTES);
        let proxy = proxy.await.map_err(|error| format!("no port is free for its proxy: {error}"))?;
        Chromium::start((&launch, &self.memory), proxy, wanted.setup.clone(), wanted.settle).await
    }
}
