//! A client of any endpoint that speaks `OpenAI`'s chat completions.
//!
//! The operator configures the address, so it may be anywhere, private networks included; redirects and
//! proxies of the environment are not followed, so the conversation and the key go nowhere else.

mod read;
mod reply;
mod wire;

use crate::model::{ChatReply, ChatRequest, ModelClient, ModelError};
use async_trait::async_trait;
use read::{Exchange, NAMES_MAX_BYTES};
use reqwest::{Client, Proxy, RequestBuilder, Url, header::HeaderValue, redirect};
use serde_json::Value;
use std::{fmt, time::Duration};
use thiserror::Error;
use tokio::sync::OnceCell;

/// A key that never shows: its `Debug` prints `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key; blanks around it, such as the line break of a key file, are no part of it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What a host says, without the key.
    fn cut_out_of(&self, words: &str) -> String {
        if self.0.is_empty() { words.to_owned() } else { words.replace(&self.0, "***") }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How an endpoint is reached. Addresses may hold passwords, so `Debug` leaves them out.
#[derive(Clone)]
pub struct OpenAiSettings {
    /// Its address up to and without `/chat/completions`, such as `http://127.0.0.1:8000/v1`.
    pub base_url: String,
    /// Its key. Default: none is sent.
    pub api_key: Option<ApiKey>,
    /// The model for agents that name none. Default: the first that the endpoint lists.
    pub model: Option<String>,
    /// A proxy to go through. Default: none, whatever the environment says.
    pub proxy: Option<String>,
    /// How long connecting may take. Default: 10 seconds.
    pub connect_timeout: Duration,
    /// How long a whole reply may take, from sending the request to its last byte. Default: 120 seconds.
    pub reply_timeout: Duration,
    /// How many bytes of a reply are read. Default: 16 MiB.
    pub reply_max_bytes: usize,
}

impl OpenAiSettings {
    /// The defaults for the endpoint at `base_url`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            model: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_mins(2),
            reply_max_bytes: 16 << 20,
        }
    }
}

impl fmt::Debug for OpenAiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiSettings")
            .field("api_key", &self.api_key)
            .field("model", &self.model)
            .field("connect_timeout", &self.connect_timeout)
            .field("reply_timeout", &self.reply_timeout)
            .field("reply_max_bytes", &self.reply_max_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a client cannot be made of its settings.
#[derive(Debug, Error)]
pub enum OpenAiSettingsError {
    /// The address is none.
    #[error("the model's base URL is not an http or https address")]
    BaseUrl,
    /// The key cannot be sent in a header.
    #[error("the model's API key holds characters that a header cannot carry")]
    ApiKey,
    /// The proxy's address is none.
    #[error("the model's proxy is not an address")]
    Proxy,
    /// TLS cannot be set up.
    #[error("cannot set up the HTTP client for the model")]
    Client(#[source] reqwest::Error),
}

/// The client. One for each endpoint; its connections are shared.
pub struct OpenAiClient {
    http: Client,
    completions: Url,
    models: Url,
    authorization: Option<HeaderValue>,
    settings: OpenAiSettings,
    /// The models it lists, the default first.
    listed: OnceCell<Vec<String>>,
    host: String,
}

impl fmt::Debug for OpenAiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiClient").field("host", &self.host).finish_non_exhaustive()
    }
}

