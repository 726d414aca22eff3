//! Group commit: writes that wait at the same time share one transaction.
//!
//! One task owns the writing connection. It takes everything that waits, applies it in one transaction, and
//! answers each writer only when the transaction is durable. A write that the database refuses is tried alone,
//! so that it cannot take others down with it.
//!
//! Invariant: a write is answered with success only after it is durable, and with failure only when it was not
//! applied or nobody can know. After a lost connection the log itself tells what was applied (`landed`).

use crate::{Commit, Creation, Error, NewSession};
use async_trait::async_trait;
use quarterdeck_api::SessionId;
use std::{collections::HashSet, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// Writes in one transaction, at most.
const BATCH_MAX: usize = 256;
/// Writes that may wait; beyond that the store is overloaded.
const QUEUE_CAPACITY: usize = 4_096;
/// How long a write may wait for its database before it fails.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a transaction may take before its connection is given up.
const APPLY_PATIENCE: Duration = Duration::from_secs(4);
/// Pause between tries while the database is away.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Something to write.
pub(crate) enum Write {
    Create(Box<NewSession>),
    Commit(Box<Commit>),
}

/// What became of a write that the database took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Applied,
    Conflict,
    Replayed(String),
    KeyReused,
}

/// The engine's half: transactions.
#[async_trait]
pub(crate) trait BatchWriter: Send + 'static {
    /// Applies the writes in one transaction; one verdict each, in order. On an error nothing was applied,
    /// unless the connection was lost while committing.
    async fn apply(&mut self, writes: &[&Write]) -> Result<Vec<Verdict>, Error>;

    /// Whether the log holds what `write` would have put there.
    async fn landed(&mut self, write: &Write) -> Result<bool, Error>;

    /// Gives up the connection; the next call makes a new one.
    fn disconnect(&mut self);
}

struct Job {
    write: Write,
    deadline: Instant,
    done: oneshot::Sender<Result<Verdict, Error>>,
}

/// The handle that writers hold.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Job>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    closing: tokio::sync::watch::Sender<bool>,
}

impl Committer {
    pub(crate) fn start(writer: impl BatchWriter) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_CAPACITY);
        let (closing, closed) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(run(writer, jobs, closed));
        Self { queue, task: tokio::sync::Mutex::new(Some(task)), closing }
    }

    pub(crate) async fn create(&self, session: NewSession) -> Result<Creation, Error> {
        let id = session.transition.session.id;
        match self.write(Write::Create(Box::new(session))).await? {
            Verdict::Applied => Ok(Creation::Created),
            Verdict::Replayed(response) => Ok(Creation::Replayed(response)),
            Verdict::KeyReused => Ok(Creation::KeyReused),
            Verdict::Conflict => Err(Error::Conflict(id)),
        }
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let id = commit.transition.session.id;
        match self.write(Write::Commit(Box::new(commit))).await? {
            Verdict::Applied => Ok(()),
            Verdict::Conflict | Verdict::Replayed(_) | Verdict::KeyReused => Err(Error::Conflict(id)),
        }
    }

    async fn write(&self, write: Write) -> Result<Verdict, Error> {
        let (done, answer) = oneshot::channel();
        let job = Job { write, deadline: Instant::now() + WRITE_PATIENCE, done };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        answer.await.map_err(|_| closed())?
    }

    /// Commits what waits and ends the task.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            drop(task.await);
        }
    }
}

fn closed() -> Error {
    Error::Unavailable("the store is closed".into())
}

async fn run(
    mut writer: impl BatchWriter,
    mut jobs: mpsc::Receiver<Job>,
    mut closing: tokio::sync::watch::Receiver<bool>,
) {
    let mut deferred = Vec::new();
    loop {
        if deferred.is_empty() {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => deferred.push(job),
                    None => return,
                },
                _ = closing.wait_for(|closing| *closing) => jobs.close(),
            }
        }
        if deferred.is_empty() {
            if jobs.is_closed() && jobs.is_empty() {
                return;
            }
            continue;
        }
        let (batch, later) = next_batch(deferred, &mut jobs);
        deferred = later;
        commit_batch(&mut writer, batch).await;
    }
}

