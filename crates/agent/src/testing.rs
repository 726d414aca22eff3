//! What the tests of this crate share.

use quarterdeck_api::{Agent, AgentEvent};
use serde_json::{Value, json};
use std::sync::Arc;

/// An agent with these fields set.
pub(crate) fn agent(fields: Value) -> Agent {
    let mut agent = json!({"name": "tester", "description": "Tests things.", "environments": []});
    let fields: quarterdeck_api::JsonObject = serde_json::from_value(fields).unwrap();
    agent.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(agent).unwrap()
}

/// A transcript of these events.
pub(crate) fn events<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<Arc<AgentEvent>> {
    events.into_iter().map(|event| Arc::new(serde_json::from_value(event.clone()).unwrap())).collect()
}
