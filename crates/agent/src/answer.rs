//! What counts as an answer: the `answer` tool, and `answer_format`.

use crate::{
    calls::DEPTH_MAX,
    loose,
    schema::{Budget, Schema, off_the_workers, offered},
    text::depth_is_within,
    text_calls::fences,
};
use quarterdeck_api::{Agent, Answer, ErrorCode, JsonObject, Outcome, ToolDefinition, in_a_known_draft};
use quarterdeck_core::SessionFailure;
use serde_json::{Value, json};
use std::sync::Arc;

/// The tool every agent has. A tool of the client's by this name is not offered.
pub(crate) const ANSWER: &str = "answer";

/// Places of one text where JSON is looked for.
const CANDIDATES_MAX: usize = 32;

/// How a validation error begins that `answer_format` is the reason of.
pub(crate) const FORMAT_FAULT: &str = "answer_format: ";

/// An agent's `answer_format`. It is compiled when an answer is checked and let go of then, since compiled it is many
/// times as large, and models take their time.
#[derive(Clone)]
pub(crate) struct AnswerFormat {
    source: Arc<JsonObject>,
    heavy: bool,
}

/// A format that takes more room than this is compiled by few at a time: bytes of its text, weight of its patterns.
const LIGHT_MAX_BYTES: usize = 64 << 10;

impl AnswerFormat {
    /// The agent's format, if it has one. That it can be compiled is tried.
    pub(crate) async fn of(agent: &Agent) -> Result<Option<Self>, SessionFailure> {
        let Some(source) = &agent.answer_format else { return Ok(None) };
        let format = Self::new(source);
        let tried = format.clone();
        let usable = off_the_workers(format.heavy, move |budget| tried.compiled(budget).map(drop)).await;
        let unusable = |cause| SessionFailure::because(ErrorCode::AnswerValidation, format!("answer_format {cause}"));
        usable.map(|()| Some(format)).map_err(unusable)
    }

    pub(crate) fn new(source: &JsonObject) -> Self {
        let source = Arc::new(in_a_known_draft(source).into_owned());
        let size = serde_json::to_string(&*source).map_or(usize::MAX, |text| text.len());
        Self { source, heavy: size > LIGHT_MAX_BYTES }
    }

    fn compiled(&self, budget: &Arc<Budget>) -> Result<Schema, String> {
        Schema::of(&Value::Object((*self.source).clone()), Arc::clone(budget))
    }

    /// The first candidate that fits, or what is wrong with the first.
    async fn pick(&self, candidates: Vec<Value>) -> Result<Answer, Vec<String>> {
        let format = self.clone();
        off_the_workers(self.heavy, move |budget| match format.compiled(budget) {
            Ok(schema) => pick(&schema, &candidates),
            Err(cause) => Err(vec![format!("{FORMAT_FAULT}{cause}")]),
        })
        .await
    }
}

fn pick(schema: &Schema, candidates: &[Value]) -> Result<Answer, Vec<String>> {
    let mut faults = None;
    for candidate in candidates {
        let wrong = schema.faults(candidate);
        if wrong.is_empty() {
            return Ok(as_answer(candidate.clone()));
        }
        faults.get_or_insert(wrong);
    }
    let faults = faults.unwrap_or_else(|| vec!["there is no answer".into()]);
    Err(faults.into_iter().map(|fault| format!("{FORMAT_FAULT}{fault}")).collect())
}

/// The `answer` tool as it is offered to the model.
pub(crate) fn answer_tool(format: Option<&AnswerFormat>) -> ToolDefinition {
    let mut parameters = JsonObject::from_iter([("type".to_owned(), "object".into())]);
    let answer = match format {
        None => json!({"type": "string", "description": "The answer, for the user to read."}),
        Some(format) => offered(&format.source, "/properties/answer", &mut parameters),
    };
    let outcome = json!({
        "type": "string",
        "enum": ["success", "partial", "infeasible", "blocked"],
        "description": "Your verdict: done as asked; done in part; cannot be done; something stood in the way.",
    });
    parameters.insert("properties".into(), json!({"answer": answer, "outcome": outcome}));
    parameters.insert("required".into(), json!(["answer", "outcome"]));
    let description = "Gives the user the final answer and ends your turn. Call it alone, once you are done.";
    ToolDefinition { name: ANSWER.into(), description: description.into(), input_schema: parameters }
}

