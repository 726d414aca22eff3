//! Events on their way into the log.

use quarterdeck_api::{AgentEvent, EventData, Timestamp};
use serde::Serialize;
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

    /// What the agent did, when this is an event of the agent's that we understand.
    pub fn agent_event(&self) -> Option<AgentEvent> {
        #[derive(serde::Deserialize)]
        struct Data {
            data: AgentEvent,
        }
        if &*self.type_name != "AgentEvent" {
            return None;
        }
        serde_json::from_str::<Data>(self.json.get()).ok().map(|parsed| parsed.data)
    }
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
