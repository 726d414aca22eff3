//! How an engine is to work.

use crate::BuiltIn;
use quarterdeck_core::AnswerGrace;
use quarterdeck_environments::{Hosting, Provider};
use quarterdeck_store::Limits;
use std::{sync::Arc, time::Duration};

/// How the engine works. The defaults are for production; tests shorten the times.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Sessions this process runs at once; others wait, or run elsewhere.
    pub workers_max: usize,
    /// Sessions of an organization that may hold a slot at once, unless it has a limit of its own, and that may wait
    /// for one. The same in all processes that share a store.
    pub limits: Limits,
    /// How long a session waits for its client, for results of calls or for a message, before it ends.
    pub client_wait: Duration,
    /// How long a process that stops renewing keeps its sessions.
    pub lease: Duration,
    /// How often it looks for sessions that nobody runs, should no word of them come.
    pub poll_interval: Duration,
    /// How long running steps may take to finish when the server stops.
    pub drain_grace: Duration,
    /// Which environments sessions may have, and who opens them.
    pub environments: Arc<dyn Provider>,
    /// How long a session has for its answer once `max_time_s` is reached; in whole seconds.
    pub answer_grace: AnswerGrace,
    /// The catalog entries that every organization sees.
    pub built_in: Arc<BuiltIn>,
    /// How long an environment that can wait for its session stays open without use.
    pub parking_ttl: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers_max: 1_024,
            limits: Limits { concurrent: 64, queued: 100 },
            client_wait: Duration::from_hours(24),
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            drain_grace: Duration::from_secs(5),
            environments: Arc::new(Hosting::default()),
            answer_grace: AnswerGrace::default(),
            built_in: Arc::new(BuiltIn::default()),
            parking_ttl: Duration::from_mins(10),
        }
    }
}
