//! `quarterdeck serve`: builds the parts, starts them, stops them in order.

use crate::{
    Failure,
    browsers::{self, Browsers},
    clock, front, hosting,
    keys::{self, FirstKey},
    log,
    models::Model,
    output, ready, scenarios, secret_keys,
    settings::{self, LimitSettings, ModelSettings, Secret, Settings, StoreSettings, TestClock, TestSettings, places},
    test_clock,
};
use anyhow::Context;
use quarterdeck_agent::{Casting, EndpointClient, ModelClient, ModelRunner, RunnerSettings, ScriptedModel};
use quarterdeck_engine::{AnswerGrace, BuiltIn, Clock, Engine, EngineSettings, SystemClock, VirtualClock};
use quarterdeck_environments::Hosting;
use quarterdeck_scenario::Scenario;
use quarterdeck_server::{App, ListenerSettings, Metrics, ServerSettings, TestBed, Unmatched, router};
use quarterdeck_store::{Blobs, Limits, Store};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long the process waits at its end for threads that are not done: an answer that is checked, a file that hangs.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop. Nothing on another thread keeps the process from ending.
pub(crate) fn run(settings: &Settings, warnings: Vec<String>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start threads").map_err(Failure::Fault)?;
    let ended = runtime.block_on(run_to_the_end(settings, warnings));
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

async fn run_to_the_end(settings: &Settings, warnings: Vec<String>) -> Result<(), Failure> {
    log::start(&settings.log).map_err(Failure::Settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    clock::check(SystemClock.now()).map_err(Failure::Settings)?;
    raise_open_files();
    hide_from_programs(settings);
    let parts = Parts::from_settings(settings).await.map_err(Failure::Settings)?;
    serve(settings, parts).await.map_err(Failure::Fault)
}

async fn open_store(
    settings: &StoreSettings,
    secret_key: Option<&Secret>,
    for_tests: bool,
) -> anyhow::Result<Arc<dyn Store>> {
    let url = places::database_url(&settings.database)?;
    let store = if for_tests {
        quarterdeck_store::open_for_tests(&url).await?
    } else {
        quarterdeck_store::open_with(&url, settings.database_connections).await?
    };
    let file = quarterdeck_store::database_file(&url)?;
    let secret_keys = secret_keys::secret_keys(secret_key, file.as_deref())?;
    if secret_keys.is_empty() && store.is_shared() {
        tracing::warn!("secrets are stored in clear: set --secret-key to encrypt them");
    }
    quarterdeck_store::set_secret_keys(&secret_keys);
    Ok(store)
}

/// What a server is made of, ready for use.
struct Parts {
    model: Model,
    hosting: Hosting,
    front: ServerSettings,
    built_in: BuiltIn,
    /// What is told of browsers.
    browser: String,
    listener: TcpListener,
    store: Arc<dyn Store>,
    /// Where the blobs are.
    files: String,
    blobs: Blobs,
    /// In test mode.
    tests: Option<Tests>,
}

/// What a server in test mode has beside.
struct Tests {
    clock: Arc<VirtualClock>,
    scenarios: Vec<Scenario>,
    unmatched: Unmatched,
}

impl Tests {
    fn from_settings(
        settings: &TestSettings,
        listener: &TcpListener,
        store: &dyn Store,
        database: Option<&Path>,
        has_model: bool,
    ) -> anyhow::Result<Option<Self>> {
        if !settings.test {
            let is_asked = !settings.scenarios.is_empty()
                || settings.unmatched.is_some()
                || settings.seed.is_some()
                || settings.clock != TestClock::Real;
            anyhow::ensure!(!is_asked, "--scenarios, --unmatched, --clock and --seed need --test");
            return Ok(None);
        }
        anyhow::ensure!(
            is_local(listener) || settings.test_on_network,
            "--test is reached from other machines here: listen on 127.0.0.1, or say --test-on-network too"
        );
        anyhow::ensure!(
            !store.is_shared(),
            "--test needs a store of its own, since its clock is: leave --database-url out, or name an SQLite file"
        );
        let frozen = match settings.clock {
            TestClock::Real => None,
            TestClock::Frozen(moment) => Some(moment),
        };
        let unmatched = match settings.unmatched {
            Some(settings::Unmatched::Answer) => Unmatched::Answer,
            Some(settings::Unmatched::Fail) => Unmatched::Fail,
            Some(settings::Unmatched::Model) if !has_model => {
                anyhow::bail!("--unmatched model needs a model; name one with --model-base-url")
            }
            None if !has_model => Unmatched::Answer,
            Some(settings::Unmatched::Model) | None => Unmatched::Model,
        };
        let clock = test_clock::clock(VirtualClock::new(frozen, settings.seed), database)?;
        let clock = Arc::new(clock);
        Ok(Some(Self { clock, scenarios: scenarios::load(&settings.scenarios)?, unmatched }))
    }
}

/// What drives sessions. In test mode those that were cast are played to the clock of the tests.
fn runner(settings: &Settings, model: &Model, tests: Option<&Tests>) -> Arc<ModelRunner> {
    let runner_settings = runner_settings(&settings.model);
    let Some(Tests { clock, .. }) = tests else {
        return Arc::new(ModelRunner::with_settings(Arc::clone(&model.client), runner_settings));
    };
    let scripted = ScriptedModel::new().at_pace(Arc::clone(clock) as _);
    let client: Arc<dyn ModelClient> = if model.endpoints.is_empty() {
        Arc::new(scripted)
    } else {
        Arc::new(Casting::beside(scripted, Arc::clone(&model.client)))
    };
    Arc::new(ModelRunner::with_settings(client, runner_settings).at_pace(Arc::clone(clock) as _))
}

/// Says that the server is ready, to people or to the program that started it.
async fn announce(settings: &Settings, first_key: FirstKey, banner: Banner<'_>) -> anyhow::Result<()> {
    let test = &settings.test;
    if test.ready_file.is_none() && !test.ready_json {
        return banner.show(first_key).await;
    }
    let configured = settings.http.api_key.as_ref().map(|key| key.reveal().to_owned());
    let (key, url) = match first_key {
        FirstKey::Known => (configured, banner.url.clone()),
        FirstKey::New(key) => {
            keys::store_first(banner.store, &key).await?;
            (Some(key), banner.url.clone())
        }
    };
    ready::tell(test, &url, key.as_deref())
}

impl Parts {
    async fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        set_up_tls();
        let model = Model::from_settings(&settings.model)?;
        let hosting = hosting::hosting(&settings.environments)?;
        let built_in = front::built_in(settings.environments.catalog.as_deref())?;
        let listen = &settings.http.address.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
        let hosts = known_hosts(settings.http.public.public_url.as_deref(), &listener)?;
        let front = ServerSettings { hosts, ..front::server_settings(&settings.http)? };
        keys::check_strength(settings.http.api_key.as_ref(), is_local(&listener))?;
        places::make_data_folder(&settings.store)?;
        let store = open_store(&settings.store, settings.http.secret_key.as_ref(), settings.test.test).await?;
        let files = places::blob_url(&settings.store)?;
        let blobs = Blobs::open(&files, places::aws_variables())?;
        if store.is_shared() && settings.store.blob_url.is_none() {
            tracing::warn!(
                "files are kept in {files}, where other servers on this database do not find them; with more than one \
                 server name one place for all with --blob-url"
            );
        }
        let folder = browsers::usual_folder(places::data_folder(&settings.store.database).ok());
        let port = listener.local_addr()?.port();
        let guard = hosting::guard(&settings.environments)?;
        let Browsers { hosting: web, told: browser } =
            Browsers::from_settings(&settings.browser, guard, &folder, port).await?;
        let hosting = match web {
            Some(web) => hosting.with_web(Arc::new(web)),
            None => hosting,
        };
        let database = quarterdeck_store::database_file(&places::database_url(&settings.store.database)?)?;
        let has_model = !model.endpoints.is_empty();
        let tests = Tests::from_settings(&settings.test, &listener, &*store, database.as_deref(), has_model)?;
        Ok(Self { model, hosting, front, built_in, browser, listener, store, files, blobs, tests })
    }
}

async fn serve(settings: &Settings, parts: Parts) -> anyhow::Result<()> {
    let Parts { model, hosting, front, built_in, browser, listener, store, files, blobs, tests } = parts;
    // Before anything counts.
    let metrics = Metrics::install(env!("CARGO_PKG_VERSION")).context("cannot collect metrics")?;
    let metrics = match &settings.http.metrics_token {
        Some(token) => metrics.with_token(token.reveal()),
        None => metrics,
    };
    let public_url = settings.http.public.public_url.clone();
    let first_key = keys::first_key(&*store, settings.http.api_key.as_ref()).await?;
    for endpoint in &model.endpoints {
        tokio::spawn(tell_what_is_wrong(Arc::clone(endpoint)));
    }
    let runner = runner(settings, &model, tests.as_ref());
    let parking_ttl = Duration::from_secs(settings.browser.browser_idle);
    let engine_settings = EngineSettings { parking_ttl, ..engine_settings(&settings.limits, hosting, built_in) };
    let clock: Arc<dyn Clock> = match &tests {
        Some(tests) => Arc::clone(&tests.clock) as _,
        None => Arc::new(SystemClock),
    };
    let engine = Engine::start(Arc::clone(&store), blobs, runner, clock, engine_settings).await?;
    let app =
        App::new(engine.sessions(), Arc::clone(&store), ServerSettings { model: Some(model.name.clone()), ..front })
            .with_metrics(metrics.clone());
    let app = match tests {
        Some(Tests { clock, scenarios, unmatched }) => {
            tracing::warn!("test mode: not for production");
            app.with_test_bed(Arc::new(TestBed::new(clock, scenarios, unmatched)))
        }
        None => app,
    };
    tokio::spawn(metrics.keep_small());
    let draining = engine.draining();
    // Before anybody is told that it listens: a signal that comes sooner would just end the process.
    stop_on_signals(draining.clone())?;
    let listening = listener.local_addr()?;
    let url = format!("http://{listening}");
    if settings.test.until_stdin_closes {
        ready::stop_with_stdin(draining.clone())?;
    }
    let banner = Banner { listening, url, public_url, files, model: model.name, browser, store: &*store };
    announce(settings, first_key, banner).await?;
    quarterdeck_server::serve(listener, router(app), ListenerSettings::default(), draining).await;
    engine.stop().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn is_local(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| address.ip().is_loopback())
}

/// The hosts that a server on loopback goes by; none, so any, for one that can be reached from elsewhere.
fn known_hosts(public_url: Option<&str>, listener: &TcpListener) -> anyhow::Result<Option<Arc<[String]>>> {
    if !is_local(listener) {
        return Ok(None);
    }
    let Some(url) = public_url else { return Ok(Some(Arc::default())) };
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.with_context(|| format!("--public-url {url:?} is no URL such as https://agents.example.com"))?;
    Ok(Some(Arc::new([host])))
}

#[cfg(feature = "agent-view")]
async fn view_address(url: &str, listening: SocketAddr, store: &dyn Store) -> anyhow::Result<Option<String>> {
    Ok(Some(crate::view::address(url, listening, store).await?))
}

#[cfg(not(feature = "agent-view"))]
async fn view_address(_: &str, _: SocketAddr, _: &dyn Store) -> anyhow::Result<Option<String>> {
    Ok(None)
}

/// Nobody waits for this: the model's host may still be starting.
async fn tell_what_is_wrong(client: Arc<EndpointClient>) {
    if let Some(wrong) = client.check().await {
        tracing::warn!("{wrong}");
    }
}

/// Models and buckets are reached over TLS, and only the binary knows whose.
pub(crate) fn set_up_tls() {
    // It is set up for the whole process: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Each waiting client is an open file, and many systems allow 1,024 unless asked for more.
fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}

/// The programs that are run for MCP servers have our user, which may otherwise read our variables and memory.
fn hide_from_programs(settings: &Settings) {
    if !settings.environments.mcp_allow_command.is_empty()
        && let Err(error) = quarterdeck_environments::hide_process()
    {
        tracing::warn!(%error, "programs of MCP servers can read the memory and the variables of this server");
    }
}

fn runner_settings(settings: &ModelSettings) -> RunnerSettings {
    RunnerSettings {
        patience: Duration::from_secs(settings.model_patience),
        images_max: settings.model_images as usize,
        image_side_max: settings.model_image_side,
        coordinates: settings.model_coordinates.map(Into::into),
        model: settings.model.clone(),
        ..RunnerSettings::default()
    }
}

fn engine_settings(limits: &LimitSettings, hosting: Hosting, built_in: BuiltIn) -> EngineSettings {
    EngineSettings {
        limits: Limits { concurrent: limits.max_concurrent_sessions.into(), queued: limits.max_queued_sessions.into() },
        workers_max: usize::try_from(limits.max_workers).unwrap_or(usize::MAX),
        client_wait: Duration::from_secs(limits.client_wait),
        lease: Duration::from_secs(limits.lease),
        drain_grace: Duration::from_secs(limits.drain_grace),
        environments: Arc::new(hosting),
        answer_grace: AnswerGrace(limits.answer_grace),
        built_in: Arc::new(built_in),
        ..EngineSettings::default()
    }
}

/// Heeds signals on a thread of its own: whatever keeps the others busy, even after the server has stopped, the second
/// signal is heard.
fn stop_on_signals(draining: CancellationToken) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let heed = move || runtime.block_on(stop_on_signal(signals, draining));
    std::thread::Builder::new().name("signals".into()).spawn(heed).context("cannot start a thread")?;
    Ok(())
}

