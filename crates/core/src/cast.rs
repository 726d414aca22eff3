//! What a session plays in a model's place. It is chosen once, when the session is created, and stays with it.

use quarterdeck_api::JsonObject;
use serde::{Deserialize, Serialize};

/// What a session plays in a model's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// A scenario.
    Scenario {
        /// Its name.
        name: String,
        /// The SHA-256 of it as it is stored: what is loaded under this name later is another one.
        hash: String,
        /// The session's label.
        group_id: Option<String>,
        /// The headers of the creating request that the scenario names.
        header: JsonObject,
        /// Whether it answers the calls of custom tools too.
        client: bool,
        /// The calls that led here, from the session that was cast down to one that it delegated to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<String>,
        /// Whether it is a recording: what its environments did is in there, and none is opened.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_recording: bool,
    },
    /// None fits, and nothing else is to take its place.
    Unmatched {
        /// Which came nearest, in a sentence.
        why: String,
    },
}

impl Cast {
    /// Whether what the environments did is played too.
    pub fn is_recording(&self) -> bool {
        matches!(self, Self::Scenario { is_recording: true, .. })
    }

    /// What a session is cast for that works this call off; none for what is matched by itself or not at all.
    #[must_use]
    pub fn below(&self, call: Option<&str>) -> Option<Self> {
        if !self.is_recording() {
            return None;
        }
        let mut below = self.clone();
        if let Self::Scenario { calls, .. } = &mut below {
            calls.push(call.unwrap_or_default().to_owned());
        }
        Some(below)
    }
}
