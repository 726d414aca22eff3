//! An environment whose calls do what a test wants.

use async_trait::async_trait;
use quarterdeck_api::{Environment as Spec, EnvironmentKind, JsonObject};
use quarterdeck_environments::{
    CallError, Environment, Observation, OpenContext, OpenError, Output, Provider, Refused, Tool,
};
use std::{fmt, sync::Arc};
use tokio::sync::{Barrier, Semaphore, watch};

/// How opening goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Opening {
    Works,
    Fails,
    Hangs,
    Refused,
}

/// What its environments share.
pub(crate) struct FakeProvider {
    opening: Opening,
    counts: Arc<Counts>,
}

struct Counts {
    barrier: Barrier,
    gate: Semaphore,
    opening: watch::Sender<usize>,
    opened: watch::Sender<usize>,
    closed: watch::Sender<usize>,
    begun: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
}

impl FakeProvider {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Opening::Works, 1)
    }

    /// `gather` returns once so many calls of it run.
    pub(crate) fn gathering(calls: usize) -> Arc<Self> {
        Self::with(Opening::Works, calls)
    }

    pub(crate) fn broken() -> Arc<Self> {
        Self::with(Opening::Fails, 1)
    }

    pub(crate) fn slow_to_open() -> Arc<Self> {
        Self::with(Opening::Hangs, 1)
    }

    pub(crate) fn refusing() -> Arc<Self> {
        Self::with(Opening::Refused, 1)
    }

    fn with(opening: Opening, calls: usize) -> Arc<Self> {
        let count = || watch::Sender::new(0);
        let (barrier, gate) = (Barrier::new(calls), Semaphore::new(0));
        let counts = Counts {
            barrier,
            gate,
            opening: count(),
            opened: count(),
            closed: count(),
            begun: count(),
            dropped: count(),
        };
        Arc::new(Self { opening, counts: Arc::new(counts) })
    }

    /// Lets one call of `gated` return.
    pub(crate) fn open_gate(&self) {
        self.counts.gate.add_permits(1);
    }

    pub(crate) fn calls(&self) -> usize {
        *self.counts.begun.borrow()
    }

    pub(crate) fn dropped(&self) -> usize {
        *self.counts.dropped.borrow()
    }

    pub(crate) fn opened(&self) -> usize {
        *self.counts.opened.borrow()
    }

    pub(crate) async fn begun(&self, count: usize) {
        reached(&self.counts.begun, count).await;
    }

    pub(crate) async fn until_opening(&self, count: usize) {
        reached(&self.counts.opening, count).await;
    }

    pub(crate) async fn until_dropped(&self, count: usize) {
        reached(&self.counts.dropped, count).await;
    }

    pub(crate) async fn until_closed(&self, count: usize) {
        reached(&self.counts.closed, count).await;
    }
}

async fn reached(counter: &watch::Sender<usize>, count: usize) {
    counter.subscribe().wait_for(|now| *now >= count).await.unwrap();
}

fn count(counter: &watch::Sender<usize>) {
    counter.send_modify(|now| *now += 1);
}

impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeProvider({:?})", self.opening)
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn check(&self, spec: &Spec) -> Result<(), Refused> {
        match self.opening {
            Opening::Refused => Err(Refused::NotPublic(format!("no {:?} here", spec.kind()))),
            Opening::Works | Opening::Fails | Opening::Hangs => Ok(()),
        }
    }

    async fn open(&self, _spec: &Spec, _context: &OpenContext) -> Result<Box<dyn Environment>, OpenError> {
        count(&self.counts.opening);
        let mut unfinished = Unfinished { counts: &self.counts, finished: false };
        match self.opening {
            Opening::Fails => {
                unfinished.finished = true;
                return Err(OpenError("the box is shut".into()));
            }
            Opening::Hangs => std::future::pending().await,
            Opening::Works | Opening::Refused => {}
        }
        unfinished.finished = true;
        count(&self.counts.opened);
        Ok(Box::new(Fake(Arc::clone(&self.counts))))
    }
}

struct Fake(Arc<Counts>);

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

/// Counts what is dropped before its end.
struct Unfinished<'a> {
    counts: &'a Counts,
    finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            count(&self.counts.dropped);
        }
    }
}

#[async_trait]
impl Environment for Fake {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Memory
    }

    async fn opening(&self) -> Option<Observation> {
        Some(Observation::of_text("memory", "Here I am."))
    }

    async fn tools(&self) -> Vec<Tool> {
        let tool =
            |name: &str| Tool { name: name.into(), description: "A tool.".into(), input_schema: JsonObject::new() };
        ["quick", "gather", "gated"].map(tool).to_vec()
    }

    async fn call(&self, tool: &str, _arguments: &JsonObject) -> Result<Output, CallError> {
        let mut unfinished = Unfinished { counts: &self.0, finished: false };
        count(&self.0.begun);
        match tool {
            "gather" => {
                self.0.barrier.wait().await;
            }
            "gated" => self.0.gate.acquire().await.unwrap().forget(),
            _ => {}
        }
        unfinished.finished = true;
        Ok(Output::of("done"))
    }

    async fn close(&self) {
        count(&self.0.closed);
    }
}
