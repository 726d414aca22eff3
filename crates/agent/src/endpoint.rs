//! A client of any endpoint that speaks `OpenAI`'s chat completions, and of those that speak Anthropic's Messages or
//! `OpenAI`'s Responses.
//!
//! The operator configures the address, so it may be anywhere, private networks included; redirects and
//! proxies of the environment are not followed, so the conversation and the key go nowhere else.

mod api;
mod blocks;
mod check;
mod gate;
mod messages;
mod pace;
mod profile;
mod read;
mod reply;
mod responses;
mod said;
mod stream;
mod wire;

use crate::{
    SharedMessage, budget,
    model::{ChatReply, ChatRequest, Finish, ModelClient, ModelError},
};
pub use api::ModelApi;
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
pub use check::Trial;
use gate::Gate;
use pace::Pace;
use profile::{Profile, Profiles, Refusal};
use read::{Exchange, Failure, NAMES_MAX_BYTES, Refused};
use reqwest::{
    Certificate, Client, Proxy, RequestBuilder, Url,
    header::{self, HeaderValue},
    redirect,
};
use serde_json::Value;
use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{sync::OnceCell, time::Instant};

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
        if self.0.is_empty() {
            return words.to_owned();
        }
        let whole = words.replace(&self.0, "***");
        self.in_base64().into_iter().fold(whole, |words, form| words.replace(&form, "***"))
    }

    /// How the key looks inside of base64, wherever in the encoded text it begins, in both alphabets. Forms that are too short
    /// to be told from other words are left out.
    fn in_base64(&self) -> Vec<String> {
        const FORM_MIN: usize = 8;
        let at_shift = |shift: usize| {
            let shifted = [&[0; 2][..shift], self.0.as_bytes()].concat();
            let encoded = STANDARD_NO_PAD.encode(&shifted);
            // Characters that hold bits of a neighbour too are not known.
            let first = [0, 2, 3][shift];
            let last = encoded.len() - usize::from(shifted.len() % 3 != 0);
            encoded.get(first..last).unwrap_or_default().to_owned()
        };
        let forms = (0..3).map(at_shift).filter(|form| form.len() >= FORM_MIN);
        forms.flat_map(|form| [form.replace('+', "-").replace('/', "_"), form]).collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How an endpoint is reached. Addresses may hold passwords, so `Debug` leaves them out.
#[derive(Clone)]
pub struct EndpointSettings {
    /// Its address up to and without `/chat/completions`, such as `http://127.0.0.1:8000/v1`.
    pub base_url: String,
    /// The interface that it speaks. Default: chat completions.
    pub api: ModelApi,
    /// What the operator calls it, when there are several. Default: nothing.
    pub name: Option<String>,
    /// The models that it has, the default first. Default: those that it lists.
    pub models: Vec<String>,
    /// Requests that it gets at once. Default: any number.
    pub at_once: Option<usize>,
    /// Requests that it gets in a minute. Default: any number.
    pub per_minute: Option<u32>,
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
    /// Whether replies are asked for as streams. Hosts that insist on it are found out without. Default: no.
    pub stream: bool,
    /// How long a streamed reply may be silent, before its first byte and between two. Default: 60 seconds.
    pub stream_idle_timeout: Duration,
    /// How long a whole streamed reply may take. Default: 10 minutes.
    pub stream_timeout: Duration,
    /// How many bytes of a reply are read. Default: 16 MiB.
    pub reply_max_bytes: usize,
    /// How many tokens of a conversation are sent, by our estimate; older outputs are left out beyond. Default: all,
    /// until the host says that it is too much.
    pub context_tokens: Option<usize>,
    /// Certificate authorities of the operator's own, PEM files. Default: those of the system alone.
    pub certificates: Vec<Vec<u8>>,
}

impl EndpointSettings {
    /// The defaults for the endpoint at `base_url`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api: ModelApi::Chat,
            name: None,
            models: Vec::new(),
            at_once: None,
            per_minute: None,
            api_key: None,
            model: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_mins(2),
            stream: false,
            stream_idle_timeout: Duration::from_mins(1),
            stream_timeout: Duration::from_mins(10),
            reply_max_bytes: 16 << 20,
            context_tokens: None,
            certificates: Vec::new(),
        }
    }
}

