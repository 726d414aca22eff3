//! The calls that the server runs: several at once, each for a bounded time, each recorded as it returns.

use crate::{
    judge::WORDS_MAX_BYTES,
    runner::{Recorder, StepContext, Superseded},
    skills::{LOAD_SKILL, Skills},
    staged::Results,
    text::{depth_is_within, without_nul},
    toolbox::{Look, Place},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use quarterdeck_api::{AgentEvent, ImageContent, ToolError, ToolRequest, ToolResult, ToolResultItem};
use quarterdeck_core::{CallError, Observation, Output, Picture, Report};
use quarterdeck_scenario::CallResult;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Nesting of JSON that the log can hold and still be read back.
pub(crate) const DEPTH_MAX: usize = 100;
/// Pictures of one observation that are shown, and the bytes of each.
const IMAGES_MAX: usize = 8;
const IMAGE_MAX_BYTES: usize = 3 << 20;

/// How long environments may take to say what they look like; a step goes on without it.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// How calls are run.
pub(crate) struct CallLimits {
    pub(crate) at_once: usize,
    pub(crate) timeout: Duration,
}

/// Runs the calls that a decision left to the server. Those to one environment are followed by a look at it.
pub(crate) async fn run(
    context: &StepContext,
    (skills, staged): (&Skills<'_>, Results),
    calls: Vec<ToolRequest>,
    limits: &CallLimits,
    recorder: &mut dyn Recorder,
) -> Result<(), Superseded> {
    let at_once = Semaphore::new(limits.at_once.max(1));
    let runner = CallRunner { context, skills, staged: &staged, limits, at_once: &at_once };
    let mut returned: SelectAll<_> =
        by_place(context, calls).into_iter().map(|(place, calls)| runner.group(place, calls)).collect();
    // Calls go on while one is recorded: a call that stood still could hold what the record needs, such as the only
    // connection to a database.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let running = async move {
        while let Some(done) = returned.next().await {
            drop(sender.send(done));
        }
        Ok(())
    };
    let recording = async {
        while let Some(done) = receiver.recv().await {
            record(done, recorder).await?;
        }
        Ok(())
    };
    tokio::try_join!(running, recording).map(|((), ())| ())
}

/// The calls to each environment, in the order of the reply; those that need none by themselves.
fn by_place(context: &StepContext, calls: Vec<ToolRequest>) -> Vec<(Option<Place>, Vec<ToolRequest>)> {
    let mut groups: Vec<(Option<Place>, Vec<ToolRequest>)> = Vec::new();
    for call in calls {
        let is_own = call.tool_name == LOAD_SKILL;
        let place = if is_own { None } else { context.toolbox.place(&call.tool_name) };
        match groups.iter_mut().find(|(known, _)| *known == place) {
            Some((_, group)) => group.push(call),
            None => groups.push((place, vec![call])),
        }
    }
    groups
}

/// A call that returned, and what its environment looked like after the last call of the reply.
struct Returned {
    call: ToolRequest,
    outcome: Result<Output, CallError>,
    seen: Vec<Observation>,
}

#[derive(Clone, Copy)]
struct CallRunner<'a> {
    context: &'a StepContext,
    skills: &'a Skills<'a>,
    /// What a script says that calls return.
    staged: &'a Results,
    limits: &'a CallLimits,
    at_once: &'a Semaphore,
}

impl<'a> CallRunner<'a> {
    /// Makes the calls to one environment; before the last one counts as returned, the environment is looked at.
    fn group(self, place: Option<Place>, calls: Vec<ToolRequest>) -> BoxStream<'a, Returned> {
        let count = calls.len();
        let at_once = if place.is_some_and(|place| place.in_turn) { 1 } else { count.max(1) };
        let returned = stream::iter(calls).map(move |call| self.run_one(call)).buffer_unordered(at_once);
        let looked = returned.enumerate().then(move |(number, (call, outcome))| async move {
            let last_at = place.filter(|_| number + 1 == count).map(|place| place.environment);
            let seen = match last_at {
                Some(environment) => look(self.context, Look::At(environment)).await,
                None => Vec::new(),
            };
            Returned { call, outcome, seen }
        });
        looked.boxed()
    }

    async fn run_one(self, call: ToolRequest) -> (ToolRequest, Result<Output, CallError>) {
        if let Some(result) = self.staged.take(&call.tool_name) {
            let outcome = match result {
                CallResult::Value(result) => Ok(Output { result, ..Output::default() }),
                CallResult::Error(error) => Err(CallError(error)),
            };
            return (call, outcome);
        }
        let arguments = call.args.clone().unwrap_or_default();
        if call.tool_name == LOAD_SKILL {
            let loaded = self.skills.load(&arguments);
            return (call, loaded);
        }
        let _permit = self.at_once.acquire().await;
        let timeout = self.limits.timeout;
        let outcome = tokio::time::timeout(timeout, self.context.toolbox.call(&call.tool_name, &arguments)).await;
        let too_late = || {
            let seconds = timeout.as_secs_f64();
            Err(CallError(format!("no result came within {seconds} s; whether the call took effect is unknown")))
        };
        (call, outcome.unwrap_or_else(|_| too_late()))
    }
}

/// What environments look like, if they say so in time.
pub(crate) async fn look(context: &StepContext, at: Look) -> Vec<Observation> {
    tokio::time::timeout(LOOK_TIMEOUT, context.toolbox.look(at)).await.unwrap_or_default()
}

async fn record(done: Returned, recorder: &mut dyn Recorder) -> Result<(), Superseded> {
    let Returned { call, outcome, seen } = done;
    let (shown, item) = match outcome {
        Ok(output) => {
            let (result, cut) = kept(output.result);
            let truncated = output.truncated || cut;
            let result = ToolResult { tool_req: call.clone(), result, truncated, output_artifact_path: None };
            (output.observations, ToolResultItem::Result(result))
        }
        Err(CallError(error)) => {
            let error = without_nul(error);
            (
                Vec::new(),
                ToolResultItem::Error(ToolError { error, origin: "tool".into(), tool_req: Some(call.clone()) }),
            )
        }
    };
    // Before the result: what a call shows is taken in as long as the call is open, even during a pause.
    let shown = shown.into_iter().map(|observation| of_call(&call.tool_name, observation));
    for event in shown.chain(seen).flat_map(events) {
        recorder.record(Report::Observed(event)).await?;
    }
    recorder.record(Report::Returned(item)).await.map(drop)
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
            let words = events.iter().map(|event| {
                let AgentEvent::ObservationEvent { text, image, .. } = event else { panic!("{event:?}") };
                (text.clone(), image.is_some())
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
