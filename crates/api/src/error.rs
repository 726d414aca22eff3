//! The one error body: `{message, detail: [...]}` (contract: validation, "Error body").

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What every status of 400 and above answers with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, in words, for a person.
    pub message: String,
    /// Each fault by itself, for a program; never empty.
    pub detail: Vec<Detail>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    /// The kind of fault: a validation type such as `missing`, or a status name such as `not_found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the faulty value sits: `["body", "agent", "inline", "name"]`. Absent when no field is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loc: Option<Vec<LocationPart>>,
    /// What is wrong with the value. Present with `loc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// The same in words, for clients that read this key.
    pub message: String,
    /// Whose limit was hit: `user`, `org` or `platform`. On 429 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The faulty value, echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub input: Option<Value>,
    /// The bound that was broken and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub ctx: Option<Value>,
}

/// A step on the way to a value: a field's name or a list index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LocationPart {
    /// An index into a list, or the offset of a fault in unparsable JSON.
    Index(u64),
    /// A field's name, a union's tag, or the place itself (`body`, `query`, `path`, `header`).
    Name(String),
}
