//! Webhooks: what a client sends to make or change one.

use crate::Decode;
use crate::decode::fields::{Fields, checked, list, nullable};
use crate::decode::json::Value;
use crate::decode::place::{Fault, Place};
use crate::decode::scalars::{boolean, sized, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest address, in characters.
const URL_MAX: usize = 2048;
/// The longest description or note, in characters.
pub(crate) const DESCRIPTION_MAX: usize = 255;

/// What a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum WebhookEventType {
    /// Every change of status, but not the types below.
    #[serde(rename = "*")]
    All,
    /// Any change of status.
    #[serde(rename = "session.status_updated")]
    StatusUpdated,
    /// A session completed.
    #[serde(rename = "session.completed")]
    Completed,
    /// A session failed.
    #[serde(rename = "session.failed")]
    Failed,
    /// A session ran out of time.
    #[serde(rename = "session.timed_out")]
    TimedOut,
    /// A session answered and waits for the next message.
    #[serde(rename = "session.idle")]
    Idle,
    /// A session waits for results of custom tools.
    #[serde(rename = "session.awaiting_tool_results")]
    AwaitingToolResults,
}

impl WebhookEventType {
    /// All of them, by the word on the wire.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("*", Self::All),
        ("session.status_updated", Self::StatusUpdated),
        ("session.completed", Self::Completed),
        ("session.failed", Self::Failed),
        ("session.timed_out", Self::TimedOut),
        ("session.idle", Self::Idle),
        ("session.awaiting_tool_results", Self::AwaitingToolResults),
    ];
}

/// The body of `POST /webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateWebhook {
    /// Where to send; `https` only.
    #[schema(min_length = 1, max_length = 2048)]
    pub url: String,
    /// What to send, without repeats.
    #[schema(required = false, default = json!(["*"]))]
    pub enabled_events: Vec<WebhookEventType>,
    /// What it is for.
    #[schema(max_length = 255)]
    pub description: Option<String>,
}

impl Decode for CreateWebhook {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let url = fields.required("url", url);
        let enabled_events = fields.or_else("enabled_events", || vec![WebhookEventType::All], enabled_events);
        let description = fields.or("description", None, nullable(short_text));
        Some(Self { url: url?, enabled_events: enabled_events?, description: description? })
    }
}

/// The body of `PATCH /webhooks/{id}`. An outer `None` keeps the field, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(default)]
pub struct UpdateWebhook {
    /// Where to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 2048, nullable = false)]
    pub url: Option<String>,
    /// What to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub enabled_events: Option<Vec<WebhookEventType>>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub description: Option<Option<String>>,
    /// Whether nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
}

impl Decode for UpdateWebhook {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let url = fields.present("url", url);
        let enabled_events = fields.present("enabled_events", enabled_events);
        let description = fields.present("description", nullable(short_text));
        let disabled = fields.present("disabled", boolean);
        Some(Self { url: url?, enabled_events: enabled_events?, description: description?, disabled: disabled? })
    }
}

fn url(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let url = sized(1..=URL_MAX, value, at)?;
    if !url.starts_with("https://") {
        return at.refuse(Fault::rule("must start with `https://`"), value);
    }
    Some(url.to_owned())
}

/// A description or a note.
pub(crate) fn short_text(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    sized(0..=DESCRIPTION_MAX, value, at).map(str::to_owned)
}

fn enabled_events(value: &Value<'_>, at: &Place<'_>) -> Option<Vec<WebhookEventType>> {
    let not_empty =
        |names: &Vec<String>| if names.is_empty() { Err("must name at least one type".into()) } else { Ok(()) };
    let names = checked(list(text), not_empty)(value, at)?;
    let known = |name: &String| word_of(name);
    let Some(mut events) = names.iter().map(known).collect::<Option<Vec<_>>>() else {
        let words = WebhookEventType::WORDS.map(|(word, _)| format!("`{word}`")).join(", ");
        return at.refuse(Fault::rule(format!("every entry must be one of {words}")), value);
    };
    let mut seen = std::collections::HashSet::new();
    events.retain(|event| seen.insert(*event));
    Some(events)
}

fn word_of(name: &str) -> Option<WebhookEventType> {
    WebhookEventType::WORDS.into_iter().find(|(word, _)| *word == name).map(|(_, event)| event)
}
