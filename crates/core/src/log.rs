//! Events on their way into the log.

use quarterdeck_api::{AgentEvent, EventData, JsonObject, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::sync::Arc;

/// An event as it is stored and served: serialized once, here.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    /// Its place in the log, from 0, without gaps.
    pub index: u64,
    /// Its type on the wire.
    pub type_name: Arc<str>,
    /// The whole envelope, `{type, data, timestamp}`.
    pub json: Arc<RawValue>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(flatten)]
    data: &'a EventData,
    timestamp: Timestamp,
    /// Stored beside the event and taken out before it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_members: Option<&'a JsonObject>,
}

/// The name of what is stored beside an event and never served: see `Envelope`.
pub const HOST_MEMBERS: &str = "host_members";

fn kept(data: &EventData) -> Option<&JsonObject> {
    let AgentEvent::PolicyEvent { kept, .. } = data.agent_event()? else { return None };
    kept.as_deref()
}

impl LoggedEvent {
    /// Serializes `data`.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic, as said below")]
    pub fn new(index: u64, data: &EventData, timestamp: Timestamp) -> Self {
        let envelope = Envelope { data, timestamp, host_members: kept(data) };
        #[expect(clippy::expect_used, reason = "only strings are keys, so these types always serialize")]
        let json = serde_json::value::to_raw_value(&envelope).expect("an event serializes");
        Self { index, type_name: Arc::from(type_name(data)), json: Arc::from(json) }
    }

    /// What the agent did or was given, when this is such an event and we understand it.
    pub fn agent_event(&self) -> Option<AgentEvent> {
        match &*self.type_name {
            "AgentEvent" => self.data().map(|event| self.with_kept(event)),
            "AttachmentEvent" => self.data().map(attachment_seen),
            _ => None,
        }
    }

    fn with_kept(&self, mut event: AgentEvent) -> AgentEvent {
        #[derive(Deserialize)]
        struct Beside {
            host_members: Option<Box<JsonObject>>,
        }
        if let AgentEvent::PolicyEvent { kept, .. } = &mut event
            && self.json.get().contains(HOST_MEMBERS)
        {
            *kept = serde_json::from_str::<Beside>(self.json.get()).ok().and_then(|beside| beside.host_members);
        }
        event
    }

    fn data<T: DeserializeOwned>(&self) -> Option<T> {
        #[derive(Deserialize)]
        struct Data<T> {
            data: T,
        }
        serde_json::from_str::<Data<T>>(self.json.get()).ok().map(|parsed| parsed.data)
    }
}

/// An attached file as the agent sees it: that it is there, not what it holds.
fn attachment_seen(mut attachment: JsonObject) -> AgentEvent {
    attachment.retain(|name, _| ["name", "media_type", "size_bytes"].contains(&name.as_str()));
    AgentEvent::ObservationEvent { source: "attachment".into(), text: None, image: None, metadata: attachment }
}

fn type_name(data: &EventData) -> &'static str {
    match data {
        EventData::RequestStart {} => "RequestStartEvent",
        EventData::RequestStartDispatched { .. } => "RequestStartDispatchedEvent",
        EventData::AgentStarted {} => "AgentStartedEvent",
        EventData::RunnerSession { .. } => "RunnerSessionEvent",
        EventData::LiveViewUrl { .. } => "LiveViewUrlEvent",
        EventData::ActiveStateChange { .. } => "ActiveStateChangeEvent",
        EventData::AgentRunStatusChange { .. } => "AgentRunStatusChangeEvent",
        EventData::Agent(_) => "AgentEvent",
        EventData::MetricsUpdate { .. } => "MetricsUpdateEvent",
        EventData::FileTransfer { .. } => "FileTransferEvent",
        EventData::Attachment { .. } => "AttachmentEvent",
        EventData::AgentCompletion { .. } => "AgentCompletionEvent",
        EventData::AgentError { .. } => "AgentErrorEvent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_host_wants_back_is_stored_beside_the_event() {
        let kept: JsonObject = serde_json::from_value(json!({"origin": "h", "message": {"s": 1}})).unwrap();
        let event = |kept: Option<JsonObject>| AgentEvent::PolicyEvent {
            reasoning_content: None,
            content: Some("host_members".into()),
            tool_reqs: Vec::new(),
            validation_errors: Vec::new(),
            kept: kept.map(Box::new),
        };
        for given in [event(None), event(Some(kept))] {
            let logged = LoggedEvent::new(0, &EventData::Agent(given.clone()), Timestamp::UNIX_EPOCH);
            assert_eq!(logged.agent_event(), Some(given));
            assert!(
                !serde_json::from_str::<serde_json::Value>(logged.json.get()).unwrap()["data"]
                    .to_string()
                    .contains("origin")
            );
        }
    }
}
