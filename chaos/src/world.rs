//! What all parts of a run share: the servers, the model, the time, and what went wrong.

use crate::{database::Store, model::Model, server::Server};
use anyhow::{Result, bail};
use hyper::Method;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// What a run is made of.
pub(crate) struct World {
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) store: Store,
    pub(crate) model: Model,
    pub(crate) history: History,
    pub(crate) folder: PathBuf,
    pub(crate) counts: Counts,
    violations: Mutex<Vec<String>>,
    /// When all has to be over; none while things are being broken.
    deadline: watch::Sender<Option<Instant>>,
    /// When the database came back, until it is seen to work.
    database_back: Mutex<Option<Instant>>,
}

/// What is counted while it happens.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) faults: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) retries: AtomicU64,
    pub(crate) turns: AtomicU64,
    /// From the end of a fault of the database to the first write that was acknowledged.
    pub(crate) recoveries: Mutex<Vec<Duration>>,
}

impl World {
    pub(crate) fn new(servers: Vec<Arc<Server>>, store: Store, model: Model, folder: &Path) -> Result<Self> {
        Ok(Self {
            servers,
            store,
            model,
            history: History::create(&folder.join("history.tsv"))?,
            folder: folder.to_owned(),
            counts: Counts::default(),
            violations: Mutex::default(),
            deadline: watch::Sender::new(None),
            database_back: Mutex::default(),
        })
    }

    /// A promise that was broken.
    pub(crate) fn violation(&self, text: String) {
        self.history.note(&format!("VIOLATION {text}"));
        lock(&self.violations).push(text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    /// Whether new sessions may still begin.
    pub(crate) fn is_stormy(&self) -> bool {
        self.deadline.borrow().is_none()
    }

    /// Nothing is broken any more: what has begun has to end within this time.
    pub(crate) fn calm_down(&self, patience: Duration) {
        self.deadline.send_replace(Some(Instant::now() + patience));
    }

    /// How long something may still take.
    ///
    /// # Errors
    /// When it should be over.
    pub(crate) fn check_time(&self, what: &str) -> Result<()> {
        match *self.deadline.borrow() {
            Some(deadline) if Instant::now() > deadline => bail!("not over long after the last fault: {what}"),
            Some(_) | None => Ok(()),
        }
    }

    /// The database is as it should be again.
    pub(crate) fn database_is_back(&self) {
        *lock(&self.database_back) = Some(Instant::now());
    }

    /// Something was written.
    pub(crate) fn database_works(&self) {
        if let Some(back) = lock(&self.database_back).take() {
            lock(&self.counts.recoveries).push(back.elapsed());
        }
    }

    pub(crate) fn count_fault(&self, name: &'static str) {
        *lock(&self.counts.faults).entry(name).or_default() += 1;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every call and every fault, in the order they ended: milliseconds, then what.
pub(crate) struct History {
    started: Instant,
    file: Mutex<BufWriter<File>>,
}

impl History {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { started: Instant::now(), file: Mutex::new(BufWriter::new(File::create(path)?)) })
    }

    pub(crate) fn call(&self, started: Instant, server: usize, method: &Method, path: &str, said: &str) {
        let from = started.duration_since(self.started).as_millis();
        self.note(&format!("{from}\tserver {server}\t{method} {path}\t{said}"));
    }

    pub(crate) fn note(&self, text: &str) {
        let now = self.started.elapsed().as_millis();
        let mut file = lock(&self.file);
        let _ = writeln!(file, "{now}\t{text}"); // a history that cannot be kept must not end the run
        if text.starts_with("VIOLATION") {
            let _ = file.flush();
        }
    }

    pub(crate) fn flush(&self) {
        let _ = lock(&self.file).flush();
    }
}
