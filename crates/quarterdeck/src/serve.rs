//! `quarterdeck serve`: builds the parts, starts them, stops them in order.

use crate::{
    Failure,
    browsers::{self, Browsers},
    hosting,
    keys::{self, FirstKey},
    log, output,
    settings::{LimitSettings, ModelSettings, Settings, StoreSettings, places},
};
use anyhow::Context;
use quarterdeck_agent::{
    ApiKey, ModelClient, ModelRunner, OpenAiClient, OpenAiSettings, RunnerSettings, ScriptedModel, VisionSettings,
};
use quarterdeck_engine::{Engine, EngineSettings, SystemClock};
use quarterdeck_environments::Hosting;
use quarterdeck_server::{App, ListenerSettings, Metrics, ServerSettings, router};
use quarterdeck_store::{Blobs, Limits, Store};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Runs the server until it is told to stop.
#[tokio::main]
pub(crate) async fn run(settings: Settings, warnings: Vec<String>) -> Result<(), Failure> {
    log::start(&settings.log).map_err(Failure::Settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    raise_open_files();
    let parts = Parts::from_settings(&settings).await.map_err(Failure::Settings)?;
    serve(&settings, parts).await.map_err(Failure::Fault)
}

async fn open_store(settings: &StoreSettings) -> anyhow::Result<Arc<dyn Store>> {
    let url = places::database_url(&settings.database)?;
    Ok(quarterdeck_store::open_with(&url, settings.database_connections).await?)
}

/// What a server is made of, ready for use.
struct Parts {
    model: Model,
    hosting: Hosting,
    /// What is told of browsers.
    browser: String,
    listener: TcpListener,
    store: Arc<dyn Store>,
    /// Where the blobs are.
    files: String,
    blobs: Blobs,
}

impl Parts {
    async fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        set_up_tls();
        let model = Model::from_settings(&settings.model)?;
        let hosting = hosting::hosting(&settings.environments)?;
        let listen = &settings.http.address.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
        places::make_data_folder(&settings.store)?;
        let store = open_store(&settings.store).await?;
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
        Ok(Self { model, hosting, browser, listener, store, files, blobs })
    }
}

async fn serve(settings: &Settings, parts: Parts) -> anyhow::Result<()> {
    let Parts { model, hosting, browser, listener, store, files, blobs } = parts;
    // Before anything counts.
    let metrics = Metrics::install(env!("CARGO_PKG_VERSION")).context("cannot collect metrics")?;
    let metrics = match &settings.http.metrics_token {
        Some(token) => metrics.with_token(token.reveal()),
        None => metrics,
    };
    let first_key = keys::first_key(&*store, settings.http.api_key.as_ref()).await?;
    let vision = VisionSettings { model: settings.model.model.clone(), ..VisionSettings::default() };
    let runner = ModelRunner::with_settings(model.client, RunnerSettings { vision, ..RunnerSettings::default() });
    let runner = Arc::new(runner);
    let settings = engine_settings(&settings.limits, hosting);
    let engine = Engine::start(Arc::clone(&store), blobs, runner, Arc::new(SystemClock), settings).await?;
    let app = App::new(engine.sessions(), Arc::clone(&store), ServerSettings::default()).with_metrics(metrics.clone());
    tokio::spawn(metrics.keep_small());
    let draining = engine.draining();
    // Before anybody is told that it listens: a signal that comes sooner would just end the process.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(stop_on_signal(signals, draining.clone()));
    let banner =
        Banner { url: format!("http://{}", listener.local_addr()?), files, model: model.name, browser, store: &*store };
    banner.show(first_key).await?;
    quarterdeck_server::serve(listener, router(app), ListenerSettings::default(), draining).await;
    engine.stop().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The model that drives sessions, and what it is called.
pub(crate) struct Model {
    client: Arc<dyn ModelClient>,
    /// The same, when it is an endpoint.
    pub(crate) endpoint: Option<Arc<OpenAiClient>>,
    pub(crate) name: String,
}

impl Model {
    pub(crate) fn from_settings(settings: &ModelSettings) -> anyhow::Result<Self> {
        let Some(base_url) = &settings.model_base_url else {
            anyhow::ensure!(
                settings.model.is_none() && settings.model_api_key.is_none(),
                "--model and --model-api-key need --model-base-url; without it the scripted model answers"
            );
            let name = "the scripted model (set --model-base-url for a real one)".to_owned();
            return Ok(Self { client: Arc::new(ScriptedModel::new()), endpoint: None, name });
        };
        let mut client = OpenAiSettings::new(base_url.clone());
        client.api_key = settings.model_api_key.as_ref().map(|key| ApiKey::new(key.reveal()));
        client.model.clone_from(&settings.model);
        client.reply_timeout = Duration::from_secs(settings.model_timeout);
        let client = OpenAiClient::new(client).context("cannot use --model-base-url")?;
        let name = format!("{} at {}", settings.model.as_deref().unwrap_or("the first model"), client.host());
        let client = Arc::new(client);
        Ok(Self { endpoint: Some(Arc::clone(&client)), client, name })
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

fn engine_settings(limits: &LimitSettings, hosting: Hosting) -> EngineSettings {
    EngineSettings {
        limits: Limits { concurrent: limits.max_concurrent_sessions.into(), queued: limits.max_queued_sessions.into() },
        workers_max: usize::try_from(limits.max_workers).unwrap_or(usize::MAX),
        client_wait: Duration::from_secs(limits.client_wait),
        lease: Duration::from_secs(limits.lease),
        drain_grace: Duration::from_secs(limits.drain_grace),
        environments: Arc::new(hosting),
        ..EngineSettings::default()
    }
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
    url: String,
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
        let usage = self.usage(new_key.as_deref().filter(|_| is_printed.is_ok()));
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

    fn usage(&self, key: Option<&str>) -> String {
        let (url, key) = (&self.url, key.unwrap_or("hk-…"));
        format!(
            "In Python:\n  client = Client(base_url=\"{url}\", api_key=\"{key}\")\n\nFor the hai command (the Python SDK does \
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
