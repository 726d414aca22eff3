//! Custom tools and the results of their calls.

use super::Decode;
use super::fields::{Fields, nullable, some, tagged};
use super::json::{self, Value};
use super::place::{self, Fault, Place};
use super::rules::names;
use super::scalars::{boolean, sized, text};
use crate::{JsonObject, ToolDefinition, ToolError, ToolRequest, ToolResult, ToolResultItem, empty_input_schema};
use serde::Serialize;
use utoipa::ToSchema;

/// The longest name of a tool.
const NAME_MAX: usize = 64;

impl Decode for ToolDefinition {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let name = fields.required("name", tool_name);
        let description = fields.required("description", super::scalars::filled);
        let input_schema = fields.or_else("input_schema", empty_input_schema, input_schema);
        Some(Self { name: name?, description: description?, input_schema: input_schema? })
    }
}

/// The name of a tool.
pub fn tool_name(value: &Value<'_>, at: &Place<'_>) -> Option<String> {
    let name = sized(1..=NAME_MAX, value, at)?;
    names::check_tool_name(name).map_or_else(|broken| at.refuse(Fault::rule(broken), value), |()| Some(name.to_owned()))
}

/// The schema of a tool's arguments; nothing but its top-level type is looked at.
pub fn input_schema(value: &Value<'_>, at: &Place<'_>) -> Option<JsonObject> {
    let schema = json::schema_object(value, at)?;
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return at.refuse(Fault::rule("the top-level type must be `object`"), value);
    }
    Some(schema)
}

impl Decode for ToolRequest {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let tool_name = fields.required("tool_name", text);
        let args =
            fields.or_else("args", || Some(JsonObject::new()), |value, at| json::free_object(value, at).map(Some));
        let id = fields.optional("id", text);
        Some(Self { tool_name: tool_name?, args: args?, id: id? })
    }
}

impl Decode for ToolResult {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let kind = fields.tag("kind", "tool_result");
        let tool_req = fields.required("tool_req", ToolRequest::decode);
        let result = fields.or_empty("result", json::free);
        let truncated = fields.or("truncated", false, boolean);
        let output_artifact_path = fields.optional("output_artifact_path", text);
        kind?;
        Some(Self {
            tool_req: tool_req?,
            result: result?,
            truncated: truncated?,
            output_artifact_path: output_artifact_path?,
        })
    }
}

impl Decode for ToolError {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let fields = Fields::of(value, at)?;
        let kind = fields.tag("kind", "error_event");
        let error = fields.required("error", text);
        let origin = fields.required("origin", text);
        let tool_req = fields.or("tool_req", None, nullable(ToolRequest::decode));
        kind?;
        Some(Self { error: error?, origin: origin?, tool_req: tool_req? })
    }
}

#[derive(Clone, Copy)]
enum ItemKind {
    Result,
    Error,
}

impl Decode for ToolResultItem {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        const KINDS: [(&str, ItemKind); 2] = [("tool_result", ItemKind::Result), ("error_event", ItemKind::Error)];
        let (tag, kind) = tagged("kind", &KINDS, value, at)?;
        match kind {
            ItemKind::Result => ToolResult::decode(value, &at.field(tag)).map(Self::Result),
            ItemKind::Error => ToolError::decode(value, &at.field(tag)).map(Self::Error),
        }
    }
}

/// The body of `POST /sessions/{id}/tool_results`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({"kind": "tool_result", "tool_req": {"tool_name": "lookup", "id": "call_1"}, "result": 19}))]
pub enum ToolResultsBody {
    /// One result or error.
    One(ToolResultItem),
    /// Several.
    Batch {
        /// At least one.
        #[schema(min_items = 1)]
        results: Vec<ToolResultItem>,
    },
}

impl ToolResultsBody {
    /// The results in order.
    pub fn into_vec(self) -> Vec<ToolResultItem> {
        match self {
            Self::One(item) => vec![item],
            Self::Batch { results } => results,
        }
    }
}

/// What the shapes of the body are called where their faults sit.
const RESULT: &str = "ToolResultEvent";
const ERROR: &str = "ErrorEvent";
const BATCH: &str = "ToolResultBatch";

impl Decode for ToolResultsBody {
    /// Tries the three shapes in turn; when none fits, the faults of all three are listed.
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        let before = at.mark();
        let result = ToolResult::decode(value, &at.field(RESULT)).map(ToolResultItem::Result).map(Self::One);
        let error = || ToolError::decode(value, &at.field(ERROR)).map(ToolResultItem::Error).map(Self::One);
        let body = result.or_else(error).or_else(|| decode_batch(value, &at.field(BATCH)))?;
        at.forget(before);
        Some(body)
    }

    fn refuse_unread(note: &Value<'_>, at: &Place<'_>) {
        for shape in [RESULT, ERROR, BATCH] {
            place::refuse_unread(note, &at.field(shape));
        }
    }
}

fn decode_batch(value: &Value<'_>, at: &Place<'_>) -> Option<ToolResultsBody> {
    let fields = Fields::of(value, at)?;
    let kind = fields.tag("type", "batch");
    let results = fields.required("results", some(ToolResultItem::decode));
    let known = fields.only(&["type", "results"]);
    kind.and(known)?;
    Some(ToolResultsBody::Batch { results: results? })
}
