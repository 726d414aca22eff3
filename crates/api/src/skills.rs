//! Skills: instructions an agent can load when it needs them.

use crate::decode::rules::base64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A named piece of know-how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "acme/refunds", "description": "For returns.", "body": "Ask for the order number."}))]
pub struct Skill {
    /// Unique name, one or two segments.
    #[schema(min_length = 1)]
    pub name: String,
    /// When to use it; this is what the agent sees before it loads the body.
    #[schema(min_length = 1)]
    pub description: String,
    /// The instructions themselves.
    #[schema(min_length = 1)]
    pub body: String,
    /// Where it came from.
    pub source: Option<String>,
    /// A regular expression; pages whose address matches hint at the skill.
    #[schema(min_length = 1, max_length = 1024)]
    pub url_pattern: Option<String>,
    /// What it needs to run.
    pub compatibility: Option<String>,
    /// Helper files: path to URL-safe base64 with padding.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Which of `files` are to be executable.
    #[schema(default = json!([]))]
    #[serde(default)]
    pub executable_files: Vec<String>,
}

impl Skill {
    /// The bytes of a helper file; none when there is no such file.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.get(path).and_then(|text| base64::decode(text))
    }
}
