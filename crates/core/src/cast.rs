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
    },
    /// None fits, and nothing else is to take its place.
    Unmatched {
        /// Which came nearest, in a sentence.
        why: String,
    },
}
