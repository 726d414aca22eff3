//! The calls that the server runs: several at once, each for a bounded time, each recorded as it returns.

use crate::{
    judge::WORDS_MAX_BYTES,
    runner::{Recorder, StepContext, Superseded},
    skills::{LOAD_SKILL, Skills},
    text::{depth_is_within, without_nul},
};
use futures_util::{StreamExt, stream};
use quarterdeck_api::{AgentEvent, ImageContent, ToolError, ToolRequest, ToolResult, ToolResultItem};
use quarterdeck_core::{CallError, DELEGATE, Fact, Observation, Output, Picture};
use serde_json::Value;
use std::{pin::Pin, time::Duration};
use tokio::sync::mpsc;

/// Nesting of JSON that the log can hold and still be read back.
pub(crate) const DEPTH_MAX: usize = 100;
/// Pictures of one observation that are shown, and the bytes of each.
const IMAGES_MAX: usize = 8;
const IMAGE_MAX_BYTES: usize = 3 << 20;

/// How calls are run.
pub(crate) struct CallLimits {
    pub(crate) at_once: usize,
    pub(crate) timeout: Duration,
}

/// Runs those of `calls` that are the server's: neither the client's nor a subagent's.
pub(crate) async fn run(
    context: &StepContext,
    skills: &Skills<'_>,
    calls: &[ToolRequest],
    limits: &CallLimits,
    recorder: &mut dyn Recorder,
) -> Result<(), Superseded> {
    let agent = &context.agent;
    let delegates = agent.subagents.as_ref().is_some_and(|subagents| !subagents.is_empty());
    let is_clients = |call: &ToolRequest| agent.tools.iter().flatten().any(|tool| tool.name == call.tool_name);
    let is_subagents = |call: &ToolRequest| delegates && call.tool_name == DELEGATE;
    let mut runs: Vec<Pin<Box<dyn Future<Output = Returned> + Send + '_>>> = Vec::new();
    for call in calls.iter().filter(|call| !is_clients(call) && !is_subagents(call)) {
        runs.push(Box::pin(run_one(context, skills, call.clone(), limits.timeout)));
    }
    // Calls go on while one is recorded: a call that stood still could hold what the record needs, such as the only
    // connection to a database.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let running = async move {
        let mut returned = stream::iter(runs).buffer_unordered(limits.at_once.max(1));
        while let Some(done) = returned.next().await {
            drop(sender.send(done));
        }
        Ok(())
    };
    let recording = async {
        while let Some((call, outcome)) = receiver.recv().await {
            record(&call, outcome, recorder).await?;
        }
        Ok(())
    };
    tokio::try_join!(running, recording).map(|((), ())| ())
}

type Returned = (ToolRequest, Result<Output, CallError>);

async fn run_one(context: &StepContext, skills: &Skills<'_>, call: ToolRequest, timeout: Duration) -> Returned {
    let arguments = call.args.clone().unwrap_or_default();
    if call.tool_name == LOAD_SKILL {
        let loaded = skills.load(&arguments);
        return (call, loaded);
    }
    let outcome = tokio::time::timeout(timeout, context.toolbox.call(&call.tool_name, &arguments)).await;
    let too_late = || {
        let seconds = timeout.as_secs_f64();
        Err(CallError(format!("no result came within {seconds} s; whether the call took effect is unknown")))
    };
    (call, outcome.unwrap_or_else(|_| too_late()))
}

async fn record(
    call: &ToolRequest,
    outcome: Result<Output, CallError>,
    recorder: &mut dyn Recorder,
) -> Result<(), Superseded> {
    let output = match outcome {
        Ok(output) => output,
        Err(CallError(error)) => {
            let error = ToolError { error: without_nul(error), origin: "tool".into(), tool_req: Some(call.clone()) };
            return recorder.record(Fact::Returned(ToolResultItem::Error(error))).await;
        }
    };
    // Before the result: what a call shows is taken in as long as the call is open, even during a pause.
    for observation in output.observations {
        for event in events(of_call(&call.tool_name, observation)) {
            recorder.record(Fact::Observed(event)).await?;
        }
    }
    let (result, cut) = kept(output.result);
    let truncated = output.truncated || cut;
    let result = ToolResult { tool_req: call.clone(), result, truncated, output_artifact_path: None };
    recorder.record(Fact::Returned(ToolResultItem::Result(result))).await
}