impl fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSettings")
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
pub enum EndpointSettingsError {
    /// The address is none.
    #[error("the model's base URL is not an http or https address")]
    BaseUrl,
    /// The key cannot be sent in a header.
    #[error("the model's API key holds characters that a header cannot carry")]
    ApiKey,
    /// The proxy's address is none.
    #[error("the model's proxy is not an address")]
    Proxy,
    /// A file of certificate authorities is none.
    #[error("the certificate authorities for the model are no PEM certificates")]
    Certificates,
    /// TLS cannot be set up.
    #[error("cannot set up the HTTP client for the model")]
    Client(#[source] reqwest::Error),
}

/// The client. One for each endpoint; its connections are shared.
pub struct EndpointClient {
    http: Client,
    replies: Url,
    models: Url,
    /// The key, as a bearer token.
    authorization: Option<HeaderValue>,
    /// Whether the key goes as a bearer token and not, as Anthropic wants it, in a header of its own.
    bearer: AtomicBool,
    settings: EndpointSettings,
    /// The models it lists, the default first.
    listed: OnceCell<Vec<String>>,
    /// Whether they were asked for before a name was looked up.
    was_asked: OnceCell<()>,
    /// When they were last asked for again.
    asked_again: Mutex<Option<Instant>>,
    host: String,
    /// The address, fit to be stored: without user and query.
    address: String,
    gate: Gate,
    pace: Pace,
    profiles: Profiles,
}

impl fmt::Debug for EndpointClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointClient").field("host", &self.host).finish_non_exhaustive()
    }
}

