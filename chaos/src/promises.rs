//! What the servers owe for one session, and whether its log keeps it.

use crate::{log::Event, model::Task};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What was acknowledged for a session, and what may have arrived.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    /// Messages that got their 202, in order; the opening one first.
    pub(crate) acknowledged: Vec<String>,
    /// All messages that were sent, each at most once.
    pub(crate) sent: BTreeSet<String>,
    /// The result that got its 202, by call.
    pub(crate) results: BTreeMap<String, String>,
    /// A cancel got its 204.
    pub(crate) cancelled: bool,
    /// Seconds after which the session ends in idle.
    pub(crate) idle_timeout: Option<u32>,
}

/// A timer may be early by what a clock reads differently in two places.
const TIMER_SLACK: TimeDelta = TimeDelta::milliseconds(20);

impl Promises {
    /// What the log of an ended session breaks.
    pub(crate) fn broken_by(&self, log: &[Event], status: &str) -> Vec<String> {
        let mut faults = Vec::new();
        self.check_messages(log, &mut faults);
        self.check_calls(log, &mut faults);
        self.check_end(log, status, &mut faults);
        check_order(log, &mut faults);
        faults
    }

    fn check_messages(&self, log: &[Event], faults: &mut Vec<String>) {
        let tags = log.iter().filter_map(|event| Some(Task::read(event.message()?)?.tag));
        let seen: Vec<String> = tags.collect();
        let mut unique = BTreeSet::new();
        for tag in &seen {
            if !unique.insert(tag) {
                faults.push(format!("message {tag} is in the log more than once"));
            }
            if !self.sent.contains(tag) {
                faults.push(format!("message {tag} was never sent"));
            }
        }
        let acknowledged: Vec<&String> = seen.iter().filter(|tag| self.acknowledged.contains(tag)).collect();
        // What is cancelled need not be delivered any more.
        let expected: Vec<&String> = self.acknowledged.iter().collect();
        let holds = if self.cancelled { expected.starts_with(&acknowledged) } else { expected == acknowledged };
        if !holds {
            faults.push(format!("messages {expected:?} were acknowledged, the log has {acknowledged:?}"));
        }
    }

    fn check_calls(&self, log: &[Event], faults: &mut Vec<String>) {
        let calls: Vec<&str> = log.iter().flat_map(Event::calls).collect();
        for call in &calls {
            let settled = log.iter().filter(|event| event.settled() == Some(call)).count();
            if settled != 1 {
                faults.push(format!("call {call} was settled {settled} times"));
            }
        }
        for (call, result) in &self.results {
            let kept = log.iter().any(|event| {
                event.settled() == Some(call) && event.result().is_some_and(|stored| stored == result.as_str())
            });
            if !kept {
                faults.push(format!("result {result} of call {call} was acknowledged and is not in the log"));
            }
        }
    }

    fn check_end(&self, log: &[Event], status: &str, faults: &mut Vec<String>) {
        if log.iter().filter(|event| event.is_end()).count() != 1 || !log.last().is_some_and(Event::is_end) {
            faults.push("the log does not end once, at its end".to_owned());
        }
        let answers = log.iter().filter(|event| event.answer().is_some()).count();
        match (status, self.cancelled) {
            ("completed", _) if answers == 0 => faults.push("it completed without an answer".to_owned()),
            ("completed", false) | ("completed" | "interrupted", true) => {}
            // It may look like the cause of every kill: that is promised, see docs/reliability.md.
            ("failed", _) if cause(log).is_some_and(|cause| cause.contains("servers in a row")) => {}
            (status, _) => faults.push(format!("it ended {status}: {}", cause(log).unwrap_or("no cause is told"))),
        }
        if self.idle_timeout.is_none() && answers > 1 {
            faults.push(format!("it was answered {answers} times"));
        }
        if let (Some(seconds), "completed", [.., idle, end]) = (self.idle_timeout, status, log) {
            let waited = end.at - idle.at;
            if !idle.is_idle() || waited + TIMER_SLACK < TimeDelta::seconds(i64::from(seconds)) {
                faults.push(format!("the idle timeout of {seconds} s came after {} ms", waited.num_milliseconds()));
            }
        }
    }
}

/// Why the session failed.
fn cause(log: &[Event]) -> Option<&str> {
    log.last()?.cause()
}

/// What holds for every log.
fn check_order(log: &[Event], faults: &mut Vec<String>) {
    if log.first().is_some_and(|event| event.kind() != "RequestStartEvent") {
        faults.push("the log does not begin with the request".to_owned());
    }
    if log.windows(2).any(|pair| pair[1].at < pair[0].at) {
        faults.push("a timestamp goes back".to_owned());
    }
    let mut is_paused = false;
    for (index, event) in log.iter().enumerate() {
        match event.run_status() {
            Some(status) => is_paused = status == "paused",
            None if is_paused && matches!(event.kind(), "policy_event" | "answer_event") => {
                faults.push(format!("event {index}: the agent acted during a pause"));
            }
            None => {}
        }
    }
}

