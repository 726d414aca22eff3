//! Group commit: writes that wait at the same time share one transaction.
//!
//! One task owns the writing connection. It takes everything that waits, applies it in one transaction, and
//! answers each writer only when the transaction is durable. A write that the database refuses is tried alone,
//! so that it cannot take others down with it.
//!
//! Invariant: a write is answered with success only after it is durable, and with failure only when it was not
//! applied or nobody can know. After a lost connection the log itself tells what was applied (`landed`).

use crate::{Admission, Commit, CommitSlot, Creation, Error, NewSession, Queued, Refusal, rows};
use async_trait::async_trait;
use quarterdeck_api::SessionId;
use quarterdeck_core::Transition;
use std::{collections::HashSet, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// Writes in one transaction, at most.
const BATCH_MAX: usize = 256;
/// Bytes in one transaction, about, unless one write alone has more: what does not fit in one message to the database
/// would never be written.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// Writes that may wait; beyond that the store is overloaded.
const QUEUE_CAPACITY: usize = 4_096;
/// How long a write may wait for its database before it fails.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long its writer waits beyond that: what is being written at the deadline may still be known a moment later.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a transaction may take before its connection is given up.
const APPLY_TIMEOUT: Duration = Duration::from_secs(4);
/// Pause between tries while the database is away.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Something to write.
pub(crate) enum Write {
    Create(Box<NewSession>),
    Commit(Box<Commit>),
}

/// What became of a write that the database took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Applied,
    /// Created, as [`Queued`] says.
    Queued,
    Refused(Refusal),
    Conflict,
    Replayed(String),
    KeyReused,
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Queued => "queued",
            Self::Refused(_) => "refused",
            Self::Conflict => "conflict",
            Self::Replayed(_) => "replayed",
            Self::KeyReused => "key_reused",
        }
    }
}

/// What became of a write whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    As(Verdict),
    /// It did not arrive, up to now.
    Nowhere,
    /// Nobody can tell any more.
    Unknown,
}

/// The engine's half: transactions.
#[async_trait]
pub(crate) trait BatchWriter: Send + 'static {
    /// Applies the writes in one transaction; one verdict each, in order. On an error nothing was applied,
    /// unless the connection was lost while committing.
    async fn apply(&mut self, writes: &[&Write]) -> Result<Vec<Verdict>, Error>;

    /// What `write` turned into, by what the log holds.
    async fn landed(&mut self, write: &Write) -> Result<Landed, Error>;

    /// Gives up the connection; the next call makes a new one.
    fn disconnect(&mut self);
}

struct Job {
    write: Write,
    weight: usize,
    deadline: Instant,
    /// It was sent before, and what became of it is not known for sure: a database that was frozen may still take it.
    is_uncertain: bool,
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
            Verdict::Queued => Ok(Creation::Queued),
            Verdict::Refused(refusal) => Err(Error::Refused(refusal)),
            Verdict::Replayed(response) => Ok(Creation::Replayed(response)),
            Verdict::KeyReused => Ok(Creation::KeyReused),
            Verdict::Conflict => Err(Error::Conflict(id)),
        }
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let id = commit.transition.session.id;
        match self.write(Write::Commit(Box::new(commit))).await? {
            Verdict::Applied => Ok(()),
            Verdict::Refused(refusal) => Err(Error::Refused(refusal)),
            Verdict::Queued | Verdict::Conflict | Verdict::Replayed(_) | Verdict::KeyReused => Err(Error::Conflict(id)),
        }
    }

    async fn write(&self, write: Write) -> Result<Verdict, Error> {
        let (done, answer) = oneshot::channel();
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let job = Job { weight: write.weight(), write, deadline, is_uncertain: false, done };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        match tokio::time::timeout_at(deadline + ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|_| closed())?,
            Err(_) => Err(too_late()),
        }
    }

    /// Commits what waits and ends the task.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            drop(task.await);
        }
    }
}

fn too_late() -> Error {
    Error::Unavailable("the database did not take the commit in time".into())
}