impl OpenAiClient {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Panics
    /// When the process has no rustls crypto provider installed.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn new(settings: OpenAiSettings) -> Result<Self, OpenAiSettingsError> {
        let base = base_url(&settings.base_url).ok_or(OpenAiSettingsError::BaseUrl)?;
        Ok(Self {
            http: http_client(&settings)?,
            completions: below(&base, &["chat", "completions"]),
            models: below(&base, &["models"]),
            authorization: settings.api_key.as_ref().map(authorization).transpose()?,
            listed: OnceCell::new(),
            host: host_of(&base),
            settings,
        })
    }

    /// Where it asks: host and port, fit to be shown.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The model that agents get which name none; asks the endpoint for its list the first time.
    ///
    /// # Errors
    /// When the list cannot be had or is empty.
    pub async fn default_model(&self) -> Result<&str, ModelError> {
        if let Some(model) = &self.settings.model {
            return Ok(model);
        }
        let listed = self.listed.get_or_try_init(|| self.ask_models()).await?;
        listed.first().map(String::as_str).ok_or_else(|| self.lists_none())
    }

    /// The names of the endpoint's models, asked for anew.
    ///
    /// # Errors
    /// When the list cannot be had or is empty.
    pub async fn list_models(&self) -> Result<Vec<String>, ModelError> {
        self.ask_models().await
    }

    /// The names of its models, at least one.
    async fn ask_models(&self) -> Result<Vec<String>, ModelError> {
        let limit = self.settings.reply_max_bytes.min(NAMES_MAX_BYTES);
        let asked = self.exchange(limit).json(self.authorized(self.http.get(self.models.clone()))).await;
        let body = asked.map_err(|error| match error {
            ModelError::Fatal { message } => ModelError::fatal(format!("{message}, when asked for its list of models")),
            passing @ ModelError::Retryable { .. } => passing,
        })?;
        let listed = body.get("data").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<String> = listed.map_while(|model| Some(model.get("id")?.as_str()?.to_owned())).collect();
        if names.is_empty() { Err(self.lists_none()) } else { Ok(names) }
    }

    fn lists_none(&self) -> ModelError {
        ModelError::fatal(format!("the model host {} lists no model; name one", self.host))
    }

    /// Whether the operator or the endpoint named this model.
    fn knows(&self, model: &str) -> bool {
        let is_listed = |listed: &Vec<String>| listed.iter().any(|name| name == model);
        self.settings.model.as_deref() == Some(model) || self.listed.get().is_some_and(is_listed)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(reqwest::header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    fn exchange(&self, reply_max_bytes: usize) -> Exchange<'_> {
        Exchange { host: &self.host, key: self.settings.api_key.as_ref(), reply_max_bytes }
    }
}

#[async_trait]
impl ModelClient for OpenAiClient {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let model = match &request.model {
            Some(model) => model,
            None => self.default_model().await?,
        };
        let http = self.authorized(self.http.post(self.completions.clone())).json(&wire::body(request, model));
        let body = self.exchange(self.settings.reply_max_bytes).json(http).await?;
        let reply = reply::read(body, model).map_err(|fault| fault.at(&self.host, self.settings.api_key.as_ref()))?;
        Ok(ChatReply { model_is_known: self.knows(model), ..reply })
    }
}

fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// A query of the base, such as an API version, stays.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn host_of(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn authorization(key: &ApiKey) -> Result<HeaderValue, OpenAiSettingsError> {
    let text = format!("Bearer {}", key.expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_| OpenAiSettingsError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn http_client(settings: &OpenAiSettings) -> Result<Client, OpenAiSettingsError> {
    #[expect(clippy::disallowed_methods, reason = "the operator chose this address; the guard is for users' addresses")]
    let mut builder = Client::builder()
        .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.reply_timeout);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(|_| OpenAiSettingsError::Proxy)?);
    }
    builder.build().map_err(OpenAiSettingsError::Client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows() {
        let base_url = "http://user:CANARY-2@h";
        let settings = OpenAiSettings { api_key: Some(ApiKey::new("CANARY-1\n")), ..OpenAiSettings::new(base_url) };
        let shown = format!("{settings:?}");
        assert!(shown.contains("***") && !shown.contains("CANARY"), "{shown}");
    }

    #[test]
    fn addresses_are_built_below_the_base() {
        check_address("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions");
        check_address("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions");
        check_address("https://h/a?api-version=1", "https://h/a/chat/completions?api-version=1");
        check_address("https://h", "https://h/chat/completions");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost:8000", "file:///etc/passwd", "ftp://h/", "/v1"] {
            assert!(base_url(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_host_is_shown_without_its_user() {
        let base = base_url("http://name:CANARY@h.example:81/v1").unwrap();
        assert_eq!(host_of(&base), "h.example:81");
    }

    fn check_address(base: &str, expected: &str) {
        let base = base_url(base).unwrap();
        assert_eq!(below(&base, &["chat", "completions"]).as_str(), expected);
    }
}
