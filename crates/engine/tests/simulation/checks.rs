//! What was promised, held against what happened.

use crate::{
    clients::{Answer, Client, Follower, Order, Wish, rests},
    logs::Log,
    runner::BROKEN,
    world::World,
};
use chrono::TimeDelta;
use quarterdeck_api::{SessionId, Status, UserMessage};
use quarterdeck_core::LoggedEvent;
use quarterdeck_store::{CommitLease, Owner, ReplicaId};
use quarterdeck_test_support::memory_store::{Change, RowState, What};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// How much later than its commit an event may reach somebody who waits for it, when nothing is lost.
const WAKE_MAX: Duration = Duration::from_millis(500);

/// What has not moved for so long, while nothing goes wrong, does not move.
const STILL: Duration = Duration::from_secs(3);

/// How far walls may be from the true time, and a while for a timer to be seen.
const SKEW_AND_POLL: TimeDelta = TimeDelta::seconds(5);

/// What is stored of a session: its log, its inbox, and the log read.
type Kept<'a> = (&'a [LoggedEvent], &'a [UserMessage], &'a Log);

/// Every promise that was broken.
pub(crate) fn all(world: &World, clients: &[Client], orphans: &[SessionId]) -> Vec<String> {
    let (mut faults, mut panics) = (Vec::new(), 0);
    for id in world.session_ids() {
        let history: Vec<Change> =
            world.store.with_journal(|journal| journal.iter().filter(|change| change.session == id).cloned().collect());
        let (events, inbox) = world.store.peek_log(id);
        let log = Log::read(&events);
        let mut found = history_faults(&history);
        found.extend(session_faults(world, id, &history, (&events, &inbox, &log)));
        panics += log.causes().filter(|cause| cause.starts_with("reference ")).count() as u64;
        if world.weather.is_gentle() {
            found.extend(history.iter().filter_map(stolen));
        }
        if orphans.contains(&id) {
            found.extend(orphan_faults(world, &history));
        }
        if let Some(client) = clients.iter().find(|client| client.id == id) {
            found.extend(client_faults(world, client, &history, (&events, &inbox, &log)));
        }
        faults.extend(found.into_iter().map(|fault| format!("{id}: {fault}")));
    }
    faults.extend(clients.iter().flat_map(|client| client.stale.clone()));
    faults.extend(creation_faults(world, clients));
    if panics > world.runner.panics() {
        faults.push(format!("{panics} sessions failed by panics, and agents had {}", world.runner.panics()));
    }
    faults
}

/// Versions and logs grow without gaps, owners act only in their own epochs, and statuses move as they may.
fn history_faults(history: &[Change]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut owners: BTreeMap<i64, ReplicaId> = BTreeMap::new();
    let mut last: Option<RowState> = None;
    for change in history {
        let (before, after) = (change.before, change.after);
        if before != last {
            faults.push(format!("a change began at {before:?}, not at {last:?}"));
        }
        last = Some(after);
        if let Some(before) = before {
            faults.extend(growth_faults(change, before));
        }
        faults.extend(lease_fault(change));
        if let Owner { replica: Some(replica), epoch } = after.owner
            && *owners.entry(epoch).or_insert(replica) != replica
        {
            faults.push(format!("two owners in epoch {epoch}"));
        }
    }
    faults
}

fn growth_faults(change: &Change, before: RowState) -> Vec<String> {
    let (after, (first, count)) = (change.after, change.appended);
    let mut faults = Vec::new();
    if after.version != before.version + 1 {
        faults.push(format!("version {} came after {}", after.version, before.version));
    }
    if first != before.log_length || after.log_length != before.log_length + count {
        let appended = change.appended;
        faults.push(format!("a log of {} became one of {} by {appended:?}", before.log_length, after.log_length));
    }
    if after.owner.epoch < before.owner.epoch {
        faults.push(format!("epoch {} came after {}", after.owner.epoch, before.owner.epoch));
    }
    if before.status != after.status && !may_become(before.status, after.status) {
        faults.push(format!("{:?} became {:?}", before.status, after.status));
    }
    if before.status != after.status && count == 0 {
        faults.push(format!("{:?} became {:?} and no event says so", before.status, after.status));
    }
    faults
}

