//! An environment whose calls do what a test wants.

use async_trait::async_trait;
use quarterdeck_api::{Environment as Spec, EnvironmentKind, JsonObject};
use quarterdeck_environments::{
    CallError, CallOrder, Environment, FileBytes, Observation, OpenContext, OpenError, Output, OutputFile, Parking,
    Picture, Provider, Refused, Tool,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
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
    /// Whether they are like a browser: seen by pictures, called in turn, kept while their session waits.
    is_browser: bool,
    counts: Arc<Counts>,
    contexts: Mutex<Vec<OpenContext>>,
}

struct Counts {
    barrier: Barrier,
    gate: Semaphore,
    opening: watch::Sender<usize>,
    opened: watch::Sender<usize>,
    closed: watch::Sender<usize>,
    begun: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
    overlaps: watch::Sender<usize>,
    looks: watch::Sender<usize>,
}

impl FakeProvider {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Opening::Works, 1)
    }

    /// `gather` returns once so many calls of it run.
    pub(crate) fn gathering(calls: usize) -> Arc<Self> {
        Self::with(Opening::Works, calls)
    }

    pub(crate) fn browser() -> Arc<Self> {
        Arc::new(Self { is_browser: true, ..Self::made(Opening::Works, 1) })
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
        Arc::new(Self::made(opening, calls))
    }

    fn made(opening: Opening, calls: usize) -> Self {
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
            overlaps: count(),
            looks: count(),
        };
        Self { opening, is_browser: false, counts: Arc::new(counts), contexts: Mutex::default() }
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

    /// Calls that began while another one of the same environment ran.
    pub(crate) fn overlaps(&self) -> usize {
        *self.counts.overlaps.borrow()
    }

    pub(crate) fn looks(&self) -> usize {
        *self.counts.looks.borrow()
    }

    /// What the environments were told of their session when they were opened, in order.
    pub(crate) fn contexts(&self) -> Vec<OpenContext> {
        self.contexts.lock().unwrap().clone()
    }

    pub(crate) fn closed(&self) -> usize {
        *self.counts.closed.borrow()
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

    async fn open(&self, _spec: &Spec, context: &OpenContext) -> Result<Box<dyn Environment>, OpenError> {
        count(&self.counts.opening);
        self.contexts.lock().unwrap().push(context.clone());
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
        let counts = Arc::clone(&self.counts);
        Ok(Box::new(Fake { counts, is_browser: self.is_browser, running: AtomicUsize::new(0) }))
    }
}

struct Fake {
    counts: Arc<Counts>,
    is_browser: bool,
    running: AtomicUsize,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

/// A picture of 60 kB.
fn picture(source: &str) -> Observation {
    let picture = Picture { bytes: vec![0xFF; 60_000].into(), media_type: "image/jpeg".into() };
    Observation { source: source.into(), images: vec![picture], ..Observation::default() }
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
        if self.is_browser { EnvironmentKind::Web } else { EnvironmentKind::Memory }
    }

    fn order(&self) -> CallOrder {
        if self.is_browser { CallOrder::InTurn } else { CallOrder::AtOnce }
    }

    fn starts(&self) -> u32 {
        u32::from(self.is_browser)
    }

    fn parking(&self) -> Parking {
        if self.is_browser { Parking::Keep } else { Parking::Close }
    }

    async fn opening(&self) -> Option<Observation> {
        Some(Observation::of_text("memory", "Here I am."))
    }

    async fn tools(&self) -> Vec<Tool> {
        let tool =
            |name: &str| Tool { name: name.into(), description: "A tool.".into(), input_schema: JsonObject::new() };
        ["quick", "gather", "gated", "download", "picture"].map(tool).to_vec()
    }

    async fn call(&self, tool: &str, _arguments: &JsonObject) -> Result<Output, CallError> {
        let mut unfinished = Unfinished { counts: &self.counts, finished: false };
        count(&self.counts.begun);
        if self.running.fetch_add(1, Ordering::Relaxed) > 0 {
            count(&self.counts.overlaps);
        }
        match tool {
            "gather" => {
                self.counts.barrier.wait().await;
            }
            "gated" => self.counts.gate.acquire().await.unwrap().forget(),
            // Others get a chance to run meanwhile.
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
        unfinished.finished = true;
        self.running.fetch_sub(1, Ordering::Relaxed);
        let output = Output::of("done");
        Ok(match tool {
            "download" => {
                let content = FileBytes::Memory("%PDF".into());
                Output { files: vec![OutputFile { name: "bill.pdf".into(), media_type: None, content }], ..output }
            }
            "picture" => Output { observations: vec![picture("tool")], ..output },
            _ => output,
        })
    }

    async fn look(&self) -> Option<Observation> {
        if !self.is_browser {
            return None;
        }
        count(&self.counts.looks);
        Some(picture("web"))
    }

    async fn close(&self) {
        count(&self.counts.closed);
    }
}
