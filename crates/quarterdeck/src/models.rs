//! Which models drive sessions, from the settings.

use crate::settings::{EndpointEntry, ModelApi, ModelSettings, Replies};
use anyhow::Context;
use quarterdeck_agent::{
    ApiKey, EndpointClient, EndpointSettings, Endpoints, ModelClient, NamedEndpoint, Price, ScriptedModel,
    StructuredReplies,
};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// What the endpoint of `--model-base-url` is called.
const OWN: &str = "default";

/// The model that drives sessions, and what it is called.
pub(crate) struct Model {
    pub(crate) client: Arc<dyn ModelClient>,
    /// The endpoints that it asks.
    pub(crate) endpoints: Vec<Arc<EndpointClient>>,
    pub(crate) name: String,
}

impl Model {
    /// # Errors
    /// Names the setting that cannot be used.
    pub(crate) fn from_settings(settings: &ModelSettings) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        if let Some(base_url) = &settings.model_base_url {
            all.push(own_endpoint(settings, base_url)?);
        }
        for entry in &settings.model_endpoint {
            let is_taken = all.iter().any(|known: &NamedEndpoint| known.name == entry.name);
            anyhow::ensure!(!is_taken, "two endpoints are called {:?}; rename one of [[model-endpoint]]", entry.name);
            all.push(named_endpoint(settings, entry)?);
        }
        let Some(first) = all.first() else { return scripted(settings) };
        let default = settings.model.as_deref().unwrap_or("the first model");
        let name = match all.len() - 1 {
            0 => format!("{default} at {}", first.client.host()),
            others => format!("{default} at {} and {others} more", first.client.host()),
        };
        let endpoints = all.iter().map(|endpoint| Arc::clone(&endpoint.client)).collect();
        let names = settings.model_names.iter().map(|name| (name.name.clone(), name.targets.clone()));
        let client: Arc<dyn ModelClient> = Arc::new(Endpoints::new(all, names.collect(), settings.model.clone()));
        let client: Arc<dyn ModelClient> = match settings.model_replies {
            Some(Replies::Tools) => client,
            Some(Replies::Structured) => Arc::new(StructuredReplies::of_all(client)),
            None => Arc::new(StructuredReplies::by_name(client)),
        };
        Ok(Self { client, endpoints, name })
    }
}

fn scripted(settings: &ModelSettings) -> anyhow::Result<Model> {
    anyhow::ensure!(
        settings.model.is_none() && settings.model_api_key.is_none() && settings.model_names.is_empty(),
        "--model, --model-api-key and --model-names need --model-base-url or [[model-endpoint]]; without an endpoint the \
         scripted model answers"
    );
    let name = "the scripted model (set --model-base-url for a real one)".to_owned();
    Ok(Model { client: Arc::new(ScriptedModel::new()), endpoints: Vec::new(), name })
}

/// The one of the settings that are no table.
fn own_endpoint(settings: &ModelSettings, base_url: &str) -> anyhow::Result<NamedEndpoint> {
    let mut endpoint = common(settings, base_url, settings.model_api);
    endpoint.api_key = settings.model_api_key.as_ref().map(|key| ApiKey::new(key.reveal()));
    // With several endpoints the model may be one of another.
    endpoint.model = settings.model.clone().filter(|_| settings.model_endpoint.is_empty());
    endpoint.proxy = settings.model_proxy.as_ref().map(|proxy| proxy.reveal().to_owned());
    endpoint.stream = settings.model_stream;
    if let Some(file) = &settings.model_ca_file {
        endpoint.certificates = vec![read(file).context("cannot use --model-ca-file")?];
    }
    let client = EndpointClient::new(endpoint).context("cannot use --model-base-url")?;
    Ok(NamedEndpoint { name: OWN.to_owned(), client: Arc::new(client), prices: BTreeMap::new() })
}

fn named_endpoint(settings: &ModelSettings, entry: &EndpointEntry) -> anyhow::Result<NamedEndpoint> {
    let place = || format!("cannot use [[model-endpoint]] {:?}", entry.name);
    let mut endpoint = common(settings, &entry.base_url, entry.api);
    endpoint.name = Some(entry.name.clone());
    endpoint.api_key = key(entry).with_context(place)?;
    endpoint.models.clone_from(&entry.models);
    endpoint.at_once = entry.at_once;
    endpoint.per_minute = entry.per_minute;
    endpoint.stream = entry.stream;
    endpoint.proxy = entry.proxy.as_ref().map(|proxy| proxy.reveal().to_owned());
    if let Some(seconds) = entry.timeout {
        endpoint.reply_timeout = Duration::from_secs(seconds);
    }
    if let Some(tokens) = entry.context {
        endpoint.context_tokens = Some(tokens as usize);
    }
    if let Some(file) = &entry.ca_file {
        endpoint.certificates = vec![read(file).with_context(place)?];
    }
    let price = |(model, price): (&String, &crate::settings::PriceEntry)| {
        let cached = price.cached.unwrap_or(price.input);
        (model.clone(), Price { input: price.input, cached, output: price.output })
    };
    let prices = entry.prices.iter().map(price).collect();
    let client = EndpointClient::new(endpoint).with_context(place)?;
    Ok(NamedEndpoint { name: entry.name.clone(), client: Arc::new(client), prices })
}

fn common(settings: &ModelSettings, base_url: &str, api: ModelApi) -> EndpointSettings {
    EndpointSettings {
        api: api.into(),
        reply_timeout: Duration::from_secs(settings.model_timeout),
        context_tokens: settings.model_context.map(|tokens| tokens as usize),
        ..EndpointSettings::new(base_url)
    }
}

/// A key that is named and not there would only be found out by sessions that fail.
fn key(entry: &EndpointEntry) -> anyhow::Result<Option<ApiKey>> {
    if let Some(name) = &entry.key_variable {
        #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
        let key = std::env::var(name);
        let key = key.ok().filter(|key| !key.trim().is_empty());
        return Ok(Some(ApiKey::new(&key.with_context(|| format!("the variable {name} holds no key"))?)));
    }
    if let Some(file) = &entry.key_file {
        let key = String::from_utf8(read(file)?).unwrap_or_default();
        anyhow::ensure!(!key.trim().is_empty(), "the file {} holds no key", file.display());
        return Ok(Some(ApiKey::new(&key)));
    }
    Ok(entry.key.as_ref().map(|key| ApiKey::new(key.reveal())))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