/// A worker's commit is its owner's, in its epoch; a handler takes only what nobody has.
fn lease_fault(change: &Change) -> Option<String> {
    let before = change.before?.owner;
    let fits = match change.what {
        What::Created | What::Committed(CommitLease::Leave) | What::Retired(_) => true,
        What::Committed(CommitLease::Hold(lease) | CommitLease::Release(lease)) | What::Released(lease) => {
            before == Owner { replica: Some(lease.replica), epoch: lease.epoch }
        }
        What::Committed(CommitLease::Take(_)) => before.replica.is_none(),
        What::Claimed { taken_over, .. } => before.replica.is_some() == taken_over,
    };
    (!fits).then(|| format!("{:?} on a session of {before:?}", change.what))
}

/// Nobody dies in gentle weather, so nobody may be robbed.
fn stolen(change: &Change) -> Option<String> {
    let stolen = matches!(change.what, What::Claimed { taken_over: true, .. });
    stolen.then(|| format!("{:?} from {:?}, who lives", change.what, change.before.map(|before| before.owner)))
}

fn may_become(before: Status, after: Status) -> bool {
    use Status::{AwaitingToolResults, Completed, Failed, Idle, Interrupted, Paused, Pending, Running, TimedOut};
    match before {
        Status::Queued => matches!(after, Pending | Interrupted),
        Pending => matches!(after, Running | Idle | Paused | Failed | Interrupted),
        Running => {
            matches!(after, Idle | AwaitingToolResults | Paused | Completed | Failed | TimedOut | Interrupted)
        }
        Paused => matches!(after, Pending | Running | AwaitingToolResults | Interrupted),
        Idle => matches!(after, Running | Completed | Failed | Interrupted),
        AwaitingToolResults => matches!(after, Running | Paused | Interrupted),
        Completed | Failed | TimedOut => matches!(after, Running | Pending),
        Interrupted => false,
    }
}

/// Where it stands at the end, and what its log says.
fn session_faults(world: &World, id: SessionId, history: &[Change], (events, inbox, log): Kept) -> Vec<String> {
    let Some(stored) = world.store.peek(id) else { return vec!["it is gone".into()] };
    let (session, mut faults) = (stored.session, Vec::new());
    let moves = history.last().is_some_and(|last| Some(last.at + STILL) > world.over_since.get());
    if !moves && !rests(session.state.status()) {
        faults.push(format!("it is {:?} still, and stuck", session.state.status()));
    }
    // One whom nobody needs to look at may keep an owner who does not know of it.
    let due = session.due_at();
    if !moves && due.is_some() && stored.owner.replica.is_some_and(|owner| world.store.lives(owner)) {
        faults.push(format!("{:?} has it still", stored.owner));
    }
    if !moves && due.is_some_and(|due| due + SKEW_AND_POLL < world.time.wall()) {
        faults.push(format!("its timer was due at {due:?}"));
    }
    if events.iter().enumerate().any(|(place, event)| event.index != place as u64) {
        faults.push("its log has gaps".into());
    }
    if events.len() as u64 != session.log_length || inbox.len() as u64 != session.inbox.waiting() {
        faults.push("its row does not fit its log and its inbox".into());
    }
    faults.extend(log.faults());
    for cause in log.causes() {
        let allowed = cause == BROKEN
            || cause.starts_with("reference ")
            || cause == "no message arrived"
            || (cause.contains("servers in a row") && recoveries(history) > 3);
        if !allowed {
            faults.push(format!("it failed: {cause}"));
        }
    }
    faults
}

/// The longest row of takeovers without a step in between.
fn recoveries(history: &[Change]) -> usize {
    let (mut row, mut longest) = (0, 0);
    for change in history {
        if matches!(change.what, What::Claimed { taken_over: true, .. }) {
            row += 1;
        } else if change.before.is_some_and(|before| before.steps < change.after.steps) {
            row = 0;
        }
        longest = longest.max(row);
    }
    longest
}

