//! What must be true of a log, whoever wrote it.

use chrono::{DateTime, FixedOffset};
use quarterdeck_core::LoggedEvent;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A log, read.
pub(crate) struct Log {
    events: Vec<Value>,
}

impl Log {
    pub(crate) fn read(events: &[LoggedEvent]) -> Self {
        Self { events: events.iter().map(|event| serde_json::from_str(event.json.get()).unwrap()).collect() }
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(self.times_that_go_back());
        faults.extend(self.endings_that_were_not_the_end());
        faults.extend(self.calls_without_exactly_one_result());
        faults.extend(self.starts());
        faults.extend(self.words_said_twice());
        faults
    }

    /// How often somebody said this.
    pub(crate) fn count_messages(&self, text: &str) -> usize {
        self.agent_events().filter(|data| data["kind"] == "message_event" && data["content"][0] == text).count()
    }

    /// The causes of failures, where one is named.
    pub(crate) fn causes(&self) -> impl Iterator<Item = &str> {
        let failures = self.events.iter().filter(|event| event["type"] == "AgentErrorEvent");
        failures.filter_map(|event| event["data"]["info"]["cause"].as_str())
    }

    /// How often a call was settled.
    pub(crate) fn count_results(&self, call: &str) -> usize {
        self.agent_events().filter(|data| data["tool_req"]["id"] == call).count()
    }

    fn agent_events(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(|event| event["type"] == "AgentEvent").map(|event| &event["data"])
    }

    fn times_that_go_back(&self) -> Option<String> {
        let times: Vec<DateTime<FixedOffset>> =
            self.events.iter().map(|event| event["timestamp"].as_str().unwrap().parse().unwrap()).collect();
        let back = times.windows(2).position(|pair| pair[1] < pair[0])?;
        Some(format!("time goes back after event {back}"))
    }

    /// Nothing follows an end but a restart.
    fn endings_that_were_not_the_end(&self) -> Option<String> {
        let pairs = self.events.iter().zip(self.events.iter().skip(1));
        let ends = |event: &Value| event["type"] == "AgentCompletionEvent" || event["type"] == "AgentErrorEvent";
        let restarts = |event: &Value| {
            event["type"] == "RequestStartDispatchedEvent"
                || (event["type"] == "ActiveStateChangeEvent" && event["data"]["state"] == "running")
        };
        let (index, _) = pairs.enumerate().find(|(_, (event, next))| ends(event) && !restarts(next))?;
        Some(format!("event {} follows an end and is no restart: {}", index + 1, self.events[index + 1]))
    }

    /// A call is made once, and settled once; the last ones may still be open.
    fn calls_without_exactly_one_result(&self) -> Vec<String> {
        let mut calls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for data in self.agent_events() {
            for call in data["tool_reqs"].as_array().into_iter().flatten() {
                calls.entry(call["id"].as_str().unwrap()).or_default().0 += 1;
            }
            if let Some(call) = data["tool_req"]["id"].as_str() {
                calls.entry(call).or_default().1 += 1;
            }
        }
        let wrong = calls.into_iter().filter(|(_, (made, settled))| *made != 1 || *settled > 1);
        wrong
            .map(|(call, (made, settled))| format!("call {call} was made {made} times and settled {settled}"))
            .collect()
    }

    /// Agents never say the same words twice, so what is there twice was recorded twice.
    fn words_said_twice(&self) -> Vec<String> {
        let mut said = BTreeSet::new();
        let words = self.agent_events().filter_map(|data| match data["kind"].as_str() {
            Some("policy_event") => data["content"].as_str(),
            Some("error_event") if data["origin"] == "model" => data["error"].as_str(),
            _ => None,
        });
        words.filter(|words| !said.insert(*words)).map(|words| format!("an agent said {words} twice")).collect()
    }

    /// A session starts once.
    fn starts(&self) -> Option<String> {
        let started = self.events.iter().filter(|event| event["type"] == "AgentStartedEvent").count();
        (started > 1).then(|| format!("it started {started} times"))
    }
}
