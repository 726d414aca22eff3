//! `quarterdeck serve`: builds the parts, starts them, stops them in order.

use crate::{
    Failure, environments, keys,
    options::{LogFormat, ServeOptions, ServerOptions},
    settings::{self, Secret},
};
use anyhow::{Context, anyhow};
use quarterdeck_agent::{ApiKey, ModelClient, ModelRunner, OpenAiClient, OpenAiSettings, ScriptedModel};
use quarterdeck_engine::{Engine, EngineSettings, SystemClock};
use quarterdeck_environments::Hosting;
use quarterdeck_server::{App, ListenerSettings, Metrics, ServerSettings, router};
use quarterdeck_store::{Blobs, Limits, Store};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

const LISTEN: &str = "127.0.0.1:8430";
/// Of the database driver only what is wrong.
const LOG: &str = "info,sqlx=warn";

/// Runs the server until it is told to stop.
#[tokio::main]
pub(crate) async fn run(options: ServeOptions) -> Result<(), Failure> {
    let (store_options, options) = settings::merged(options).map_err(Failure::Settings)?;
    start_log(&options).map_err(Failure::Settings)?;
    raise_open_files();
    let parts = async {
        // Models and buckets are reached over TLS, and only the binary knows whose.
        rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow!("TLS is set up twice"))?;
        let model = Model::from_options(&options)?;
        let hosting = environments::hosting(&options)?;
        let listen = options.listen.as_deref().unwrap_or(LISTEN);
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
        let blobs = Blobs::open(&settings::blob_url(&options, &store_options)?, settings::aws_variables())?;
        let store = quarterdeck_store::open(&settings::database_url(&store_options)?).await?;
        anyhow::Ok(Parts { model, hosting, listener, store, blobs })
    };
    let parts = parts.await.map_err(Failure::Settings)?;
    serve(&options, parts).await.map_err(Failure::Fault)
}

/// What a server is made of, ready for use.
struct Parts {
    model: Model,
    hosting: Hosting,
    listener: TcpListener,
    store: Arc<dyn Store>,
    blobs: Blobs,
}

async fn serve(options: &ServerOptions, parts: Parts) -> anyhow::Result<()> {
    let Parts { model, hosting, listener, store, blobs } = parts;
    // Before anything counts.
    let metrics = Metrics::install(env!("CARGO_PKG_VERSION")).context("cannot collect metrics")?;
    let key = keys::first_key(&*store, options.api_key.as_ref()).await?;
    let runner = Arc::new(ModelRunner::new(model.client));
    let settings = engine_settings(options, hosting);
    let engine = Engine::start(Arc::clone(&store), blobs, runner, Arc::new(SystemClock), settings).await?;
    let server = ServerSettings { model: Some(model.name.clone()), ..ServerSettings::default() };
    let app = App::new(engine.sessions(), Arc::clone(&store), server).with_metrics(metrics.clone());
    tokio::spawn(metrics.keep_small());
    let draining = engine.draining();
    // Before anybody is told that it listens: a signal that comes sooner would just end the process.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(stop_on_signal(signals, draining.clone()));
    let (address, url) = (listener.local_addr()?, format!("http://{}", listener.local_addr()?));
    let view = view_address(&url, address, &*store).await?;
    greet(&url, &*store, &model.name, key.as_deref(), view.as_deref());
    quarterdeck_server::serve(listener, router(app), ListenerSettings::default(), draining).await;
    engine.stop().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(feature = "agent-view")]
async fn view_address(url: &str, listening: SocketAddr, store: &dyn Store) -> anyhow::Result<Option<String>> {
    Ok(Some(crate::view::address(url, listening, store).await?))
}

#[cfg(not(feature = "agent-view"))]
async fn view_address(_: &str, _: SocketAddr, _: &dyn Store) -> anyhow::Result<Option<String>> {
    Ok(None)
}

/// The model that drives sessions, and what it is called.
struct Model {
    client: Arc<dyn ModelClient>,
    name: String,
}

