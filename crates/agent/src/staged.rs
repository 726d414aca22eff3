//! What a script brings beside replies: what the agent sees, what calls return, and endings that no model can cause.

use crate::{calls, model::ChatReply, runner::StepError};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use quarterdeck_api::{AgentEvent, JsonObject, ToolDefinition};
use quarterdeck_core::{Observation, Picture, Reply, Report, SessionFailure};
use quarterdeck_scenario::{Act, CallResult, Cue, End, Observe};
use serde_json::json;
use std::{collections::VecDeque, sync::Mutex};

/// What the log says of something that the script shows.
pub(crate) fn observed(observe: &Observe) -> Vec<AgentEvent> {
    let images = observe.image.as_deref().and_then(picture).into_iter().collect();
    let metadata = observe.all_metadata();
    calls::events(Observation { source: observe.source.clone(), text: observe.text.clone(), images, metadata })
}

/// The picture of a data URI.
fn picture(uri: &str) -> Option<Picture> {
    let (media_type, bytes) = uri.strip_prefix("data:")?.split_once(";base64,")?;
    Some(Picture { media_type: media_type.to_owned(), bytes: Bytes::from(STANDARD.decode(bytes).ok()?) })
}

/// What is recorded in the place of a judged reply, for acts that are none.
pub(crate) fn report(act: &Act, reply: &ChatReply) -> Result<Option<Report>, StepError> {
    match act {
        Act::Ask(_) => {
            let (reasoning, content) = (reply.reasoning.clone(), reply.content.clone());
            Ok(Some(Report::Asked { reply: Reply { reasoning, content, ..Reply::default() } }))
        }
        Act::End(End::TimedOut) => Ok(Some(Report::TimedOut)),
        Act::End(End::Failed(code)) => Err(StepError::Failed(SessionFailure::because(*code, "the script says so"))),
        Act::Text(_) | Act::Calls(_) | Act::Fail(_) => Ok(None),
    }
}

/// Puts the tools on offer whose results the cue knows.
pub(crate) fn offer(tools: &mut Vec<ToolDefinition>, cue: &Cue) {
    for call in cue.calls().iter().filter(|call| call.result.is_some()) {
        if tools.iter().any(|tool| tool.name == call.tool) {
            continue;
        }
        let input_schema = JsonObject::from_iter([("type".to_owned(), json!("object"))]);
        tools.push(ToolDefinition {
            name: call.tool.clone(),
            description: "Known to the script.".into(),
            input_schema,
        });
    }
}

/// Results that calls have without being made, each for one call.
#[derive(Debug, Default)]
pub(crate) struct Results(Mutex<VecDeque<(String, CallResult)>>);

/// The results that a cue knows.
pub(crate) fn results(cue: Option<&Cue>) -> Results {
    let calls = cue.map(Cue::calls).unwrap_or_default();
    let known = calls.iter().filter_map(|call| Some((call.tool.clone(), call.result.clone()?)));
    Results(Mutex::new(known.collect()))
}

impl Results {
    /// The result of a call of this tool, if one is known; the next such call has the next one.
    pub(crate) fn take(&self, tool: &str) -> Option<CallResult> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = known.iter().position(|(name, _)| name == tool)?;
        known.remove(place).map(|(_, result)| result)
    }
}