impl EndpointClient {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Panics
    /// When the process has no rustls crypto provider installed.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn new(settings: EndpointSettings) -> Result<Self, EndpointSettingsError> {
        let base = base_url(&settings.base_url).ok_or(EndpointSettingsError::BaseUrl)?;
        Ok(Self {
            http: http_client(&settings)?,
            replies: below(&base, settings.api.path()),
            models: below(&base, &["models"]),
            authorization: settings.api_key.as_ref().map(authorization).transpose()?,
            bearer: AtomicBool::new(settings.api != ModelApi::Messages),
            listed: OnceCell::new(),
            was_asked: OnceCell::new(),
            asked_again: Mutex::default(),
            host: host_of(&base),
            address: format!("{}{}", host_of(&base), base.path().trim_end_matches('/')),
            gate: Gate::new(&host_of(&base)),
            pace: Pace::new(settings.at_once, settings.per_minute),
            profiles: Profiles::default(),
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
        if let Some(model) = self.settings.model.as_ref().or(self.settings.models.first()) {
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
        let asked = self.listed_json(&self.models, limit, self.settings.reply_timeout).await;
        let asked = asked.map_err(|failure| failure.into_error(&self.host));
        let body = asked.map_err(|error| match error {
            ModelError::Fatal { message } => ModelError::fatal(format!("{message}, when asked for its list of models")),
            passing @ (ModelError::Retryable { .. } | ModelError::Away { .. }) => passing,
        })?;
        let names = names_in(&body);
        if names.is_empty() { Err(self.lists_none()) } else { Ok(names) }
    }

    async fn listed_json(&self, address: &Url, limit: usize, wait_max: Duration) -> Result<Value, Failure> {
        loop {
            let request = self.authorized(self.http.get(address.clone())).timeout(wait_max);
            match self.exchange(limit).json(request).await {
                Err(failure) if self.turns_to_bearer(&failure) => {}
                result => return result,
            }
        }
    }

    fn lists_none(&self) -> ModelError {
        ModelError::fatal(format!("the model host {} lists no model that can chat; name one with --model", self.host))
    }

    /// The models that it is known to have; none before its list was asked for.
    pub fn known_models(&self) -> &[String] {
        if self.settings.models.is_empty() {
            self.listed.get().map_or(&[], Vec::as_slice)
        } else {
            &self.settings.models
        }
    }

    /// Asks for its list of models: the first time whoever wants to know waits for it, later on nobody does.
    pub(crate) async fn learn_models(self: &Arc<Self>) {
        if !self.known_models().is_empty() {
            return;
        }
        if !self.was_asked.initialized() {
            self.was_asked.get_or_init(|| self.ask_for_list()).await;
        } else if self.may_ask_again() {
            let client = Arc::clone(self);
            tokio::spawn(async move { client.ask_for_list().await });
        }
    }

    async fn ask_for_list(&self) {
        let listed = tokio::time::timeout(check::WAIT_MAX, self.listed.get_or_try_init(|| self.ask_models())).await;
        if !matches!(listed, Ok(Ok(_))) {
            tracing::debug!(host = %self.host, "the endpoint does not list its models");
        }
    }

    fn may_ask_again(&self) -> bool {
        const RETRY_INTERVAL: Duration = Duration::from_secs(30);
        let mut asked = self.asked_again.lock().unwrap_or_else(PoisonError::into_inner);
        let may = asked.is_none_or(|asked| asked.elapsed() > RETRY_INTERVAL);
        if may {
            *asked = Some(Instant::now());
        }
        may
    }

    /// Whether it is known to be away, and not to be tried just now.
    pub(crate) fn is_shut(&self) -> bool {
        self.gate.is_shut()
    }

    /// Whether the operator or the endpoint named this model.
    fn knows(&self, model: &str) -> bool {
        self.settings.model.as_deref() == Some(model) || self.known_models().iter().any(|name| name == model)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let request = match self.settings.api {
            ModelApi::Messages => request.header("anthropic-version", ANTHROPIC_VERSION),
            ModelApi::Chat | ModelApi::Responses => request,
        };
        match (&self.authorization, &self.settings.api_key) {
            (Some(value), _) if self.bearer.load(Ordering::Relaxed) => {
                request.header(reqwest::header::AUTHORIZATION, value.clone())
            }
            (Some(_), Some(key)) => {
                let mut value = HeaderValue::from_str(key.expose()).unwrap_or_else(|_| HeaderValue::from_static(""));
                value.set_sensitive(true);
                request.header("x-api-key", value)
            }
            (Some(_) | None, _) => request,
        }
    }

    /// Gateways that speak Messages may want the key as all others do. True, once, when it may be that.
    fn turns_to_bearer(&self, failure: &Failure) -> bool {
        let is_of_key = matches!(failure, Failure::Refused(refused) if matches!(refused.status, 401 | 403));
        is_of_key && self.authorization.is_some() && !self.bearer.swap(true, Ordering::Relaxed)
    }

    fn exchange(&self, reply_max_bytes: usize) -> Exchange<'_> {
        Exchange { host: &self.host, api: self.settings.api, key: self.settings.api_key.as_ref(), reply_max_bytes }
    }
}

/// The version of Messages that is spoken.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What is learnt of one request's refusals at most: every habit once.
const REFUSALS_MAX: usize = 10;

#[async_trait]
impl ModelClient for EndpointClient {
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let model = match &request.model {
            Some(model) => model,
            None => self.default_model().await?,
        };
        let mut profile = self.profiles.of(model);
        for _ in 0..REFUSALS_MAX {
            let fitted = self.fitted(request, &profile)?;
            match self.ask(&fitted, model, &profile).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Error(error)) => return Err(error),
                Err(failure) if self.turns_to_bearer(&failure) => {}
                Err(Failure::Refused(refused)) => {
                    if let Some(reply) = refused.as_reply(model) {
                        return Ok(reply);
                    }
                    if refused.is_of_model() {
                        return Err(self.has_no(model, refused));
                    }
                    let said = refused.said.as_deref().unwrap_or_default();
                    let tokens = wire::tokens(&fitted);
                    let refusal =
                        Refusal { api: self.settings.api, status: refused.status, said, request: &fitted, tokens };
                    if !profile.learn(&refusal) {
                        return Err(refused.into_error(&self.host));
                    }
                    self.profiles.remember(model, &profile);
                }
            }
        }
        Err(ModelError::fatal(format!("the model at {} refuses every form of the request", self.host)))
    }

    fn answers_to(&self, name: Option<&str>) -> Option<String> {
        let own = || self.settings.model.as_ref().or(self.known_models().first());
        name.or_else(|| own().map(String::as_str)).map(str::to_owned)
    }

    fn context_tokens(&self, name: Option<&str>) -> Option<usize> {
        let learnt = self.answers_to(name).and_then(|model| self.profiles.of(&model).context);
        [self.settings.context_tokens, learnt].into_iter().flatten().min()
    }
}

