//! The request that makes a session, and the judgement on it.

use super::Decode;
use super::fields::{Fields, nullable};
use super::json::{self, Value};
use super::place::{Fault, Place};
use super::rules::ensure;
use super::scalars::{Bounds, at_least, boolean, number_where, plain, positive, text, text_ref};
use super::schemas::schema;
use crate::{Agent, JsonObject, Messages, Reference, Retention, SessionRequest, overrides};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an agent's `answer_format` is overridden.
const ANSWER_FORMAT: &str = "agent.answer_format";

/// How long sessions and screenshots are kept unless told, in minutes: 30 days.
const RETENTION_MIN: i64 = 43_200;

impl Decode for SessionRequest {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let agent = fields.required("agent", agent);
        let messages = fields.or("messages", None, nullable(Messages::decode));
        let max_steps = fields.or("max_steps", None, nullable(at_least(1)));
        let max_time_s = fields.or("max_time_s", None, nullable(seconds));
        let idle_timeout_s = fields.or("idle_timeout_s", None, nullable(positive));
        let timezone = fields.or("timezone", None, nullable(timezone));
        let delete_after_min = fields.or("delete_after_min", Some(RETENTION_MIN), nullable(at_least(1)));
        let delete_screenshot_after_min =
            fields.or("delete_screenshot_after_min", Some(RETENTION_MIN), nullable(at_least(1)));
        let queue = fields.or("queue", true, boolean);
        let group_id = fields.or("group_id", None, nullable(plain));
        let parent_session_id = fields.or("parent_session_id", None, nullable(plain));
        let agent_artifact = fields.or("agent_artifact", None, nullable(plain));
        let overrides = fields.or_empty("overrides", override_map);
        let answer_format = fields.or("answer_format", None, nullable(schema));
        let explicit = |name: &str, value: Option<i64>| fields.raw(name).and(value);
        let mut request = Self {
            explicit_retention: Retention {
                delete_after_min: explicit("delete_after_min", delete_after_min?),
                delete_screenshot_after_min: explicit("delete_screenshot_after_min", delete_screenshot_after_min?),
            },
            agent: agent?,
            messages: messages?,
            max_steps: max_steps?,
            max_time_s: max_time_s?,
            idle_timeout_s: idle_timeout_s?,
            timezone: timezone?,
            delete_after_min: delete_after_min?,
            delete_screenshot_after_min: delete_screenshot_after_min?,
            queue: queue?,
            group_id: group_id?,
            parent_session_id: parent_session_id?,
            agent_artifact: agent_artifact?,
            overrides: overrides?,
        };
        if let Some(format) = answer_format?
            && let Err(conflict) = put_answer_format(&mut request, format)
        {
            let value = fields.raw("answer_format").unwrap_or(value);
            return at.field("answer_format").refuse(Fault::rule(conflict), value);
        }
        overrides::check(&request.overrides).map_or_else(|broken| fields.refuse(broken), |()| Some(request))
    }
}

/// Early clients send `answer_format` beside the agent. It counts as if it stood in the agent: an inline agent takes it
/// over, a named one is overridden with it.
fn put_answer_format(request: &mut SessionRequest, format: JsonObject) -> Result<(), String> {
    let overrides_it = |path: &&String| *path == "agent" || path.starts_with(ANSWER_FORMAT);
    if let Some(path) = request.overrides.keys().find(overrides_it) {
        let is_same = path == ANSWER_FORMAT && request.overrides.get(path) == Some(&format.into());
        return ensure(is_same, &format!("conflicts with the override `{path}`; give only one of them"));
    }
    match &mut request.agent {
        Reference::Name(_) => {
            request.overrides.insert(ANSWER_FORMAT.into(), format.into());
            Ok(())
        }
        Reference::Inline(agent) => {
            let is_new = agent.answer_format.as_ref().is_none_or(|known| *known == format);
            ensure(is_new, "conflicts with the agent's own `answer_format`; give only one of them")?;
            agent.answer_format = Some(format);
            Ok(())
        }
    }
}

/// The agent of a session.
pub fn agent(value: &Value<'_>, at: &Place<'_>) -> Option<Reference<Agent>> {
    if matches!(value, Value::Str(name) if name.is_empty()) {
        return at.refuse(Fault::rule("the name of an agent may not be empty"), value);
    }
    Reference::decode(value, at)
}

/// A span of time, more than nothing.
pub fn seconds(value: &Value<'_>, at: &Place<'_>) -> Option<f64> {
    number_where(Bounds { above: Some(0.0), ..Bounds::NONE })(value, at)
}

/// A name from the time zone database.
pub fn timezone(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    match text_ref(value, at)?.parse::<Tz>() {
        Ok(zone) => Some(zone.name().to_owned()),
        Err(_) => at.refuse(Fault::rule("must be the name of a time zone, such as `Europe/Paris`"), value),
    }
}

/// Overrides; null means none.
pub fn override_map(value: &Value<'_>, at: &Place<'_>) -> Option<JsonObject> {
    nullable(json::free_object)(value, at).map(Option::unwrap_or_default)
}

/// What a person says about a session or one of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feedback {
    /// Whether it went well.
    pub success: bool,
    /// Why.
    pub message: Option<String>,
}

impl Decode for Feedback {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let success = fields.required("success", boolean);
        let message = fields.or("message", None, nullable(text));
        Some(Self { success: success?, message: message? })
    }
}
