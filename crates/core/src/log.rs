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
}

impl LoggedEvent {
    /// Serializes `data`.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic, as said below")]
    pub fn new(index: u64, data: &EventData, timestamp: Timestamp) -> Self {
        let envelope = Envelope { data, timestamp };
        #[expect(clippy::expect_used, reason = "only strings are keys, so these types always serialize")]
        let json = serde_json::value::to_raw_value(&envelope).expect("an event serializes");
        Self { index, type_name: Arc::from(type_name(data)), json: Arc::from(json) }
    }

    /// What the agent did or was given, when this is such an event and we understand it.
    pub fn agent_event(&self) -> Option<AgentEvent> {
        match &*self.type_name {
            "AgentEvent" => self.data(),
            "AttachmentEvent" => self.data().map(attachment_seen),
            _ => None,
        }
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