impl EndpointClient {
    /// The request with as much of the conversation as the model reads.
    fn fitted<'a>(&self, request: &'a ChatRequest, profile: &Profile) -> Result<Cow<'a, ChatRequest>, ModelError> {
        let limits = [self.settings.context_tokens, profile.context];
        let Some(limit) = limits.into_iter().flatten().min() else { return Ok(Cow::Borrowed(request)) };
        let spoken: usize = request.messages.iter().map(SharedMessage::tokens).sum();
        let tools = wire::tokens(request) - spoken;
        let messages = limit.checked_sub(tools).and_then(|left| budget::fit(&request.messages, left));
        let messages = messages.ok_or_else(|| {
            ModelError::fatal(format!(
                "the conversation does not fit into the {limit} tokens that the model at {} reads, even without its older \
                 parts",
                self.host
            ))
        })?;
        Ok(Cow::Owned(ChatRequest { messages, ..request.clone() }))
    }

    async fn ask(&self, request: &ChatRequest, model: &str, profile: &Profile) -> Result<ChatReply, Failure> {
        let api = self.settings.api;
        let origin = api.origin(&self.address, model);
        let streams = self.settings.stream || profile.streams;
        let body = api.body(request, &wire::Recipient { model, origin: &origin, profile }, streams);
        let timeout = if streams { self.settings.stream_timeout } else { self.settings.reply_timeout };
        let http = self.authorized(self.http.post(self.replies.clone())).timeout(timeout);
        let http = http.header(header::CONTENT_TYPE, "application/json").body(body);
        let _turn = self.pace.turn().await;
        let Some(leave) = self.gate.pass().await else {
            return Err(Failure::Error(ModelError::away(format!("the model at {} is still away", self.host))));
        };
        let exchange = self.exchange(self.settings.reply_max_bytes);
        let idle = streams.then_some(self.settings.stream_idle_timeout);
        let result = exchange.completion(http, idle).await;
        match &result {
            Err(failure) if failure.is_away() => leave.was_away(&failure.to_string()),
            Ok(_) | Err(_) => leave.came_through(),
        }
        let mut reply = api.read(result?, model).map_err(|fault| exchange.fault(fault))?;
        let calls_hold_more = reply.calls.iter().any(|call| !call.extra.is_empty());
        if calls_hold_more || reply.kept.is_some() {
            reply.kept.get_or_insert_default().origin = origin;
        }
        Ok(ChatReply { model_is_known: self.knows(model), ..reply })
    }
}

impl EndpointClient {
    /// Nothing helps but another name: one try is enough.
    fn has_no(&self, model: &str, refused: Refused) -> ModelError {
        const TOLD_MAX: usize = 8;
        let known = self.known_models();
        let listed = known.iter().take(TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if known.len() > TOLD_MAX { ", ..." } else { "" };
        let listed = if known.is_empty() { String::new() } else { format!("; it has {listed}{more}") };
        let said = refused.into_error(&self.host);
        ModelError::fatal(format!("there is no model {model:?} at {}{listed}: {said}", self.host))
    }
}

impl Refused {
    /// Whether the host knows no model of that name. Hosts say so by nearly any status, some by that of being away.
    fn is_of_model(&self) -> bool {
        const CODES: [&str; 3] = ["model_not_found", "unknown_model", "deploymentnotfound"];
        const WORDS: [&str; 7] = [
            "does not exist",
            "not found",
            "unknown model",
            "no such model",
            "not a valid model",
            "invalid model",
            "no available channel",
        ];
        let told = format!("{} {}", self.said.as_deref().unwrap_or_default(), self.json).to_lowercase();
        let by_words = told.contains("model") && WORDS.iter().any(|words| told.contains(words));
        let by_code = CODES.iter().any(|code| told.contains(code));
        match self.status {
            404 => by_code || by_words,
            400 | 422 => by_code || by_words && !told.contains("tool") && !told.contains("role"),
            500 | 503 => by_code,
            _ => false,
        }
    }