/// Reads the arguments of an `answer` call.
pub(crate) async fn in_call(format: Option<&AnswerFormat>, args: &JsonObject) -> Result<Answer, Vec<String>> {
    let given = args.get(ANSWER).filter(|answer| !answer.is_null());
    match (format, given) {
        (Some(format), given) => format.pick(call_candidates(args, given)).await,
        (None, Some(Value::String(text))) => in_words(text),
        (None, Some(other)) => Ok(as_answer(Value::String(other.to_string()))),
        (None, None) => match args.iter().filter(|(name, _)| *name != "outcome").collect::<Vec<_>>()[..] {
            // Called by another name, it is still the only thing that is said.
            [(_, Value::String(text))] => in_words(text),
            _ => Err(vec!["the call of `answer` has no argument `answer`".into()]),
        },
    }
}

/// Models also put the JSON into a string, or spread it over the arguments; a field of theirs may be called `answer`
/// or `outcome` too.
fn call_candidates(args: &JsonObject, given: Option<&Value>) -> Vec<Value> {
    let mut candidates: Vec<Value> = given.cloned().into_iter().collect();
    if let Some(Value::String(text)) = given {
        candidates.extend(json_in(text));
    }
    let without = |left_out: &[&str]| {
        let kept = args.iter().filter(|(name, _)| !left_out.contains(&name.as_str()));
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    if !args.is_empty() {
        candidates.extend([without(&["outcome", ANSWER]), without(&["outcome"]), without(&[])]);
    }
    if given.is_none()
        && let [(_, Value::String(text))] = args.iter().filter(|(name, _)| *name != "outcome").collect::<Vec<_>>()[..]
    {
        candidates.extend(json_in(text));
    }
    candidates
}

/// The verdict in the arguments of an `answer` call; an unknown word is none.
pub(crate) fn outcome_in_call(args: &JsonObject) -> Option<Outcome> {
    args.get("outcome").and_then(|outcome| serde_json::from_value(outcome.clone()).ok())
}

/// Reads a reply that is only text.
pub(crate) async fn in_text(format: Option<&AnswerFormat>, text: &str) -> Result<Answer, Vec<String>> {
    let Some(format) = format else { return in_words(text) };
    let mut candidates = json_in(text);
    candidates.push(Value::String(text.to_owned()));
    format.pick(candidates).await
}

fn in_words(text: &str) -> Result<Answer, Vec<String>> {
    match text.trim() {
        "" => Err(vec!["the answer is empty".into()]),
        text => Ok(Answer::Text(text.to_owned())),
    }
}

/// JSON that is the whole text, fenced blocks of it, or stands between its words; of the latter the last comes first:
/// what models say at the end is what they mean.
fn json_in(text: &str) -> Vec<Value> {
    if let Some(whole) = loose::value(text) {
        return sound(vec![whole]);
    }
    let fenced: Vec<_> = fences::of(text).iter().filter_map(|fence| loose::value(fence.inside)).collect();
    let mut spoken = Vec::new();
    let (mut from, mut misses) = (0, 0);
    while misses + spoken.len() < CANDIDATES_MAX
        && let Some(at) = text[from..].find(['{', '[']).map(|at| from + at)
    {
        if let Some((value, length)) = loose::prefix(&text[at..]) {
            spoken.push(value);
            from = at + length;
        } else {
            misses += 1;
            from = at + 1;
        }
    }
    sound(fenced.into_iter().rev().chain(spoken.into_iter().rev()).collect())
}

fn sound(mut values: Vec<Value>) -> Vec<Value> {
    values.retain(|value| depth_is_within(value, DEPTH_MAX));
    values
}

/// On the wire an answer is text or an object; other JSON travels as text.
fn as_answer(value: Value) -> Answer {
    match value {
        Value::Object(object) => Answer::Object(object),
        Value::String(text) => Answer::Text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Answer::Text(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::agent;

    #[tokio::test]
    async fn without_a_format_any_words_are_an_answer() {
        assert_eq!(in_text(None, " hi ").await, Ok(Answer::Text("hi".into())));
        assert_eq!(in_text(None, " \n").await, Err(vec!["the answer is empty".into()]));
        assert_eq!(in_call(None, &object(json!({"answer": 7}))).await, Ok(Answer::Text("7".into())));
        assert!(in_call(None, &object(json!({"answer": null}))).await.is_err());
    }

    #[tokio::test]
    async fn with_a_format_the_json_is_found_where_models_put_it() {
        let price = json!({"price": 3});
        for text in ["{\"price\": 3}", "Here:\n```json\n{\"price\": 3}\n```\nDone.", "```\n{\"price\": 3}```"] {
            assert_eq!(in_text(Some(&prices()), text).await, Ok(as_answer(price.clone())), "{text}");
        }
        for args in [json!({"answer": price}), json!({"answer": "{\"price\": 3}"}), json!({"price": 3, "outcome": "x"})]
        {
            assert_eq!(in_call(Some(&prices()), &object(args.clone())).await, Ok(as_answer(price.clone())), "{args}");
        }
    }

    #[tokio::test]
    async fn a_misfit_is_told_with_its_place() {
        let faults = in_text(Some(&prices()), "{\"price\": \"x\"}").await.unwrap_err();
        assert_eq!(faults, ["answer_format: at /price: \"x\" is not of type \"integer\""]);
        assert!(in_call(Some(&prices()), &JsonObject::new()).await.is_err());
        assert!(in_text(Some(&prices()), "no JSON").await.is_err());
    }

    #[tokio::test]
    async fn a_format_that_allows_text_takes_text() {
        let format = format(json!({"type": "string"}));
        assert_eq!(in_text(Some(&format), "hi").await, Ok(Answer::Text("hi".into())));
    }

    #[tokio::test]
    async fn a_format_is_never_fetched() {
        for reference in ["http://127.0.0.1:9/schema.json", "file:///etc/hostname", "#/$defs/missing"] {
            let fault = AnswerFormat::of(&agent(json!({"answer_format": {"$ref": reference}}))).await.err().unwrap();
            assert_eq!(fault.code, ErrorCode::AnswerValidation, "{reference}");
            assert!(fault.cause.unwrap().starts_with("answer_format cannot be used: "));
        }
    }

    #[test]
    fn a_format_keeps_its_references_inside_the_tool() {
        let format = format(json!({
            "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}, "top": {"$ref": "#"}}}},
            "properties": {"a": {"$ref": "#/$defs/N"}, "b": {"$ref": "#/properties/a"}},
        }));
        let parameters = Value::Object(answer_tool(Some(&format)).input_schema);
        assert_eq!(parameters["$defs"]["N"]["properties"]["top"]["$ref"], "#/properties/answer");
        assert_eq!(parameters["properties"]["answer"]["properties"]["a"]["$ref"], "#/$defs/N");
        assert_eq!(parameters["properties"]["answer"]["properties"]["b"]["$ref"], "#/properties/answer/properties/a");
        assert!(jsonschema::options().offline().build(&parameters).is_ok());
    }

    fn prices() -> AnswerFormat {
        format(json!({"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}))
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
    fn format(schema: Value) -> AnswerFormat {
        AnswerFormat::new(schema.as_object().unwrap())
    }

    fn object(value: Value) -> JsonObject {
        serde_json::from_value(value).unwrap()
    }
}