/// A model's host refuses the whole conversation for a picture that is none.
fn can_be_shown(picture: &Picture) -> bool {
    let is_known = ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&picture.media_type.as_str());
    is_known && (1..=IMAGE_MAX_BYTES).contains(&picture.bytes.len())
}

/// What a tool shows names the tool.
fn of_call(tool: &str, mut observation: Observation) -> Observation {
    if observation.source == "tool" {
        observation.metadata.entry("tool").or_insert_with(|| tool.into());
    }
    observation
}

/// An observation as the log has it. An event holds one picture, so each further one gets an event of its own.
pub(crate) fn events(observation: Observation) -> Vec<AgentEvent> {
    let Observation { source, text, images, metadata } = observation;
    let mut images = images.into_iter().filter(can_be_shown).take(IMAGES_MAX);
    let mut image = || images.next().map(|picture| ImageContent::of_bytes(&picture.bytes, picture.media_type));
    let first = image();
    let further = std::iter::from_fn(image).map(|image| (None, Some(image), metadata.clone()));
    let first = (text.is_some() || first.is_some()).then_some((text.map(without_nul), first, metadata.clone()));
    let all = first.into_iter().chain(further);
    all.map(|(text, image, metadata)| AgentEvent::ObservationEvent { source: source.clone(), text, image, metadata })
        .collect()
}

/// A result as the log can hold it, and whether it had to be cut. What is too large or too deep becomes text.
fn kept(result: Value) -> (Value, bool) {
    if !depth_is_within(&result, DEPTH_MAX) {
        return (Value::String(format!("(the result is JSON nested more than {DEPTH_MAX} levels deep)")), true);
    }
    let text = match result {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let text = result.to_string();
            if text.len() <= WORDS_MAX_BYTES {
                return (result, false);
            }
            text
        }
    };
    let mut text = without_nul(text);
    let is_long = text.len() > WORDS_MAX_BYTES;
    if is_long {
        text.truncate(text.floor_char_boundary(WORDS_MAX_BYTES));
    }
    (Value::String(text), is_long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_is_kept_as_it_is_unless_the_log_could_not_hold_it() {
        let small = json!({"a": [1, "b"]});
        assert_eq!(kept(small.clone()), (small, false));
        assert_eq!(kept(json!("a\0b")), (json!("a\u{fffd}b"), false));
        let (large, cut) = kept(Value::String("é".repeat(WORDS_MAX_BYTES)));
        assert!(cut && large.as_str().unwrap().len() <= WORDS_MAX_BYTES);
        let (object, cut) = kept(json!({"a": "x".repeat(WORDS_MAX_BYTES)}));
        assert!(cut && object.as_str().unwrap().starts_with("{\"a\":"));
    }

    #[test]
    fn only_what_is_a_picture_is_shown() {
        let picture = |kind: &str, bytes: &'static [u8]| {
            can_be_shown(&Picture { bytes: bytes.into(), media_type: kind.to_owned() })
        };
        assert!(picture("image/png", b"hi"));
        for (kind, bytes) in [("image/svg+xml", &b"hi"[..]), ("image/png", b""), ("", b"hi")] {
            assert!(!picture(kind, bytes), "{kind} {bytes:?}");
        }
    }

    #[test]
    fn an_event_holds_one_picture_and_the_first_one_the_words() {
        let picture = |bytes: &'static [u8]| Picture { bytes: bytes.into(), media_type: "image/png".into() };
        let shown = |text: Option<&str>, images: Vec<Picture>| {
            let observation =
                Observation { source: "web".into(), text: text.map(str::to_owned), images, ..Observation::default() };
            let events = events(observation);
            let words = events.iter().map(|event| match event {
                AgentEvent::ObservationEvent { text, image, .. } => (text.clone(), image.is_some()),
                other => panic!("{other:?}"),
            });
            words.collect::<Vec<_>>()
        };
        let said = Some("a".to_owned());
        assert_eq!(shown(Some("a"), vec![picture(b"1"), picture(b"2")]), [(said.clone(), true), (None, true)]);
        assert_eq!(shown(Some("a"), vec![picture(b"")]), [(said, false)]);
        assert_eq!(shown(None, Vec::new()), []);
    }

    #[test]
    fn a_result_too_deep_to_be_read_back_is_not_kept() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(kept(nested(DEPTH_MAX)), (nested(DEPTH_MAX), false));
        assert!(kept(nested(DEPTH_MAX + 1)).1);
    }
}
