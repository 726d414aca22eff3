//! What was asked of a world, and which sessions found no scenario.

use quarterdeck_api::{SessionId, Timestamp};
use quarterdeck_scenario::Miss;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;

/// Requests that are kept; how many more there were is told.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of bodies that are kept, of one request and of all together.
pub(super) const BODY_MAX: usize = 64 * 1024;
const BODIES_MAX: usize = 32 * 1024 * 1024;

/// A request that was received.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) operation: Option<String>,
    pub(super) session: Option<String>,
    pub(super) scenario: Option<String>,
    /// Secrets masked.
    pub(super) headers: Map<String, Value>,
    pub(super) body: String,
    /// Whether the body was longer than what is kept of it.
    pub(super) body_cut: bool,
    /// None when the connection was cut before an answer.
    pub(super) status: Option<u16>,
    /// What went wrong on purpose.
    pub(super) fault: Option<u64>,
}

/// A session that found no scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Unmatched {
    pub(super) number: u64,
    pub(super) session: Option<String>,
    pub(super) at: Timestamp,
    pub(super) agent: String,
    pub(super) message: Option<String>,
    pub(super) nearest: Vec<Miss>,
}

/// What was asked of a world.
#[derive(Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Requests that are not kept any more.
    pub(super) dropped: u64,
    /// Requests of each operation, those that are not kept included.
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) unmatched: VecDeque<Unmatched>,
    pub(super) unmatched_dropped: u64,
    made: u64,
    pub(super) grown: Arc<Notify>,
}

/// Which requests are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) session: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) since: u64,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        entry.number > self.since
            && (self.session.is_none() || self.session == entry.session)
            && (self.operation.is_none() || self.operation == entry.operation)
    }
}

impl Journal {
    pub(super) fn add(&mut self, entry: Entry) {
        self.made += 1;
        self.bytes += entry.body.len();
        if let Some(operation) = &entry.operation {
            *self.counts.entry(operation.clone()).or_default() += 1;
        }
        self.entries.push_back(Entry { number: self.made, ..entry });
        while self.entries.len() > ENTRIES_MAX || self.bytes > BODIES_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.body.len();
            self.dropped += 1;
        }
        self.grown.notify_waiters();
    }

    /// Returns its number.
    pub(super) fn add_unmatched(&mut self, unmatched: Unmatched) -> u64 {
        let number = self.unmatched_dropped + self.unmatched.len() as u64 + 1;
        self.unmatched.push_back(Unmatched { number, ..unmatched });
        if self.unmatched.len() > ENTRIES_MAX {
            self.unmatched.pop_front();
            self.unmatched_dropped += 1;
        }
        number
    }

    /// Says which session it became.
    pub(super) fn name_unmatched(&mut self, number: Option<u64>, id: SessionId) {
        let found = self.unmatched.iter_mut().find(|unmatched| Some(unmatched.number) == number);
        if let Some(unmatched) = found {
            unmatched.session = Some(id.to_string());
        }
    }

    pub(super) fn entries(&self, filter: &Filter) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| filter.takes(entry)).collect()
    }

    /// How many there were; of one session, and since some number, only those that are kept count.
    pub(super) fn count(&self, filter: &Filter) -> u64 {
        match (&filter.session, filter.since, &filter.operation) {
            (None, 0, Some(operation)) => self.counts.get(operation).copied().unwrap_or_default(),
            (None, 0, None) => self.made,
            _ => self.entries(filter).len() as u64,
        }
    }
}