impl Model {
    fn from_options(options: &ServerOptions) -> anyhow::Result<Self> {
        let Some(base_url) = &options.model_base_url else {
            let name = "the scripted model (set --model-base-url for a real one)".to_owned();
            return Ok(Self { client: Arc::new(ScriptedModel::new()), name });
        };
        let mut settings = OpenAiSettings::new(base_url.clone());
        settings.api_key = options.model_api_key.as_ref().map(|Secret(key)| ApiKey::new(key));
        settings.model.clone_from(&options.model);
        if let Some(seconds) = options.model_timeout {
            settings.reply_timeout = Duration::from_secs(seconds);
        }
        let client = OpenAiClient::new(settings).context("cannot use --model-base-url")?;
        let name = format!("{} at {}", options.model.as_deref().unwrap_or("the first model"), client.host());
        Ok(Self { client: Arc::new(client), name })
    }
}

/// Each waiting client is an open file, and many systems allow 1,024 unless asked for more.
fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}

fn engine_settings(options: &ServerOptions, hosting: Hosting) -> EngineSettings {
    let defaults = EngineSettings::default();
    EngineSettings {
        limits: Limits {
            concurrent: options.max_concurrent_sessions.unwrap_or(defaults.limits.concurrent),
            queued: options.max_queued_sessions.unwrap_or(defaults.limits.queued),
        },
        workers_max: options.max_workers.unwrap_or(defaults.workers_max).max(1),
        lease: options.lease.map_or(defaults.lease, |seconds| Duration::from_secs(seconds.max(1))),
        drain_grace: options.drain_grace.map_or(defaults.drain_grace, Duration::from_secs),
        environments: Arc::new(hosting),
        ..defaults
    }
}

fn start_log(options: &ServerOptions) -> anyhow::Result<()> {
    let filter = log_filter(options.log.as_deref().unwrap_or(LOG))?;
    // A log that cannot be written, on a full disk, would be complained of on the log itself, with a panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_writer(std::io::stderr);
    let started = match options.log_format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}

/// The library for MCP logs what servers say as it is, and servers repeat the secrets they were told. We log of it what
/// is to be known, masked.
fn log_filter(text: &str) -> anyhow::Result<EnvFilter> {
    let names_it = text.split(',').any(|directive| is_of("rmcp", directive.trim()));
    let whole = if names_it { text.to_owned() } else { format!("{text},rmcp=off") };
    EnvFilter::try_new(whole).with_context(|| format!("--log {text:?} is no log filter"))
}

/// Whether a directive is about a crate: `rmcp`, `rmcp::service=debug`, `rmcp[span]=info`.
fn is_of(name: &str, directive: &str) -> bool {
    directive.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':', '[']))
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

#[expect(clippy::print_stdout, reason = "this is for the person who started the server")]
fn greet(url: &str, store: &dyn Store, model: &str, new_key: Option<&str>, view: Option<&str>) {
    println!("Quarterdeck {}", env!("CARGO_PKG_VERSION"));
    println!("  store  {}", store.describe());
    println!("  model  {model}");
    println!("  docs   {url}/docs");
    if let Some(view) = view {
        println!("  view   {view}");
    }
    if let Some(key) = new_key {
        println!("  key    {key}  (new; shown only now)");
    }
    println!();
    println!("Point an SDK or the hai command at it:");
    println!("  export HAI_API_BASE_URL={url}");
    println!("  export HAI_API_KEY={}", new_key.unwrap_or("…"));
    println!();
    println!("listening on {url}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mcp_servers_say_is_logged_only_for_who_asks_for_it_by_name() {
        for (given, is_off) in [
            (LOG, true),
            ("debug", true),
            ("trace,rmcp_else=info", true),
            ("info,rmcp=debug", false),
            ("rmcp::service=info", false),
            ("info, rmcp", false),
        ] {
            assert_eq!(log_filter(given).unwrap().to_string().contains("rmcp=off"), is_off, "{given}");
        }
        let refused = log_filter("a=b=c").unwrap_err();
        assert!(refused.to_string().contains("--log \"a=b=c\""), "{refused}");
    }
}