/// The first signal drains, the second ends the process at once.
async fn stop_on_signal((mut terminate, mut interrupt): (Signal, Signal), draining: CancellationToken) {
    for last in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if last {
            #[expect(clippy::disallowed_methods, reason = "the second signal means: do not wait for anything")]
            std::process::exit(1);
        }
        tracing::info!("stopping; once more to stop at once");
        draining.cancel();
    }
}

/// What the person who started the server is told.
struct Banner<'a> {
    listening: SocketAddr,
    url: String,
    public_url: Option<String>,
    files: String,
    model: String,
    browser: String,
    store: &'a dyn Store,
}

impl Banner<'_> {
    /// Prints it, and stores the first key once it was printed: one that nobody has seen would be accepted for ever.
    /// The server serves, whether or not somebody reads.
    async fn show(&self, first_key: FirstKey) -> anyhow::Result<()> {
        let new_key = match first_key {
            FirstKey::Known => None,
            FirstKey::New(key) => Some(key),
        };
        let is_printed = output::print(&self.head(new_key.as_deref()));
        match (&new_key, &is_printed) {
            (Some(key), Ok(())) => keys::store_first(self.store, key).await?,
            (Some(_), Err(error)) => tracing::warn!(
                "there is no API key yet, since none could be printed ({error}); make one with `quarterdeck keys create \
                 --org default`"
            ),
            (None, Ok(()) | Err(_)) => {}
        }
        let view = view_address(self.public_url.as_deref().unwrap_or(&self.url), self.listening, self.store).await?;
        let usage = self.usage(new_key.as_deref().filter(|_| is_printed.is_ok()), view.as_deref());
        if let Err(error) = is_printed.and_then(|()| output::print(&usage)) {
            tracing::info!("listening on {}; standard output cannot be written: {error}", self.url);
        }
        Ok(())
    }

    fn head(&self, new_key: Option<&str>) -> String {
        let url = &self.url;
        let key = new_key.map_or_else(
            || "known already; when it is lost: quarterdeck keys create --org default".to_owned(),
            |key| format!("{key}  (new; shown only now)"),
        );
        format!(
            "Quarterdeck {}\n  store    {}\n  files    {}\n  model    {}\n  browser  {}\n  docs     {url}/docs\n  metrics  \
             {url}/metrics\n  key      {key}\n\n",
            env!("CARGO_PKG_VERSION"),
            self.store.describe(),
            shown(&self.files),
            self.model,
            self.browser,
        )
    }

    fn usage(&self, key: Option<&str>, view: Option<&str>) -> String {
        let (url, key) = (&self.url, key.unwrap_or("hk-…"));
        let view = view.map_or_else(String::new, |view| format!("In the browser:\n  {view}\n\n"));
        format!(
            "{view}In Python:\n  client = Client(base_url=\"{url}\", api_key=\"{key}\")\n\nFor the hai command (the Python SDK does \
             not read the first of these):\n  export HAI_API_BASE_URL={url}\n  export HAI_API_KEY={key}\n\nlistening on \
             {url}\n"
        )
    }
}

/// A folder by its path, as everybody knows folders.
fn shown(files: &str) -> &str {
    match files.strip_prefix("file://") {
        Some(folder) => folder,
        None if files == "memory:" => "in memory",
        None => files,
    }
}
