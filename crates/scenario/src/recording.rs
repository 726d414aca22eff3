//! What a recording says of the session that it was made from, and how logs become recordings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The session that a scenario is a recording of, as far as it takes to play it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recorded {
    /// What it was asked, secrets masked.
    pub request: Value,
    /// What was said to it later, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// Something that the user did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mark {
    /// How many cues had been played.
    pub after: usize,
    /// Milliseconds after the session began.
    pub at_ms: u64,
    /// What was said; none for a cancel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
