//! A session's log as a client gathered it, read again.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// One answer of `changes`.
#[derive(Deserialize)]
pub(crate) struct Changes {
    pub(crate) status: String,
    pub(crate) first_index: usize,
    pub(crate) new_events: Vec<Box<RawValue>>,
    pub(crate) answer: Value,
}

/// One event: as it came, and parsed.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) text: String,
    type_name: String,
    data: Value,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    type_name: String,
    data: Value,
    timestamp: DateTime<Utc>,
}

impl Event {
    pub(crate) fn read(raw: &RawValue) -> serde_json::Result<Self> {
        let Envelope { type_name, data, timestamp } = serde_json::from_str(raw.get())?;
        Ok(Self { text: raw.get().to_owned(), type_name, data, at: timestamp })
    }

    /// Its type, or for the agent's events their kind.
    pub(crate) fn kind(&self) -> &str {
        match self.data["kind"].as_str() {
            Some(kind) if self.type_name == "AgentEvent" => kind,
            Some(_) | None => &self.type_name,
        }
    }

    /// What a message says.
    pub(crate) fn message(&self) -> Option<&str> {
        (self.kind() == "message_event").then(|| self.data["content"][0].as_str()).flatten()
    }

    /// The calls that the model made.
    pub(crate) fn calls(&self) -> Vec<&str> {
        let calls = self.data["tool_reqs"].as_array().filter(|_| self.kind() == "policy_event");
        calls.into_iter().flatten().filter_map(|call| call["id"].as_str()).collect()
    }

    /// The call that this settles.
    pub(crate) fn settled(&self) -> Option<&str> {
        let settles = matches!(self.kind(), "tool_result" | "error_event");
        settles.then(|| self.data["tool_req"]["id"].as_str()).flatten()
    }

    pub(crate) fn result(&self) -> Option<&Value> {
        (self.kind() == "tool_result").then(|| &self.data["result"])
    }

    pub(crate) fn answer(&self) -> Option<&Value> {
        (self.kind() == "answer_event").then(|| &self.data["answer"])
    }

    /// Paused or running, when a pause or a resume took effect.
    pub(crate) fn run_status(&self) -> Option<&str> {
        (self.type_name == "AgentRunStatusChangeEvent").then(|| self.data["status"].as_str()).flatten()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.type_name == "ActiveStateChangeEvent" && self.data["state"] == "idle"
    }

    /// Whether a worker has something to do from here on, if this event tells.
    pub(crate) fn busy(&self) -> Option<bool> {
        match self.type_name.as_str() {
            "ActiveStateChangeEvent" => Some(self.data["state"] == "running"),
            "AgentRunStatusChangeEvent" => Some(self.data["status"] == "running"),
            "AgentCompletionEvent" | "AgentErrorEvent" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        matches!(self.type_name.as_str(), "AgentCompletionEvent" | "AgentErrorEvent")
    }

    /// What is known of why the session failed.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.data["info"]["cause"].as_str()
    }

    /// Whether a worker wrote it, and not a client's command.
    pub(crate) fn is_a_workers(&self) -> bool {
        let kinds = ["policy_event", "answer_event", "message_event", "error_event", "observation_event"];
        kinds.contains(&self.kind()) || self.type_name == "AgentStartedEvent"
    }
}
