//! Who watches which session, and what they are told.
//!
//! Each watched session has one channel that holds its latest [`Snapshot`]. A session is in the map while
//! somebody holds a [`Watch`] on it: a waiter, or the worker that runs it.

use crate::latest::Latest;
use quarterdeck_api::SessionId;
use quarterdeck_core::{LoggedEvent, Session, Transition};
use quarterdeck_store::{CommitLease, Lease, Owner, StoredSession};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Events kept in memory for each watched session; older ones are read from the store.
const TAIL_EVENTS: usize = 256;
/// Bytes of them.
const TAIL_BYTES: usize = 256 * 1024;
/// Locks; sessions are spread over them.
const SHARDS: usize = 64;

/// A session as of one commit.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) session: Arc<Session>,
    pub(crate) owner: Owner,
    /// The newest events, up to the end of the log; may be empty.
    tail: Arc<Vec<LoggedEvent>>,
}

impl Snapshot {
    pub(crate) fn stored(stored: StoredSession) -> Self {
        Self { session: Arc::new(stored.session), owner: stored.owner, tail: Arc::new(Vec::new()) }
    }

    /// What a commit made of `before`.
    pub(crate) fn committed(before: Option<&Self>, transition: Transition, owner: Owner) -> Self {
        let first = transition.session.log_length - transition.events.len() as u64;
        let known = before.filter(|before| before.tail_end() == first).map(|before| &before.tail[..]);
        let tail = join_tail(known.unwrap_or_default(), &transition.events);
        Self { session: Arc::new(transition.session), owner, tail: Arc::new(tail) }
    }

    fn tail_end(&self) -> u64 {
        self.tail.last().map_or(self.session.log_length, |event| event.index + 1)
    }

    /// The events from `from` to the end, if they are in memory.
    pub(crate) fn events_from(&self, from: u64) -> Option<&[LoggedEvent]> {
        if from >= self.session.log_length {
            return Some(&[]);
        }
        let first = self.tail.first()?.index;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        self.tail.get(skip..)
    }

    pub(crate) fn is_held_by(&self, lease: Lease) -> bool {
        self.owner == Owner { replica: Some(lease.replica), epoch: lease.epoch }
    }
}

fn join_tail(known: &[LoggedEvent], new: &[LoggedEvent]) -> Vec<LoggedEvent> {
    let mut bytes = 0;
    let newest = new.iter().rev().chain(known.iter().rev()).take(TAIL_EVENTS).take_while(|event| {
        bytes += event.json.get().len();
        bytes <= TAIL_BYTES
    });
    let mut tail: Vec<_> = newest.cloned().collect();
    tail.reverse();
    tail
}

/// Who owns a session after a commit.
pub(crate) fn owner_after(before: Owner, lease: CommitLease) -> Owner {
    match lease {
        CommitLease::Leave | CommitLease::Hold(_) => before,
        CommitLease::Release(_) => Owner { replica: None, epoch: before.epoch },
        CommitLease::Take(replica) => Owner { replica: Some(replica), epoch: before.epoch + 1 },
    }
}

/// What is known of a watched session.
///
/// Invariant: what was read or decided before a [`Notifier::forget`] never comes back after it.
#[derive(Clone, Debug, Default)]
struct Known {
    snapshot: Option<Snapshot>,
    /// The version it had when it was last forgotten.
    floor: u64,
    times_forgotten: u64,
}

impl Known {
    fn forgotten(&self) -> Self {
        let version = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.session.version);
        Self { snapshot: None, floor: self.floor.max(version), times_forgotten: self.times_forgotten + 1 }
    }

    /// With `next`, if that is newer than version `than` and than what is known.
    fn replaced(&self, next: Snapshot, than: Option<u64>) -> Option<Self> {
        let newest = self.snapshot.as_ref().map(|known| known.session.version).max(than);
        (newest < Some(next.session.version)).then(|| Self { snapshot: Some(next), ..*self })
    }
}

/// Marks a moment before a read, see [`Notifier::publish_read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(Option<u64>);

type Channel = Latest<Known>;
type Shard = HashMap<SessionId, Watched>;

/// A session that somebody watches. Counted under the shard's lock, so that the last watch takes it out whoever else
/// holds the channel at that moment.
#[derive(Debug)]
struct Watched {
    channel: Arc<Channel>,
    watches: usize,
}