/// To decide anew could store a message twice.
fn nobody_knows() -> Error {
    Error::Unavailable("the answer to a commit was lost, and it cannot be told any more whether it was taken".into())
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

/// Takes what waits, as far as it fits, at most one write a session (the second was decided on what the first replaces,
/// or waits for its idempotency key).
fn next_batch(deferred: Vec<Job>, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Vec<Job>) {
    let room = BATCH_MAX.saturating_sub(deferred.len());
    let waiting = std::iter::from_fn(|| jobs.try_recv().ok());
    let mut seen = HashSet::new();
    let mut keys = HashSet::new();
    let mut bytes = 0;
    deferred.into_iter().chain(waiting.take(room)).partition(|job| {
        let is_first = bytes == 0;
        bytes += job.weight;
        (is_first || bytes <= BATCH_BYTES)
            && seen.insert(job.write.session())
            && job.write.key().is_none_or(|key| keys.insert(key.to_owned()))
    })
}

async fn commit_batch(writer: &mut impl BatchWriter, mut batch: Vec<Job>) {
    loop {
        batch = without_expired(batch);
        if batch.is_empty() {
            return;
        }
        match apply(writer, &batch).await {
            Ok(verdicts) => return answer(writer, batch, verdicts).await,
            Err(error @ (Error::Unavailable(_) | Error::DiskFull(_))) => {
                tracing::warn!(%error, count = batch.len(), "the database did not take a commit");
                writer.disconnect();
                batch = after_failure(writer, batch, &error).await;
            }
            Err(error) if batch.len() == 1 => return fail(writer, batch, error).await,
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
    let begun = Instant::now();
    let verdicts = match tokio::time::timeout(APPLY_TIMEOUT, writer.apply(&batch)).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::late()),
    };
    metrics::histogram!("quarterdeck_store_batch_seconds").record(begun.elapsed());
    metrics::histogram!("quarterdeck_store_batch_writes").record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
    for verdict in &verdicts {
        metrics::counter!("quarterdeck_store_writes_total", "outcome" => verdict.name()).increment(1);
    }
    Ok(verdicts)
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
    tokio::time::sleep(RETRY_INTERVAL).await;
    let mut left = Vec::new();
    let mut is_away = false;
    for job in batch {
        // Asked for each, a database that is away would hold the last one up for minutes.
        match if is_away { None } else { ask_landed(writer, &job.write).await } {
            Some(Landed::As(verdict)) => job.answer(Ok(verdict)),
            Some(Landed::Unknown) => job.answer(Err(nobody_knows())),
            Some(Landed::Nowhere) => left.push(job.uncertain()),
            None => {
                is_away = true;
                left.push(job.uncertain());
            }
        }
    }
    left
}

/// What became of a write. None: the database does not say.
async fn ask_landed(writer: &mut impl BatchWriter, write: &Write) -> Option<Landed> {
    let told = tokio::time::timeout(APPLY_TIMEOUT, writer.landed(write)).await;
    let landed = told.ok().and_then(Result::ok);
    if landed.is_none() {
        writer.disconnect();
    }
    landed
}

fn without_expired(batch: Vec<Job>) -> Vec<Job> {
    let now = Instant::now();
    let (expired, live): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.deadline <= now);
    for job in expired {
        job.answer(Err(too_late()));
    }
    live
}

/// A write that was sent twice may be in its own way: the first try arrived after all, after it was asked for.
async fn answer(writer: &mut impl BatchWriter, batch: Vec<Job>, verdicts: Vec<Verdict>) {
    for (job, verdict) in batch.into_iter().zip(verdicts) {
        let earlier = if verdict == Verdict::Applied { None } else { earlier_try(writer, &job).await };
        job.answer(earlier.unwrap_or(Ok(verdict)));
    }
}

async fn fail(writer: &mut impl BatchWriter, batch: Vec<Job>, error: Error) {
    let mut error = Some(error);
    for job in batch {
        let earlier = earlier_try(writer, &job).await;
        job.answer(earlier.unwrap_or_else(|| Err(error.take().unwrap_or_else(closed))));
    }
}

/// What an earlier try without an answer came to, if it came through or may have.
async fn earlier_try(writer: &mut impl BatchWriter, job: &Job) -> Option<Result<Verdict, Error>> {
    if !job.is_uncertain {
        return None;
    }
    match ask_landed(writer, &job.write).await? {
        Landed::As(verdict) => Some(Ok(verdict)),
        Landed::Unknown => Some(Err(nobody_knows())),
        Landed::Nowhere => None,
    }
}

impl Job {
    fn uncertain(self) -> Self {
        Self { is_uncertain: true, ..self }
    }

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

    /// About how many bytes it writes.
    fn weight(&self) -> usize {
        let transition = self.transition();
        let request = match self {
            Self::Create(new) => rows::length(&*new.request),
            Self::Commit(_) => 0,
        };
        let events = transition.events.iter().map(|event| event.json.get().len());
        let messages = transition.accepted.iter().map(|(_, message)| message.weight());
        events.chain(messages).sum::<usize>() + request
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.key().is_some()
    }

    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Create(new) => new.idempotency.as_ref().map(|idempotency| idempotency.key.as_str()),
            Self::Commit(_) => None,
        }
    }

    /// What it writes, unless it is queued.
    pub(crate) fn transition(&self) -> &Transition {
        match self {
            Self::Create(new) => &new.transition,
            Self::Commit(commit) => &commit.transition,
        }
    }

    /// What it writes when there is no slot.
    pub(crate) fn queued(&self) -> Option<&Queued> {
        match self {
            Self::Create(new) => match &new.admission {
                Admission::Asked { queued, .. } => queued.as_deref(),
                Admission::Granted => None,
            },
            Self::Commit(_) => None,
        }
    }

    /// What it writes, this being the verdict.
    pub(crate) fn outcome(&self, verdict: &Verdict) -> Option<&Transition> {
        match verdict {
            Verdict::Applied => Some(self.transition()),
            Verdict::Queued => self.queued().map(|queued| &queued.transition),
            Verdict::Refused(_) | Verdict::Conflict | Verdict::Replayed(_) | Verdict::KeyReused => None,
        }
    }

    /// Whether it needs a free slot.
    pub(crate) fn asks(&self) -> bool {
        match self {
            Self::Create(new) => matches!(new.admission, Admission::Asked { .. }),
            Self::Commit(commit) => commit.slot != CommitSlot::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