/// A session whose replica died goes on within the lease and the polls that follow it.
fn orphan_faults(world: &World, history: &[Change]) -> Option<String> {
    let settings = &world.settings;
    let slack = settings.poll_interval * 2 + Duration::from_secs(1);
    let calm = world.calm_at()?;
    let moved = history.iter().find(|change| change.at >= calm);
    let in_time = moved.is_some_and(|change| change.at <= calm + settings.lease + slack);
    // Where all workers are busy a session waits for its turn.
    let busy = settings.workers_max < 3;
    (!in_time && !busy).then(|| "nobody took it over in time".to_owned())
}

fn client_faults(world: &World, client: &Client, history: &[Change], (events, inbox, log): Kept) -> Vec<String> {
    let mut faults: Vec<String> = client
        .orders
        .iter()
        .filter_map(|order| match &order.wish {
            Wish::Say(text) => {
                let waiting = inbox.iter().filter(|message| message.message == *text).count();
                once(order, log.count_messages(text) + waiting)
            }
            Wish::Result(call) => (order.answer == Answer::Yes && log.count_results(call) != 1)
                .then(|| format!("call {call} has {} results", log.count_results(call))),
            Wish::Pause => reached(order, history, |status| matches!(status, Status::Paused | Status::Idle)),
            Wish::Resume => reached(order, history, |status| status != Status::Paused),
            Wish::Cancel => reached(order, history, Status::is_terminal),
            Wish::ForceAnswer => None,
        })
        .collect();
    let stored: Vec<&str> = events.iter().map(|event| event.json.get()).collect();
    for follower in &client.followers {
        let followed: Vec<&str> = follower.events.iter().map(|event| event.get()).collect();
        // What happens while the last ones go home, the first ones do not see.
        let over = world.over_since.get();
        let due = history.iter().rfind(|change| Some(change.at) <= over).map_or(0, |change| change.after.log_length);
        if !stored.starts_with(&followed) || (followed.len() as u64) < due {
            faults.push(format!("a follower saw {} events of {}, or others", followed.len(), stored.len()));
        }
        if world.weather.is_gentle() {
            faults.extend(late_wakes(follower, history));
        }
    }
    faults
}

/// What was acknowledged is there once, what was refused is not there, and of the rest nobody knows.
fn once(order: &Order, count: usize) -> Option<String> {
    let fits = match order.answer {
        Answer::Yes => count == 1,
        Answer::No => count == 0,
        Answer::Unknown => count <= 1,
    };
    (!fits).then(|| format!("{:?} was answered {:?} and is there {count} times", order.wish, order.answer))
}

/// What was acknowledged was so at some moment between the question and the answer.
fn reached(order: &Order, history: &[Change], wanted: impl Fn(Status) -> bool) -> Option<String> {
    let (first, last) = order.versions;
    let mut during = history.iter().map(|change| change.after).filter(|at| (first..=last).contains(&at.version));
    let fits = order.answer != Answer::Yes || during.any(|at| wanted(at.status));
    (!fits).then(|| format!("{:?} was acknowledged and never so", order.wish))
}

/// Who waits is woken.
fn late_wakes(follower: &Follower, history: &[Change]) -> Vec<String> {
    let written = |index: u64| {
        let change = history
            .iter()
            .find(|change| (change.appended.0..).contains(&index) && index < change.appended.0 + change.appended.1)?;
        Some(change.at)
    };
    let late = |poll: &&crate::clients::Poll| {
        let waited_from = written(poll.from).map(|at: Instant| at.max(poll.asked_at));
        waited_from.is_some_and(|from| poll.answered_at > from + WAKE_MAX)
    };
    let late = follower.polls.iter().filter(late);
    late.map(|poll| format!("a poll for event {} slept through it", poll.from)).collect()
}

/// One key makes one session.
fn creation_faults(world: &World, clients: &[Client]) -> Option<String> {
    let sessions = world.session_ids().len();
    let mut ids: Vec<Uuid> = clients.iter().map(|client| client.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    (sessions > 3 || ids.len() != clients.len()).then(|| format!("{} clients have {sessions} sessions", clients.len()))
}
