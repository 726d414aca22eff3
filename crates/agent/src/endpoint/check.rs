//! What is wrong with an endpoint's settings, found out before any session fails for it.

use super::{EndpointClient, below, names_in, read::NAMES_MAX_BYTES};
use crate::model::{ChatMessage, ChatRequest, ModelClient, ModelError, Part};
use quarterdeck_api::ToolDefinition;
use reqwest::Url;
use std::time::Duration;

/// How long the endpoint is given.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);
/// The tool of a trial.
const TRIAL: &str = "say";
/// Names of models that are told.
const NAMES_TOLD: usize = 5;

/// What came of a tiny call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The model called the tool that it was told to.
    Called {
        /// The model.
        model: String,
    },
    /// It replied with something else.
    Replied {
        /// The model.
        model: String,
    },
}

impl EndpointClient {
    /// What the operator knows it by: its name, if it has one, and its host.
    pub fn shown_name(&self) -> String {
        match &self.settings.name {
            Some(name) => format!("{} ({name})", self.host),
            None => self.host.clone(),
        }
    }

    /// Has the default model call a tool, in as few tokens as that takes.
    ///
    /// # Errors
    /// When it does not reply.
    pub async fn try_tool(&self) -> Result<Trial, ModelError> {
        let schema = serde_json::json!({"type": "object", "properties": {"word": {"type": "string"}}});
        let tool = ToolDefinition {
            name: TRIAL.into(),
            description: "Says a word.".into(),
            input_schema: schema.as_object().cloned().unwrap_or_default(),
        };
        let asked = ChatMessage::User(vec![Part::Text(format!("Call the tool {TRIAL} with the word \"ok\"."))]);
        let request = ChatRequest { messages: vec![asked.into()], tools: vec![tool], ..ChatRequest::default() };
        let reply = self.complete(&request).await?;
        let model = reply.model;
        let has_called = reply.calls.iter().any(|call| call.name == TRIAL);
        Ok(if has_called { Trial::Called { model } } else { Trial::Replied { model } })
    }

    /// A setting of this endpoint, as the operator knows it.
    fn setting(&self, flag: &str, key: &str) -> String {
        match &self.settings.name {
            Some(name) => format!("`{key}` of [[model-endpoint]] {name:?}"),
            None => flag.to_owned(),
        }
    }

    /// Asks the endpoint for its models, with the key. One sentence says what is wrong and what to set; none when nothing
    /// is, as far as that can be told: some hosts have no list.
    pub async fn check(&self) -> Option<String> {
        let listed = match self.listed_at(&self.models).await {
            Ok(listed) => listed,
            Err(ModelError::Fatal { message })
                if message.contains("answered 404") || message.contains("answered 405") =>
            {
                return self.check_address().await;
            }
            Err(ModelError::Fatal { message })
                if message.contains("answered 401") || message.contains("answered 403") =>
            {
                let set = if self.authorization.is_some() { "is wrong: set another" } else { "is missing: set it" };
                return Some(format!("{message}: the key {set} with {}", self.setting("--model-api-key", "key")));
            }
            Err(error) => {
                let setting = self.setting("--model-base-url", "base-url");
                return Some(format!("{error}: see that it runs, and that {setting} is its address"));
            }
        };
        let wanted = self.settings.model.iter().chain(&self.settings.models);
        let asked = wanted.into_iter().find(|asked| !listed.contains(asked)).filter(|_| !listed.is_empty())?;
        let told = listed.iter().take(NAMES_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = listed.len().saturating_sub(NAMES_TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "the model host {} does not list {asked:?} ({}); it lists {told}{more}",
            self.host,
            self.setting("--model", "models")
        ))
    }

    /// A base URL without `/v1` is the usual reason for there being nothing.
    async fn check_address(&self) -> Option<String> {
        let mut base = self.models.clone();
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop();
        }
        let longer = below(&base, &["v1"]);
        if !base.path().contains("/v1") && self.listed_at(&below(&longer, &["models"])).await.is_ok() {
            let setting = self.setting("--model-base-url", "base-url");
            return Some(format!("there is nothing at {}: add /v1 to {setting}", shown(&base)));
        }
        (self.settings.model.is_none() && self.settings.models.is_empty()).then(|| {
            let (address, model) = (self.setting("--model-base-url", "base-url"), self.setting("--model", "models"));
            format!("there is no list of models at {}: check {address}, or name a model with {model}", shown(&base))
        })
    }

    async fn listed_at(&self, address: &Url) -> Result<Vec<String>, ModelError> {
        let body = self.listed_json(address, NAMES_MAX_BYTES, WAIT_MAX).await;
        self.gate.tell(!matches!(&body, Err(failure) if failure.is_away()));
        Ok(names_in(&body.map_err(|failure| failure.into_error(&self.host))?))
    }
}

fn shown(address: &Url) -> String {
    format!("{}{}", super::host_of(address), address.path())
}
