//! `quarterdeck doctor`: tries what a server with these settings needs.

use crate::{
    Failure,
    browsers::{self, Browsers},
    clock, hosting,
    models::Model,
    say, serve,
    settings::{Settings, places},
};
use quarterdeck_agent::{EndpointClient, Trial};
use quarterdeck_engine::{Clock, SystemClock};
use quarterdeck_store::{Blobs, OpenError};

/// Tries each part and prints a line for it.
///
/// # Errors
/// When one of them would keep a server from starting or agents from working.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let mut checks = vec![("store", store(settings).await), ("files", files(settings).await)];
    checks.extend(models(settings).await.into_iter().map(|found| ("model", found)));
    checks.extend([
        ("browser", browser(settings).await),
        ("settings", others(settings)),
        ("listen", listen(settings).await),
        ("clock", clock::check(SystemClock.now()).map(|()| good(SystemClock.now().to_rfc3339()))),
    ]);
    let lines = checks.iter().map(|(part, found)| match found {
        Ok(Finding::Good(text)) => format!("ok    {part:8}  {text}\n"),
        Ok(Finding::Note(text)) => format!("note  {part:8}  {text}\n"),
        Err(fault) => format!("FAIL  {part:8}  {fault:#}\n"),
    });
    say(&lines.collect::<String>())?;
    let failed = checks.iter().filter(|(_, found)| found.is_err()).count();
    if failed > 0 {
        return Err(Failure::Fault(anyhow::anyhow!("{failed} of {} checks failed", checks.len())));
    }
    Ok(())
}

/// What a check found, unless it failed.
enum Finding {
    Good(String),
    /// Nothing is wrong, but it may not be what was meant.
    Note(String),
}

fn good(text: impl Into<String>) -> Finding {
    Finding::Good(text.into())
}

async fn store(settings: &Settings) -> anyhow::Result<Finding> {
    let url = places::database_url(&settings.store.database)?;
    let store = match quarterdeck_store::open_beside(&url).await {
        Err(OpenError::Absent { path }) => {
            return Ok(Finding::Note(format!("{} is made by the first start", path.display())));
        }
        Err(OpenError::Empty { place }) => {
            return Ok(Finding::Note(format!("the tables in {place} are made by the first start")));
        }
        opened => opened?,
    };
    let (ping, keys) = (store.ping().await, store.keys().await);
    let place = store.describe();
    store.close().await;
    ping?;
    let keys = keys?.iter().filter(|key| key.revoked_at.is_none()).count();
    if keys == 0 && settings.http.api_key.is_none() {
        return Ok(Finding::Note(format!(
            "{place}; no key works yet: `quarterdeck keys create --org default` makes one"
        )));
    }
    Ok(good(format!("{place}; {keys} keys")))
}

async fn files(settings: &Settings) -> anyhow::Result<Finding> {
    serve::set_up_tls();
    let url = places::blob_url(&settings.store)?;
    if let Some(folder) = url.strip_prefix("file://").filter(|folder| !std::path::Path::new(folder).exists()) {
        return Ok(Finding::Note(format!("{folder} is made by the first start")));
    }
    Blobs::open(&url, places::aws_variables())?.check().await?;
    Ok(good(url))
}

/// A line for each endpoint: whether it lists what is asked for, and whether its model calls a tool.
async fn models(settings: &Settings) -> Vec<anyhow::Result<Finding>> {
    serve::set_up_tls();
    let model = match Model::from_settings(&settings.model) {
        Ok(model) => model,
        Err(fault) => return vec![Err(fault)],
    };
    if model.endpoints.is_empty() {
        return vec![Ok(Finding::Note(model.name))];
    }
    let mut found = Vec::new();
    for endpoint in &model.endpoints {
        found.push(endpoint_of(endpoint).await);
    }
    found
}

async fn endpoint_of(endpoint: &EndpointClient) -> anyhow::Result<Finding> {
    let listed = endpoint.check().await;
    let tried = endpoint.try_tool().await;
    let place = endpoint.shown_name();
    Ok(match (tried, listed) {
        (Ok(Trial::Called { model }), None) => good(format!("{model} at {place} replies and calls tools")),
        // Not every endpoint lists its models: one that replies need not.
        (Ok(Trial::Called { model }), Some(wrong)) => {
            Finding::Note(format!("{model} at {place} replies and calls tools, but {wrong}"))
        }
        (Ok(Trial::Replied { model }), _) => Finding::Note(format!(
            "{model} at {place} replies, but did not call the tool that it was told to: see that the host reads calls \
             (vLLM: --enable-auto-tool-choice and --tool-call-parser; llama.cpp: --jinja)"
        )),
        (Err(error), Some(wrong)) if wrong != error.to_string() => anyhow::bail!("{wrong}"),
        (Err(error), _) => return Err(error.into()),
    })
}

async fn browser(settings: &Settings) -> anyhow::Result<Finding> {
    let folder = browsers::usual_folder(places::data_folder(&settings.store.database).ok());
    let guard = hosting::guard(&settings.environments)?;
    let Browsers { hosting, told } = Browsers::from_settings(&settings.browser, guard, &folder, 0).await?;
    let Some(hosting) = hosting else { return Ok(Finding::Note(told)) };
    hosting.try_one().await.map_err(|cause| anyhow::anyhow!("no browser can be started: {cause}"))?;
    Ok(good(format!("{told}; one was started and ended")))
}

fn others(settings: &Settings) -> anyhow::Result<Finding> {
    hosting::hosting(&settings.environments)?;
    crate::log::check(&settings.log)?;
    Ok(good("can be used"))
}

async fn listen(settings: &Settings) -> anyhow::Result<Finding> {
    let address = &settings.http.address.listen;
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Ok(good(format!("{address} is free"))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match crate::health::ask(address).await {
            Ok(()) => Ok(good(format!("a server answers at {address}"))),
            Err(_) => anyhow::bail!("another program uses {address}; choose another address with --listen"),
        },
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot listen on {address}"))),
    }
}
