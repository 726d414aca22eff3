//! Schedules: what a client sends to make, change or pause one.

use crate::decode::fields::{Fields, checked, nullable};
use crate::decode::json::Value;
use crate::decode::place::Place;
use crate::decode::scalars::{at_least, plain, sized, text};
use crate::decode::sessions::timezone;
use crate::webhooks::{DESCRIPTION_MAX, short_text};
use crate::{Cron, Decode, Messages, SessionRequest, UserMessage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename = "cron")]
pub struct CronTiming {
    /// Five fields: minute, hour, day, month, weekday.
    pub expression: String,
    /// The time zone they are read in, an IANA name.
    pub timezone: String,
}

impl Decode for CronTiming {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let kind = fields.tag("type", "cron");
        let is_cron = |expression: &String| Cron::parse(expression).map(drop);
        let expression = fields.required("expression", checked(text, is_cron));
        let timezone = fields.required("timezone", timezone);
        kind?;
        Some(Self { expression: expression?, timezone: timezone? })
    }
}

/// The body of `POST /schedules`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateSchedule {
    /// What it is called.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it is for.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// When it fires.
    pub timing: CronTiming,
    /// The session that it starts; its agent is looked up at each firing.
    pub session_request: SessionRequest,
    /// How often it fires before it pauses.
    #[schema(minimum = 1)]
    pub repeats: Option<i64>,
}

impl Decode for CreateSchedule {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.required("name", schedule_name);
        let description = fields.or("description", None, nullable(short_text));
        let timing = fields.required("timing", CronTiming::decode);
        let session_request = fields.required("session_request", checked(SessionRequest::decode, check_template));
        let repeats = fields.or("repeats", None, nullable(at_least(1)));
        Some(Self {
            name: name?,
            description: description?,
            timing: timing?,
            session_request: session_request?,
            repeats: repeats?,
        })
    }
}

fn schedule_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    sized(1..=DESCRIPTION_MAX, value, at)?;
    plain(value, at)
}

/// What a request must be beyond itself to be started again and again.
fn check_template(request: &SessionRequest) -> Result<(), String> {
    let has_files = |message: &UserMessage| !message.files.is_empty();
    let messages = request.messages.as_ref().map(Messages::to_vec).unwrap_or_default();
    if messages.is_empty() {
        return Err("a scheduled session needs at least one message".into());
    }
    if messages.iter().any(has_files) {
        return Err("a scheduled session cannot have files".into());
    }
    match request.parent_session_id {
        Some(_) => Err("a scheduled session cannot have a parent".into()),
        None => Ok(()),
    }
}

/// The body of `PATCH /schedules/{id}`. An outer `None` keeps the field, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(default)]
pub struct UpdateSchedule {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub description: Option<Option<String>>,
    /// When it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timing: Option<CronTiming>,
    /// The session that it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub session_request: Option<SessionRequest>,
    /// How often it fires before it pauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub repeats: Option<Option<i64>>,
}

impl UpdateSchedule {
    /// Whether the new template, if there is one, can be started again and again; the contract leaves this to
    /// the handler.
    pub fn check_template(&self) -> Result<(), String> {
        self.session_request.as_ref().map_or(Ok(()), check_template)
    }
}

impl Decode for UpdateSchedule {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.present("name", schedule_name);
        let description = fields.present("description", nullable(short_text));
        let timing = fields.present("timing", CronTiming::decode);
        let session_request = fields.present("session_request", SessionRequest::decode);
        let repeats = fields.present("repeats", nullable(at_least(1)));
        Some(Self {
            name: name?,
            description: description?,
            timing: timing?,
            session_request: session_request?,
            repeats: repeats?,
        })
    }
}

/// The body of `POST /schedules/{id}/pause`, which may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseSchedule {
    /// Why.
    #[schema(max_length = 255)]
    pub note: Option<String>,
}

impl Decode for PauseSchedule {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        Some(Self { note: fields.or("note", None, nullable(short_text))? })
    }
}