/// What is kept of a session that ended, to hold other answers against.
pub(crate) struct Kept {
    pub(crate) id: String,
    /// The tag of its first message, when it was created under an idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) status: String,
    pub(crate) length: usize,
    pub(crate) digest: u64,
    /// When something happened.
    pub(crate) moments: Vec<Moment>,
}

/// An event, as far as a failover needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: DateTime<Utc>,
    /// A worker wrote it, and not a client's command.
    pub(crate) by_worker: bool,
    /// From here on a worker had something to do.
    pub(crate) busy: bool,
}

pub(crate) fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.for_each(|text| text.hash(&mut hasher));
    hasher.finish()
}

pub(crate) fn moments(log: &[Event]) -> Vec<Moment> {
    let mut busy = true;
    let moment = |event: &Event| {
        busy = event.busy().unwrap_or(busy);
        Moment { at: event.at, by_worker: event.is_a_workers(), busy }
    };
    log.iter().map(moment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json, value::to_raw_value};

    fn log(events: &[Value]) -> Vec<Event> {
        let stamped = events.iter().enumerate().map(|(second, event)| {
            let mut event = event.clone();
            event["timestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
            Event::read(&to_raw_value(&event).unwrap()).unwrap()
        });
        stamped.collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(..) in place")]
    fn event(kind: &str, data: Value) -> Value {
        json!({"type": kind, "data": data})
    }

    fn message(tag: &str) -> Value {
        event("AgentEvent", json!({"kind": "message_event", "content": [format!("chaos {tag} 0 0")]}))
    }

    fn answered() -> [Value; 2] {
        [
            event("AgentEvent", json!({"kind": "answer_event", "answer": "done"})),
            event("AgentCompletionEvent", json!({"reason": "finished"})),
        ]
    }

    fn owed(acknowledged: &[&str], sent: &[&str]) -> Promises {
        Promises {
            acknowledged: acknowledged.iter().map(|&tag| tag.to_owned()).collect(),
            sent: sent.iter().map(|&tag| tag.to_owned()).collect(),
            ..Promises::default()
        }
    }

    fn check(owed: &Promises, middle: &[Value], faults: &[&str]) {
        let events = [&[event("RequestStartEvent", json!({}))], middle, &answered()].concat();
        let found = owed.broken_by(&log(&events), "completed");
        assert_eq!(found.len(), faults.len(), "{found:?}");
        assert!(found.iter().zip(faults).all(|(found, fault)| found.contains(fault)), "{found:?}");
    }

    #[test]
    fn a_log_that_keeps_everything_breaks_nothing() {
        check(&owed(&["a", "b"], &["a", "b", "lost"]), &[message("a"), message("b")], &[]);
        check(&owed(&["a"], &["a", "lost"]), &[message("a"), message("lost")], &[]);
    }

    #[test]
    fn a_lost_doubled_invented_or_misplaced_message_is_found() {
        let both = owed(&["a", "b"], &["a", "b"]);
        check(&both, &[message("a")], &["were acknowledged"]);
        check(&both, &[message("b"), message("a")], &["were acknowledged"]);
        check(&owed(&["a"], &["a"]), &[message("a"), message("x")], &["never sent"]);
        let lost = owed(&["a"], &["a", "l"]);
        check(&lost, &[message("a"), message("l"), message("l")], &["more than once"]);
    }

    #[test]
    fn a_call_without_its_one_result_is_found() {
        let call = event("AgentEvent", json!({"kind": "policy_event", "tool_reqs": [{"id": "c"}]}));
        let result = event("AgentEvent", json!({"kind": "tool_result", "tool_req": {"id": "c"}, "result": "1"}));
        let mut owed = owed(&[], &[]);
        check(&owed, &[call.clone(), result.clone()], &[]);
        check(&owed, std::slice::from_ref(&call), &["settled 0 times"]);
        check(&owed, &[call.clone(), result.clone(), result.clone()], &["settled 2 times"]);
        owed.results.insert("c".into(), "2".into());
        check(&owed, &[call, result], &["acknowledged and is not in the log"]);
    }

    #[test]
    fn an_act_during_a_pause_is_found() {
        let status = |status: &str| event("AgentRunStatusChangeEvent", json!({"status": status}));
        let act = event("AgentEvent", json!({"kind": "policy_event", "tool_reqs": []}));
        check(&owed(&[], &[]), &[status("paused"), act.clone(), status("running")], &["during a pause"]);
        check(&owed(&[], &[]), &[status("paused"), status("running"), act], &[]);
    }

    #[test]
    fn an_early_timer_and_a_wrong_end_are_found() {
        let idle = event("ActiveStateChangeEvent", json!({"state": "idle"}));
        let [answer, end] = answered();
        let events = log(&[event("RequestStartEvent", json!({})), answer, idle, end]);
        let waiting = |seconds| Promises { idle_timeout: Some(seconds), ..Promises::default() };
        assert_eq!(waiting(1).broken_by(&events, "completed"), Vec::<String>::new());
        assert_eq!(waiting(2).broken_by(&events, "completed").len(), 1);
        assert_eq!(waiting(1).broken_by(&events, "failed"), ["it ended failed: no cause is told"]);
        assert_eq!(waiting(1).broken_by(&events[..3], "completed").len(), 2);
    }
}