    /// Some hosts refuse what their own model wrote: that is an unusable reply, and what it was may be among the words.
    fn as_reply(&self, model: &str) -> Option<ChatReply> {
        const OWN_FAULTS: [&str; 9] = [
            "tool_use_failed",
            "output_parse_failed",
            "failed to parse tool call",
            "error parsing tool call",
            "failed to call a function",
            "failed to parse input at pos",
            "malformed_function_call",
            "json_validate_failed",
            "model generated invalid",
        ];
        let said = self.said.as_deref().unwrap_or_default();
        let told = format!("{said} {}", self.json).to_lowercase();
        if !OWN_FAULTS.iter().any(|fault| told.contains(fault)) {
            return None;
        }
        let places = ["/error/failed_generation", "/failed_generation"];
        let written = places.iter().find_map(|place| self.json.pointer(place)?.as_str());
        Some(ChatReply {
            model: model.to_owned(),
            content: written.map(str::to_owned),
            finish: Finish::Stopped(said.to_owned()),
            ..ChatReply::default()
        })
    }
}

/// The names of models in what a host lists, those that only embed and the like left out.
fn names_in(body: &Value) -> Vec<String> {
    const NO_CHAT: [&str; 12] = [
        "embed",
        "rerank",
        "whisper",
        "tts",
        "moderation",
        "dall-e",
        "bge-",
        "gte-",
        "e5-",
        "stable-diffusion",
        "flux",
        "transcribe",
    ];
    let lists = [body.get("data"), body.get("models"), Some(body)];
    let listed = lists.into_iter().flatten().find_map(Value::as_array).into_iter().flatten();
    let name = |model: &Value| {
        let named = ["id", "name", "model"].iter().find_map(|name| model.get(*name)?.as_str());
        named.or_else(|| model.as_str()).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let chats = |model: &&Value| {
        let kind = model.get("type").and_then(Value::as_str).unwrap_or_default();
        !["embedding", "embeddings", "rerank", "image", "audio", "moderation"].contains(&kind)
    };
    let names = listed.filter(chats).filter_map(name);
    names.filter(|name| !NO_CHAT.iter().any(|word| name.to_ascii_lowercase().contains(word))).collect()
}

fn base_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    // Whole addresses are pasted as well.
    let path = url.path().trim_end_matches('/');
    let ends = ["/chat/completions", "/messages", "/responses"];
    if let Some(path) = ends.iter().find_map(|end| path.strip_suffix(end)).map(str::to_owned) {
        url.set_path(&path);
    }
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

fn authorization(key: &ApiKey) -> Result<HeaderValue, EndpointSettingsError> {
    let text = format!("Bearer {}", key.expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_| EndpointSettingsError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn http_client(settings: &EndpointSettings) -> Result<Client, EndpointSettingsError> {
    #[expect(clippy::disallowed_methods, reason = "the operator chose this address; the guard is for users' addresses")]
    let mut builder = Client::builder()
        .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout);
    for file in &settings.certificates {
        let certificates = Certificate::from_pem_bundle(file).map_err(|_| EndpointSettingsError::Certificates)?;
        if certificates.is_empty() {
            return Err(EndpointSettingsError::Certificates);
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(|_| EndpointSettingsError::Proxy)?);
    }
    builder.build().map_err(EndpointSettingsError::Client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows() {
        let base_url = "http://user:CANARY-2@h";
        let settings = EndpointSettings { api_key: Some(ApiKey::new("CANARY-1\n")), ..EndpointSettings::new(base_url) };
        let shown = format!("{settings:?}");
        assert!(shown.contains("***") && !shown.contains("CANARY"), "{shown}");
    }

    #[test]
    fn addresses_are_built_below_the_base() {
        check_address("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions");
        check_address("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions");
        check_address("https://h/a?api-version=1", "https://h/a/chat/completions?api-version=1");
        check_address("https://h", "https://h/chat/completions");
        check_address("https://h/v1/chat/completions", "https://h/v1/chat/completions");
        check_address("https://h/v1/messages", "https://h/v1/chat/completions");
        check_address("https://h/v1/responses/", "https://h/v1/chat/completions");
        check_address("https://h/v1/chat/completions/?v=1", "https://h/v1/chat/completions?v=1");
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

    #[test]
    fn models_are_read_from_any_list() {
        let bare = serde_json::json!([{"id": "a"}, {"id": "b"}]);
        let wrapped =
            serde_json::json!({"data": [{"object": "model"}, {"id": "text-embedding-3"}, {"id": "a"}, {"id": "b"}]});
        let named =
            serde_json::json!({"models": [{"name": "a", "type": "llm"}, {"name": "x", "type": "embedding"}, "b"]});
        for body in [bare, wrapped, named] {
            assert_eq!(names_in(&body), ["a", "b"], "{body}");
        }
        assert_eq!(names_in(&serde_json::json!({"data": []})), Vec::<String>::new());
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = EndpointSettings { certificates: vec![b"no PEM".to_vec()], ..EndpointSettings::new("http://h") };
        assert!(matches!(EndpointClient::new(settings), Err(EndpointSettingsError::Certificates)));
    }

    fn check_address(base: &str, expected: &str) {
        let base = base_url(base).unwrap();
        assert_eq!(below(&base, &["chat", "completions"]).as_str(), expected);
    }
}