/// Takes what waits, at most one write a session (the second was decided on what the first replaces, or waits
/// for its idempotency key).
fn next_batch(deferred: Vec<Job>, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Vec<Job>) {
    let room = BATCH_MAX.saturating_sub(deferred.len());
    let waiting = std::iter::from_fn(|| jobs.try_recv().ok());
    let mut seen = HashSet::new();
    let mut keys = HashSet::new();
    deferred.into_iter().chain(waiting.take(room)).partition(|job| {
        seen.insert(job.write.session()) && job.write.key().is_none_or(|key| keys.insert(key.to_owned()))
    })
}

async fn commit_batch(writer: &mut impl BatchWriter, mut batch: Vec<Job>) {
    loop {
        batch = without_expired(batch);
        if batch.is_empty() {
            return;
        }
        match apply(writer, &batch).await {
            Ok(verdicts) => return answer(batch, verdicts),
            Err(error @ (Error::Unavailable(_) | Error::DiskFull(_))) => {
                tracing::warn!(%error, count = batch.len(), "the database did not take a commit");
                writer.disconnect();
                batch = after_failure(writer, batch, &error).await;
            }
            Err(error) if batch.len() == 1 => return fail(batch, error),
            Err(error) => {
                tracing::warn!(%error, count = batch.len(), "the database refused a commit; trying each write alone");
                for job in batch {
                    Box::pin(commit_batch(writer, vec![job])).await;
                }
                return;
            }
        }
    }
}

async fn apply(writer: &mut impl BatchWriter, batch: &[Job]) -> Result<Vec<Verdict>, Error> {
    let batch: Vec<&Write> = batch.iter().map(|job| &job.write).collect();
    match tokio::time::timeout(APPLY_PATIENCE, writer.apply(&batch)).await {
        Ok(result) => result,
        Err(_) => Err(Error::Unavailable("the database did not answer in time".into())),
    }
}

/// Answers what the lost transaction did apply after all, and keeps the rest for another try.
async fn after_failure(writer: &mut impl BatchWriter, batch: Vec<Job>, error: &Error) -> Vec<Job> {
    if let Error::DiskFull(text) = error {
        // Waiting does not make room: say so now.
        for job in batch {
            job.answer(Err(Error::DiskFull(text.clone())));
        }
        return Vec::new();
    }
    tokio::time::sleep(RETRY_PAUSE).await;
    let mut left = Vec::new();
    for job in batch {
        match tokio::time::timeout(APPLY_PATIENCE, writer.landed(&job.write)).await {
            Ok(Ok(true)) => job.answer(Ok(Verdict::Applied)),
            Ok(Ok(false)) => left.push(job),
            Ok(Err(_)) | Err(_) => {
                writer.disconnect();
                left.push(job);
            }
        }
    }
    left
}

fn without_expired(batch: Vec<Job>) -> Vec<Job> {
    let now = Instant::now();
    let (expired, live): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.deadline <= now);
    for job in expired {
        job.answer(Err(Error::Unavailable("the database did not take the commit in time".into())));
    }
    live
}

fn answer(batch: Vec<Job>, verdicts: Vec<Verdict>) {
    for (job, verdict) in batch.into_iter().zip(verdicts) {
        job.answer(Ok(verdict));
    }
}

fn fail(batch: Vec<Job>, error: Error) {
    let mut error = Some(error);
    for job in batch {
        job.answer(Err(error.take().unwrap_or_else(closed)));
    }
}

impl Job {
    /// A writer that no longer waits needs no answer.
    fn answer(self, result: Result<Verdict, Error>) {
        drop(self.done.send(result));
    }
}

impl Write {
    pub(crate) fn session(&self) -> SessionId {
        match self {
            Self::Create(new) => new.transition.session.id,
            Self::Commit(commit) => commit.transition.session.id,
        }
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.key().is_some()
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::Create(new) => new.idempotency.as_ref().map(|idempotency| idempotency.key.as_str()),
            Self::Commit(_) => None,
        }
    }

    pub(crate) fn transition(&self) -> &quarterdeck_core::Transition {
        match self {
            Self::Create(new) => &new.transition,
            Self::Commit(commit) => &commit.transition,
        }
    }
}