/// The channels of all watched sessions.
#[derive(Debug)]
pub(crate) struct Notifier {
    shards: Vec<Mutex<Shard>>,
}

impl Notifier {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() })
    }

    /// Watches a session: from now on, every commit on it is seen.
    pub(crate) fn watch(self: &Arc<Self>, id: SessionId) -> Watch {
        let mut shard = self.shard(id);
        let new = || Watched { channel: Arc::new(Latest::new(Known::default())), watches: 0 };
        let watched = shard.entry(id).or_insert_with(new);
        watched.watches += 1;
        let channel = Arc::clone(&watched.channel);
        drop(shard);
        let (_, seen) = channel.get_counted();
        Watch { id, seen, channel, notifier: Arc::clone(self) }
    }

    /// The latest snapshot of a watched session.
    pub(crate) fn snapshot(&self, id: SessionId) -> Option<Snapshot> {
        self.channel(id)?.get().snapshot
    }

    /// Tells the watchers of a session of a commit; nobody else hears it.
    pub(crate) fn publish(&self, id: SessionId, make: impl FnOnce(Option<&Snapshot>) -> Snapshot) {
        let Some(channel) = self.channel(id) else { return };
        channel.set_if(|known| {
            let next = make(known.snapshot.as_ref());
            known.replaced(next, Some(known.floor))
        });
    }

    /// To be taken before a session is read.
    pub(crate) fn mark(&self, id: SessionId) -> Mark {
        Mark(self.channel(id).map(|channel| channel.get().times_forgotten))
    }

    /// Tells the watchers what was read after `mark`. False when the session was forgotten in between: its owner may be
    /// another one by now, so it has to be read again.
    pub(crate) fn publish_read(&self, id: SessionId, mark: Mark, snapshot: &Snapshot) -> bool {
        let Some(channel) = self.channel(id) else { return true };
        let mut current = true;
        channel.set_if(|known| {
            // Not watched when it was marked: then nothing older can be known now either.
            current = mark.0.unwrap_or(0) == known.times_forgotten;
            let next = known.replaced(snapshot.clone(), known.floor.checked_sub(1));
            next.filter(|_| current)
        });
        current
    }

    /// Drops what is known of a session; it is read again when needed.
    pub(crate) fn forget(&self, id: SessionId) {
        if let Some(channel) = self.channel(id) {
            channel.set_if(|known| Some(known.forgotten()));
        }
    }

    fn channel(&self, id: SessionId) -> Option<Arc<Channel>> {
        self.shard(id).get(&id).map(|watched| Arc::clone(&watched.channel))
    }

    pub(crate) fn is_watched(&self, id: SessionId) -> bool {
        self.shard(id).contains_key(&id)
    }

    /// All watched sessions, in an order that does not depend on where they are kept.
    pub(crate) fn watched(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> =
            self.shards.iter().flat_map(|shard| lock(shard).keys().copied().collect::<Vec<_>>()).collect();
        ids.sort_unstable_by_key(|id| id.0);
        ids
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        // The last bytes of an id are random.
        lock(&self.shards[usize::from(id.0.as_bytes()[15]) % SHARDS])
    }
}

/// No code panics while it holds the lock, and a map has no half-made state.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody's interest in a session.
pub(crate) struct Watch {
    id: SessionId,
    /// How many changes it has seen.
    seen: u64,
    channel: Arc<Channel>,
    notifier: Arc<Notifier>,
}

impl Watch {
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.channel.get().snapshot
    }

    /// The latest snapshot; [`Self::changed`] waits for a newer one from here on.
    pub(crate) fn snapshot_and_update(&mut self) -> Option<Snapshot> {
        let (known, seen) = self.channel.get_counted();
        self.seen = seen;
        known.snapshot
    }

    pub(crate) async fn changed(&mut self) {
        self.seen = self.channel.changed_since(self.seen).await;
    }

    /// Waits until the snapshot satisfies `predicate`; a forgotten one does.
    pub(crate) async fn wait_for(&self, predicate: impl Fn(&Snapshot) -> bool) {
        self.channel.wait_for(|known| known.snapshot.as_ref().is_none_or(&predicate)).await;
    }

    pub(crate) fn again(&self) -> Self {
        self.notifier.watch(self.id)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut shard = self.notifier.shard(self.id);
        if let Entry::Occupied(mut watched) = shard.entry(self.id) {
            watched.get_mut().watches -= 1;
            if watched.get().watches == 0 {
                watched.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
